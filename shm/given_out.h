// GivenOut: what a participant has handed out in each slot of its chunks, remembered privately: a stray write to the shared tables must
// not make it free what is another's, or the same thing twice. One word a slot; slots that were never ours cost nothing.
#pragma once

#include <cstdint>
#include <optional>

#include "shm/lazy_array.h"
#include "shm/place.h"

namespace tv::shm {

class GivenOut {
 public:
  explicit GivenOut(std::uint32_t slots) : words_(slots) {}

  void note(std::uint32_t slot, const Place& place) { words_[slot] = pack(place); }
  // A slot of ours whose object's place is not known (its words contradict each other): the slot comes back, the memory does not.
  void note_without_place(std::uint32_t slot) { words_[slot] = kOut; }
  bool is_out(std::uint32_t slot) const { return words_[slot] != 0; }
  // Forgets it. REQUIRES is_out.
  std::optional<Place> take(std::uint32_t slot) {
    std::uint64_t word = words_[slot];
    words_[slot] = 0;
    if (word == kOut) return std::nullopt;
    return unpack(word);
  }

 private:
  // Bit 0: out; bit 1: units. Then 25 bits of block; then 15 bits of cell and 7 of size class, or 6 bits of unit and 31 of units.
  static constexpr std::uint64_t kOut = 1;
  static_assert(limits::kMaxArenaBytes / limits::kBlockBytes <= (1u << 25) && limits::kBlockBytes / 64 <= (1u << 15));

  static std::uint64_t pack(const Place& place) {
    std::uint64_t word = kOut | std::uint64_t{place.block} << 2;
    if (place.kind == BlockKind::kUnits) return word | 2 | std::uint64_t{place.first} << 27 | std::uint64_t{place.units} << 33;
    return word | std::uint64_t{place.first} << 27 | std::uint64_t{place.size_class} << 42 | std::uint64_t{1} << 63;
  }
  static Place unpack(std::uint64_t word) {
    Place place{};
    place.block = static_cast<std::uint32_t>(word >> 2 & low_bits(25));
    if ((word & 2) != 0) {
      place.kind = BlockKind::kUnits;
      place.first = static_cast<std::uint32_t>(word >> 27 & low_bits(6));
      place.units = static_cast<std::uint32_t>(word >> 33);
    } else {
      place.kind = BlockKind::kCells;
      place.first = static_cast<std::uint32_t>(word >> 27 & low_bits(15));
      place.size_class = static_cast<std::uint16_t>(word >> 42 & low_bits(7));
    }
    return place;
  }

  LazyArray<std::uint64_t> words_;
};

}  // namespace tv::shm
