#include "shm/handle.h"

#include <charconv>

namespace tv::shm {

std::string to_string(Handle handle) { return std::to_string(handle.index()) + "." + std::to_string(handle.generation()); }

Result<Handle> parse_handle(const std::string& text) {
  std::uint32_t index = 0;
  std::uint64_t generation = 0;
  const char* end = text.data() + text.size();
  auto first = std::from_chars(text.data(), end, index);
  if (first.ec == std::errc{} && first.ptr != end && *first.ptr == '.') {
    auto second = std::from_chars(first.ptr + 1, end, generation);
    if (second.ec == std::errc{} && second.ptr == end && index < limits::kMaxObjects && generation > 0 &&
        generation <= Handle::kGenerationMask)
      return Handle::make(index, generation);
  }
  return Error{Errc::kInvalidArgument, "\"" + text + "\" is no handle; handles look like 17.3 (slot and generation)"};
}

}  // namespace tv::shm
