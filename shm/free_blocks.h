// FreeBlocks: memory of blocks that nobody has leased, brought in and given back. The supervisor's: it has no blocks of its own but those
// it has adopted, so a lease of its own for a moment is told from them by its kind, kNone.
//
// One thread at a time; beside the supervisor's others. What `backed` says is never more than what is there: it is set after the memory
// has come, and cleared by the same store that leases the block before its memory goes. A supervisor that dies in between leaves a leased
// block, or one with memory that says that it has none.
#pragma once

#include <atomic>
#include <cstdint>

#include "shm/arena.h"

namespace tv::shm {

class FreeBlocks {
 public:
  explicit FreeBlocks(const Arena& arena) : arena_(arena) {}

  // Brings in the memory of a free block that has none. False when it is leased or has it already; kOutOfMemory.
  Result<bool> warm(std::uint32_t block);
  // Gives the memory of a free block back. False when it is leased or has none.
  bool cool(std::uint32_t block);

  // The block is leased for a moment by one of these. By any thread.
  bool at_hand(std::uint32_t block) const { return at_hand_.load(std::memory_order_acquire) == block + 1; }

 private:
  bool lease(std::uint32_t block, BlockWord seen);
  void give_back(std::uint32_t block, bool backed);

  const Arena& arena_;
  std::atomic<std::uint32_t> at_hand_{0};  // block + 1; from before its lease until after its end
};

}  // namespace tv::shm
