#include "shm/unit_blocks.h"

#include <bit>

namespace tv::shm {

std::uint32_t longest_free_run(std::uint64_t taken) {
  // Bit i of runs[k]: 2^k units from i on are free.
  std::uint64_t runs[7] = {~taken};
  for (int k = 1; k < 7; ++k) runs[k] = runs[k - 1] & (runs[k - 1] >> (1 << (k - 1)));
  // The length bit by bit, from the highest: `starts` are the places where so many are free.
  std::uint32_t length = 0;
  std::uint64_t starts = ~std::uint64_t{0};
  for (int k = 6; k >= 0 && length < 64; --k) {
    std::uint64_t longer = starts & (runs[k] >> length);
    if (longer == 0) continue;
    starts = longer;
    length += std::uint32_t{1} << k;
  }
  return length;
}

std::uint32_t find_free_run(std::uint64_t taken, std::uint32_t units) {
  // After the loop bit i says that units i .. i + units - 1 are free. Doubling: six rounds at most.
  std::uint64_t free = ~taken;
  for (std::uint32_t have = 1; have < units;) {
    std::uint32_t step = have < units - have ? have : units - have;
    free &= free >> step;
    have += step;
  }
  return static_cast<std::uint32_t>(std::countr_zero(free));
}

UnitBlocks::UnitBlocks(std::uint32_t blocks) : blocks_(blocks) { bins_.fill(kNone); }

std::optional<UnitBlocks::Spot> UnitBlocks::take(std::uint32_t units) {
  std::uint64_t fitting = bins_used_ & ~low_bits(units - 1);
  if (fitting == 0) return std::nullopt;
  std::uint32_t block = bins_[static_cast<std::uint32_t>(std::countr_zero(fitting)) + 1];
  std::uint32_t unit = find_free_run(blocks_[block].taken, units);
  take_from_bin(block);
  blocks_[block].taken |= low_bits(units) << unit;
  put_in_bin(block);
  return Spot{block, unit};
}

void UnitBlocks::add(std::uint32_t first, std::uint32_t units) {
  std::uint32_t block = first;
  for (std::uint32_t left = units; left > 0; ++block) {
    std::uint32_t here = left < Place::kUnitsPerBlock ? left : Place::kUnitsPerBlock;
    blocks_[block] = Block{low_bits(here), kNone, kNone, 0, true, false};
    put_in_bin(block);
    left -= here;
  }
}

bool UnitBlocks::release_in(std::uint32_t block, std::uint64_t units) {
  Block& entry = blocks_[block];
  if (!entry.known) return false;
  take_from_bin(block);
  entry.taken &= ~units;
  if (entry.taken == 0) {
    entry.known = false;
    return true;
  }
  put_in_bin(block);
  return false;
}

void UnitBlocks::adopt(const Place& place) {
  for (std::uint32_t n = 0; n < place.blocks(); ++n) {
    Block& entry = blocks_[place.block + n];
    if (!entry.known) entry = Block{0, kNone, kNone, 0, true, true};
    entry.taken |= place.units_in(n);
  }
}

void UnitBlocks::put_in_bin(std::uint32_t block) {
  Block& entry = blocks_[block];
  std::uint32_t bin = entry.adopted ? 0 : longest_free_run(entry.taken);
  entry.bin = static_cast<std::uint8_t>(bin);
  if (bin == 0) return;
  entry.previous = kNone;
  entry.next = bins_[bin];
  if (entry.next != kNone) blocks_[entry.next].previous = block;
  bins_[bin] = block;
  bins_used_ |= std::uint64_t{1} << (bin - 1);
}

void UnitBlocks::take_from_bin(std::uint32_t block) {
  Block& entry = blocks_[block];
  if (entry.bin == 0) return;
  (entry.previous == kNone ? bins_[entry.bin] : blocks_[entry.previous].next) = entry.next;
  if (entry.next != kNone) blocks_[entry.next].previous = entry.previous;
  if (bins_[entry.bin] == kNone) bins_used_ &= ~(std::uint64_t{1} << (entry.bin - 1));
  entry.bin = 0;
}

}  // namespace tv::shm
