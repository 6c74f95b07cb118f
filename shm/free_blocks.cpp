#include "shm/free_blocks.h"

#include "shm/block_leases.h"

namespace tv::shm {

bool FreeBlocks::lease(std::uint32_t block, BlockWord seen) {
  at_hand_.store(block + 1, std::memory_order_release);
  BlockWord ours{};
  ours.owner_plus_1 = kSupervisor + 1;
  if (arena_.block_word(block).compare_exchange_strong(seen, ours, std::memory_order_acq_rel)) return true;
  at_hand_.store(0, std::memory_order_release);
  return false;
}

void FreeBlocks::give_back(std::uint32_t block, bool backed) {
  BlockWord free{};
  free.backed = backed ? 1 : 0;
  arena_.block_word(block).store(free, std::memory_order_release);
  at_hand_.store(0, std::memory_order_release);
  announce_room(arena_);  // for whoever found it leased
}

Result<bool> FreeBlocks::warm(std::uint32_t block) {
  BlockWord seen = arena_.block_word(block).load(std::memory_order_acquire);
  if (seen.owner_plus_1 != 0 || seen.backed != 0 || !lease(block, seen)) return false;
  auto populated = arena_.populate_aside(arena_.block_offset(block), limits::kBlockBytes);
  give_back(block, populated.ok());
  if (!populated) return populated.error();
  return true;
}

bool FreeBlocks::cool(std::uint32_t block) {
  BlockWord seen = arena_.block_word(block).load(std::memory_order_acquire);
  if (seen.owner_plus_1 != 0 || seen.backed == 0 || !lease(block, seen)) return false;
  arena_.punch(arena_.block_offset(block), limits::kBlockBytes);
  give_back(block, false);
  return true;
}

}  // namespace tv::shm
