// Handle: the name of an object in the arena, valid in every participant and harmless when the object is gone.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "config/limits.h"
#include "config/result.h"

namespace tv::shm {

// 24 bits of slot index, 40 bits of generation. The generation of a slot grows by one with each object that lives in it, so a handle
// names one object for ever: 2^40 generations last 12 days at one allocation a microsecond in the same slot. Zero is no handle.
class Handle {
 public:
  constexpr Handle() = default;
  static constexpr Handle from_bits(std::uint64_t bits) { return Handle(bits); }
  static constexpr Handle make(std::uint32_t index, std::uint64_t generation) {
    return Handle((generation << kIndexBits) | (index & kIndexMask));
  }

  constexpr std::uint64_t bits() const { return bits_; }
  constexpr std::uint32_t index() const { return static_cast<std::uint32_t>(bits_ & kIndexMask); }
  constexpr std::uint64_t generation() const { return bits_ >> kIndexBits; }
  explicit constexpr operator bool() const { return bits_ != 0; }
  auto operator<=>(const Handle&) const = default;

  static constexpr std::uint64_t kGenerationMask = (std::uint64_t{1} << 40) - 1;

 private:
  static constexpr unsigned kIndexBits = 24;
  static constexpr std::uint64_t kIndexMask = (std::uint64_t{1} << kIndexBits) - 1;
  static_assert(kIndexMask + 1 == limits::kMaxObjects);

  explicit constexpr Handle(std::uint64_t bits) : bits_(bits) {}
  std::uint64_t bits_ = 0;
};

std::string to_string(Handle handle);              // "17.3": index, generation
Result<Handle> parse_handle(const std::string& text);

}  // namespace tv::shm
