// UnitBlocks: which units are taken in a participant's blocks of larger objects. Private to the process, guarded by the allocator's
// lock; after a death nobody misses it, because the slots say what is alive.
//
// Best fit: blocks are binned by the longest run of free units in them, and an object goes where the run is the shortest that holds it.
// What is larger than a block takes whole blocks and the first units of the last one, whose other units are left to others.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "shm/lazy_array.h"
#include "shm/place.h"

namespace tv::shm {

class UnitBlocks {
 public:
  explicit UnitBlocks(std::uint32_t blocks);

  struct Spot {
    std::uint32_t block;
    std::uint32_t unit;
  };
  // REQUIRES units <= Place::kUnitsPerBlock. Nothing when no block has that many in one piece.
  std::optional<Spot> take(std::uint32_t units);
  // Fresh blocks, in which the first `units` units are taken.
  void add(std::uint32_t first, std::uint32_t units);
  // Calls `empty(block)` for each block of the place of which nothing is taken any more; it is forgotten.
  template <class Empty>
  void release(const Place& place, Empty empty) {
    for (std::uint32_t n = 0; n < place.blocks(); ++n)
      if (release_in(place.block + n, place.units_in(n))) empty(place.block + n);
  }
  // An object in a dead participant's blocks, where nothing more is put.
  void adopt(const Place& place);
  bool is_adopted(std::uint32_t block) const { return blocks_[block].adopted; }

 private:
  static constexpr std::uint32_t kNone = 0xffff'ffff;
  struct Block {
    std::uint64_t taken;
    std::uint32_t next, previous;  // in its bin
    std::uint8_t bin;              // longest free run; 0: full, and in no bin
    bool known;
    bool adopted;  // in no bin either
  };
  bool release_in(std::uint32_t block, std::uint64_t units);
  void put_in_bin(std::uint32_t block);
  void take_from_bin(std::uint32_t block);

  LazyArray<Block> blocks_;
  std::array<std::uint32_t, Place::kUnitsPerBlock + 1> bins_;  // first block, or kNone
  std::uint64_t bins_used_ = 0;                                // bit n - 1: bin n has a block
};

// The longest run of zeros in a word, and where the first run of at least `units` zeros begins (64: nowhere).
std::uint32_t longest_free_run(std::uint64_t taken);
std::uint32_t find_free_run(std::uint64_t taken, std::uint32_t units);

}  // namespace tv::shm
