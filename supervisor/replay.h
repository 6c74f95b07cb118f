// Replay: sends a dead letter to its actor again, from the supervisor's own ring, as a one-way message that nobody waits for.
//
// The supervisor's loop only. The letter's tensors stay held until the worker's cursor has passed the message; a timer looks at that while
// there is unread mail of ours.
#pragma once

#include <memory>

#include "ipc/ring_channel.h"
#include "supervisor/dead_letters.h"
#include "supervisor/event_loop.h"

namespace tv::supervisor {

class Replay {
 public:
  Replay(EventLoop& loop, std::shared_ptr<shm::Store> store) : loop_(loop), store_(std::move(store)) {}

  // Errors: kOverloaded (the ring is full), kCorrupt (the envelope is no request), kUnavailable and others of RingChannel::send.
  Result<void> send(const DeadLetter& letter, ParticipantId to);

 private:
  Result<void> write(const DeadLetter& letter, ParticipantId to, wire::Envelope::Reader old);
  bool unread() const;
  void tick();

  EventLoop& loop_;
  std::shared_ptr<shm::Store> store_;
  std::unique_ptr<ipc::RingChannel> channel_;  // from the first letter on
  CallId next_call_ = 1;
  Source timer_;
};

}  // namespace tv::supervisor
