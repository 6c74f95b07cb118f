#include "supervisor/memory_keeper.h"

#include <sys/prctl.h>

#include <algorithm>

#include "config/clock.h"
#include "config/log.h"

namespace tv::supervisor {
namespace {

constexpr Nanoseconds kLook = 1s;
constexpr Nanoseconds kLongestLook = 8s;  // when nothing changes
constexpr std::uint8_t kIdleLooks = 10;   // before memory is given back
constexpr std::size_t kMostAtOnce = 16;   // blocks, between two looks
constexpr int kRestShare = 4;             // of the time that a block took, before the next one
constexpr Nanoseconds kLongestRest = 100ms;

std::uint32_t watermark_of(const shm::Arena& arena, std::uint64_t prefault_bytes) {
  std::uint64_t blocks = prefault_bytes / limits::kBlockBytes;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(blocks, arena.geometry().worker_blocks() / limits::kPrefaultShare));
}

}  // namespace

MemoryKeeper::MemoryKeeper(std::shared_ptr<shm::Arena> arena, std::uint64_t prefault_bytes)
    : arena_(std::move(arena)),
      watermark_(watermark_of(*arena_, prefault_bytes)),
      free_blocks_(*arena_),
      blocks_(arena_->geometry().blocks),
      thread_([this] { run(); }) {}

MemoryKeeper::~MemoryKeeper() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void MemoryKeeper::run() {
  ::prctl(PR_SET_NAME, "tv:memory");
  Nanoseconds pause = kLook;
  for (;;) {
    pause = look() ? kLook : std::min(2 * pause, kLongestLook);
    if (!wait(pause)) return;
  }
}

bool MemoryKeeper::look() {
  for (std::uint32_t b = 0; b < blocks_.size(); ++b) {
    shm::BlockWord word = arena_->block_word(b).load(std::memory_order_acquire);
    BlockLook& block = blocks_[b];
    block.free = word.owner_plus_1 == 0;
    block.backed = word.backed != 0;
    bool idle = block.free && block.backed;
    block.idle_looks = idle ? static_cast<std::uint8_t>(std::min<int>(block.idle_looks + 1, kIdleLooks)) : std::uint8_t{0};
  }
  // Clients' blocks are given back and not kept ready: most systems have no client that makes tensors.
  auto workers = std::span<const BlockLook>(blocks_).first(arena_->geometry().worker_blocks());
  auto clients = std::span<const BlockLook>(blocks_).subspan(workers.size());
  auto plan = plan_memory(workers, watermark_, kIdleLooks, kMostAtOnce);
  auto of_clients = plan_memory(clients, 0, kIdleLooks, kMostAtOnce);
  for (std::uint32_t block : plan.warm) {
    auto begun = monotonic_ns();
    warm(block);
    if (!wait(std::min(kRestShare * Nanoseconds{monotonic_ns() - begun}, kLongestRest))) return false;
  }
  for (std::uint32_t block : plan.cool) free_blocks_.cool(block);
  for (std::uint32_t block : of_clients.cool) free_blocks_.cool(static_cast<std::uint32_t>(workers.size()) + block);
  return plan.pending || of_clients.pending || !plan.warm.empty();
}

void MemoryKeeper::warm(std::uint32_t block) {
  auto warmed = free_blocks_.warm(block);
  if (warmed) {
    short_of_memory_ = false;
    return;
  }
  if (std::exchange(short_of_memory_, true)) return;
  log::warning("memory not kept ready", {{"cause", warmed.error().message}, {"next", "free memory, or lower [arena] prefault"}});
}

bool MemoryKeeper::wait(Nanoseconds time) {
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, time, [this] { return stop_; });
}

}  // namespace tv::supervisor
