// Place: where an object's memory lies, read from its slot and the block table with suspicion. Pure reads of shared words.
#pragma once

#include <cstdint>
#include <optional>

#include "shm/arena.h"
#include "shm/size_class.h"

namespace tv::shm {

struct Place {
 public:
  BlockKind kind;
  std::uint8_t owner_plus_1;  // of every block of it
  std::uint16_t size_class;   // kCells
  std::uint32_t block;        // the first one
  std::uint32_t first;        // cell or unit in that block
  std::uint32_t units;        // kUnits: how many, over all its blocks

  std::uint32_t blocks() const { return kind == BlockKind::kCells ? 1 : (first + units + kUnitsPerBlock - 1) / kUnitsPerBlock; }
  std::uint64_t offset(const Arena& arena) const { return arena.block_offset(block) + first * unit_bytes(); }
  std::uint64_t footprint() const { return kind == BlockKind::kCells ? unit_bytes() : units * unit_bytes(); }
  // The units that it takes in its n-th block, as bits.
  std::uint64_t units_in(std::uint32_t n) const;

  static constexpr std::uint32_t kUnitsPerBlock = limits::kBlockBytes / limits::kUnitBytes;

 private:
  std::uint64_t unit_bytes() const { return kind == BlockKind::kCells ? size_class_bytes(size_class) : limits::kUnitBytes; }
};

// Nothing if the slot contradicts the block table: a stray write may have hit either.
std::optional<Place> place_of(const Arena& arena, const ObjectSlot& slot);

// `count` low bits.
constexpr std::uint64_t low_bits(std::uint32_t count) { return count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1; }

}  // namespace tv::shm
