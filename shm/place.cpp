#include "shm/place.h"

#include <algorithm>

namespace tv::shm {
namespace {

std::optional<Place> place_in_cells(const BlockWord& word, std::uint32_t block, std::uint64_t inside, std::uint64_t footprint) {
  if (word.size_class >= size_class_count()) return std::nullopt;
  std::uint64_t bytes = size_class_bytes(word.size_class);
  if (footprint != bytes || inside % bytes != 0 || inside + bytes > limits::kBlockBytes) return std::nullopt;
  return Place{BlockKind::kCells, word.owner_plus_1, word.size_class, block, static_cast<std::uint32_t>(inside / bytes), 0};
}

std::optional<Place> place_in_units(const Arena& arena, const BlockWord& word, std::uint32_t block, std::uint64_t inside,
                                    std::uint64_t footprint) {
  std::uint64_t room = std::uint64_t{arena.geometry().blocks - block} * limits::kBlockBytes - inside;
  if (footprint == 0 || footprint > room || footprint % limits::kUnitBytes != 0 || inside % limits::kUnitBytes != 0) return std::nullopt;
  Place place{BlockKind::kUnits, word.owner_plus_1, 0, block, static_cast<std::uint32_t>(inside / limits::kUnitBytes),
              static_cast<std::uint32_t>(footprint / limits::kUnitBytes)};
  if (place.blocks() > 1 && place.first != 0) return std::nullopt;
  for (std::uint32_t n = 1; n < place.blocks(); ++n) {
    BlockWord next = arena.block_word(block + n).load(std::memory_order_acquire);
    if (next.kind != BlockKind::kUnits || next.owner_plus_1 != word.owner_plus_1) return std::nullopt;
  }
  return place;
}

}  // namespace

std::uint64_t Place::units_in(std::uint32_t n) const {
  std::uint32_t from = n == 0 ? first : 0;
  std::uint32_t end = std::min(first + units - n * kUnitsPerBlock, kUnitsPerBlock);
  return low_bits(end) & ~low_bits(from);
}

std::optional<Place> place_of(const Arena& arena, const ObjectSlot& slot) {
  const Geometry& g = arena.geometry();
  std::uint64_t offset = slot.offset;
  std::uint64_t footprint = slot.footprint;
  if (offset < g.blocks_at || offset >= g.total_bytes) return std::nullopt;
  auto block = static_cast<std::uint32_t>((offset - g.blocks_at) / limits::kBlockBytes);
  std::uint64_t inside = offset - arena.block_offset(block);
  BlockWord word = arena.block_word(block).load(std::memory_order_acquire);
  if (word.owner_plus_1 == 0) return std::nullopt;
  if (word.kind == BlockKind::kCells) return place_in_cells(word, block, inside, footprint);
  if (word.kind == BlockKind::kUnits) return place_in_units(arena, word, block, inside, footprint);
  return std::nullopt;
}

}  // namespace tv::shm
