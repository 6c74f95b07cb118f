// A private arena without a daemon, and one end of a pair of rings in it: what a participant does to pass tensors on.
#pragma once

#include <memory>
#include <optional>

#include "shm/directory.h"
#include "shm/doorbell.h"
#include "shm/ring.h"
#include "shm/store.h"
#include "tools/bench/processes.h"

namespace tv::bench {

// Made before the fork; the sides use the same mapping.
struct BenchArena {
  // Participants 1 to `participants` are there, as workers; 0 is the supervisor.
  BenchArena(std::uint64_t bytes, std::uint32_t participants, std::uint32_t objects = 1u << 16,
             std::uint64_t ring_bytes = limits::kDefaultRingBytes);

  std::shared_ptr<shm::Arena> arena;
  std::shared_ptr<shm::DirectoryWriter> directory;
};

shm::TensorSpec bytes_spec(std::uint64_t bytes);
// Sealed, every byte written.
shm::Tensor make_tensor(shm::Store& store, std::uint64_t bytes);

inline constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
// What a worker's loop spins after mail, before it sleeps.
inline constexpr Nanoseconds kDefaultSpin = 20us;
// What spinning means where nobody is to sleep.
inline constexpr Nanoseconds kSpinOn = 20s;

// Sends handles to and takes them from one other participant, with its own Store. One thread.
class RingEnd {
 public:
  RingEnd(std::shared_ptr<shm::Arena> arena, ParticipantId self, ParticipantId other, Nanoseconds spin);

  void send(shm::Handle handle);
  // Waits for the next handle, gets its tensor, reads a byte, drops it and moves the cursor.
  void take();
  shm::Store& store() { return *store_; }

 private:
  std::shared_ptr<shm::Arena> arena_;
  std::shared_ptr<shm::Store> store_;
  ParticipantId self_, other_;
  Nanoseconds spin_;
  shm::RingWriter writer_;
  shm::RingReader reader_;
};

// Keeps the compiler from leaving out what nobody looks at.
template <class T>
inline void keep(const T& value) {
  asm volatile("" : : "r,m"(value) : "memory");
}

}  // namespace tv::bench
