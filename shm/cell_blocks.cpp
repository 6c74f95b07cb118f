#include "shm/cell_blocks.h"

#include <algorithm>
#include <bit>

namespace tv::shm {

std::optional<CellBlocks::Cell> CellBlocks::take(std::uint32_t size_class) {
  auto& candidates = with_room_[size_class];
  while (!candidates.empty()) {
    Block& block = *candidates.back();
    if (block.used < block.cells) {
      while (block.taken[block.hint] == ~std::uint64_t{0}) ++block.hint;
      auto bit = static_cast<std::uint32_t>(std::countr_one(block.taken[block.hint]));
      block.taken[block.hint] |= std::uint64_t{1} << bit;
      ++block.used;
      return Cell{block.number, block.hint * 64 + bit};
    }
    block.listed = false;
    candidates.pop_back();
  }
  return std::nullopt;
}

void CellBlocks::add(std::uint32_t block, std::uint32_t size_class) { list(insert(block, size_class)); }

CellBlocks::Block& CellBlocks::insert(std::uint32_t number, std::uint32_t size_class) {
  auto block = std::make_unique<Block>();
  block->number = number;
  block->size_class = size_class;
  block->cells = cells_in_block(size_class);
  block->taken.assign((block->cells + 63) / 64, 0);
  // Bits beyond the last cell count as taken, so that nobody has to look where the cells end.
  if (block->cells % 64 != 0) block->taken.back() = ~std::uint64_t{0} << (block->cells % 64);
  return *(blocks_[number] = std::move(block));
}

void CellBlocks::list(Block& block) {
  if (block.listed || block.adopted) return;
  block.listed = true;
  with_room_[block.size_class].push_back(&block);
}

void CellBlocks::forget(Block& block) {
  if (block.listed) std::erase(with_room_[block.size_class], &block);
  if (last_ == &block) last_ = nullptr;
  blocks_.erase(block.number);
}

bool CellBlocks::release(std::uint32_t number, std::uint32_t cell) {
  if (!last_ || last_->number != number) {
    auto found = blocks_.find(number);
    if (found == blocks_.end()) return false;
    last_ = found->second.get();
  }
  Block& block = *last_;
  std::uint64_t mask = std::uint64_t{1} << (cell % 64);
  if (cell >= block.cells || (block.taken[cell / 64] & mask) == 0) return false;
  block.taken[cell / 64] &= ~mask;
  block.hint = std::min(block.hint, cell / 64);
  --block.used;
  // The last block with room of its class stays: the next object of this size finds it.
  bool spare = block.adopted || with_room_[block.size_class].size() > (block.listed ? 1 : 0);
  if (block.used == 0 && spare) {
    forget(block);
    return true;
  }
  list(block);
  return false;
}

std::vector<std::uint32_t> CellBlocks::take_empty() {
  std::vector<std::uint32_t> empty;
  for (const auto& [number, block] : blocks_)
    if (block->used == 0) empty.push_back(number);
  for (auto number : empty) forget(*blocks_[number]);
  return empty;
}

void CellBlocks::adopt(std::uint32_t number, std::uint32_t size_class, std::uint32_t cell) {
  auto found = blocks_.find(number);
  Block& block = found != blocks_.end() ? *found->second : insert(number, size_class);
  block.adopted = true;
  std::uint64_t mask = std::uint64_t{1} << (cell % 64);
  if (cell >= block.cells || (block.taken[cell / 64] & mask) != 0) return;
  block.taken[cell / 64] |= mask;
  ++block.used;
}

}  // namespace tv::shm
