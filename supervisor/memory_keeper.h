// MemoryKeeper: keeps the memory of some free blocks ready, so that a new tensor's first write costs what later ones do, and gives memory
// that nobody uses back to the machine ([arena] prefault).
//
// A thread of its own: bringing memory in takes long, and must not hold up the daemon's loop. It touches nothing of the supervisor's but the
// arena's block words (shm/free_blocks.h). Looks once a second while there is something to do or to wait for, else ever more seldom.
//
// It leaves the processors to others by resting between blocks, and not by a low priority: while it brings memory in it has the kernel's lock of
// the process's address space, and on a busy machine a thread of low priority that is preempted there keeps every thread that allocates,
// ZeroMQ's among them, waiting for seconds.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "shm/free_blocks.h"
#include "supervisor/memory_plan.h"

namespace tv::supervisor {

class MemoryKeeper {
 public:
  // Begins at once. `prefault_bytes` beyond a share of the arena (limits::kPrefaultShare) is cut.
  MemoryKeeper(std::shared_ptr<shm::Arena> arena, std::uint64_t prefault_bytes);
  ~MemoryKeeper();
  MemoryKeeper(const MemoryKeeper&) = delete;
  MemoryKeeper& operator=(const MemoryKeeper&) = delete;

  // The block is leased for a moment by the keeper. By any thread.
  bool at_hand(std::uint32_t block) const { return free_blocks_.at_hand(block); }

 private:
  void run();
  // True if the next look should come soon.
  bool look();
  void warm(std::uint32_t block);
  bool wait(Nanoseconds time);

  const std::shared_ptr<shm::Arena> arena_;
  const std::uint32_t watermark_;
  shm::FreeBlocks free_blocks_;
  std::vector<BlockLook> blocks_;
  bool short_of_memory_ = false;  // and said so

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace tv::supervisor
