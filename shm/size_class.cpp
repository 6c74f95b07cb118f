#include "shm/size_class.h"

#include <algorithm>
#include <array>
#include <bit>

#include "config/limits.h"

namespace tv::shm {
namespace {

// 64, 128, 192, 256: whole cache lines. From there on four classes to each doubling.
constexpr auto kClasses = [] {
  struct {
    std::array<std::uint32_t, 64> bytes{};
    std::uint32_t count = 0;
  } table;
  for (std::uint32_t bytes = 64; bytes < 256; bytes += 64) table.bytes[table.count++] = bytes;
  for (std::uint64_t base = 256; base < limits::kLargestCellBytes; base *= 2)
    for (std::uint64_t quarter = 0; quarter < 4; ++quarter)
      table.bytes[table.count++] = static_cast<std::uint32_t>(base + base / 4 * quarter);
  table.bytes[table.count++] = limits::kLargestCellBytes;
  return table;
}();
static_assert(limits::kAlignment == 64);

}  // namespace

std::uint32_t size_class_count() { return kClasses.count; }
std::uint64_t size_class_bytes(std::uint32_t size_class) { return kClasses.bytes[size_class]; }
std::uint32_t cells_in_block(std::uint32_t size_class) {
  return static_cast<std::uint32_t>(limits::kBlockBytes / size_class_bytes(size_class));
}

std::uint32_t size_class_for(std::uint64_t bytes) {
  if (bytes <= 256) return bytes == 0 ? 0 : static_cast<std::uint32_t>((bytes - 1) / 64);
  // The doubling from the highest bit, the quarter from the two below it, both of the next smaller number.
  std::uint64_t below = bytes - 1;
  auto high = static_cast<std::uint32_t>(std::bit_width(below)) - 1;
  auto quarter = static_cast<std::uint32_t>(below >> (high - 2)) & 3;
  return 3 + (high - 8) * 4 + quarter + 1;
}

}  // namespace tv::shm
