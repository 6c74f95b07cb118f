// What the fuzz targets share: the fuzzer's bytes as a tape of choices, and a check that ends the process as a finding.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

// Ends the process: libFuzzer keeps the input, and the replay test fails.
#define FUZZ_CHECK(expression)                                                             \
  do {                                                                                     \
    if (!(expression)) {                                                                   \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #expression); \
      std::abort();                                                                        \
    }                                                                                      \
  } while (false)

namespace tv::fuzz {

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : left_(data, size) {}

  bool empty() const { return left_.empty(); }
  // Zeros behind the end: every prefix of an input is an input.
  template <class T>
  T take() {
    T value{};
    std::size_t n = std::min(sizeof value, left_.size());
    if (n > 0) std::memcpy(&value, left_.data(), n);
    left_ = left_.subspan(n);
    return value;
  }
  std::size_t below(std::size_t limit) { return take<std::uint16_t>() % limit; }
  std::span<const std::uint8_t> bytes(std::size_t most) {
    auto taken = left_.first(std::min(most, left_.size()));
    left_ = left_.subspan(taken.size());
    return taken;
  }
  std::span<const std::uint8_t> rest() { return bytes(left_.size()); }

 private:
  std::span<const std::uint8_t> left_;
};

// Reads every byte, so that a sanitizer sees a span that reaches too far.
inline void touch(const void* data, std::size_t size) {
  unsigned char sum = 0;
  for (std::size_t i = 0; i < size; ++i) sum = static_cast<unsigned char>(sum + static_cast<const unsigned char*>(data)[i]);
  asm volatile("" : : "r"(sum));
}

}  // namespace tv::fuzz
