// Heartbeat: ParticipantSlot::beat, which moves with each turn of a worker's loop and tells the supervisor that the loop is not stuck.
//
// It belongs to one thread of a process, the one that executes actors: beat() on any other does nothing. What waits on that thread for
// others, for a bounded time, beats each time it looks again: waiting is no hang.
#pragma once

#include "config/clock.h"
#include "shm/layout.h"

namespace tv::shm {

// While it lives, the thread that made it is the one whose heart beats in `word`. REQUIRES: destroyed on the same thread, in reverse order.
class Heartbeat {
 public:
  explicit Heartbeat(Word& word);
  ~Heartbeat();
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

 private:
  Word* before_;
};

void beat();

// How long such a wait may go without a beat.
inline constexpr Nanoseconds kBeatEvery{20'000'000};

}  // namespace tv::shm
