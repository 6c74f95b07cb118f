// Recovery: the supervisor's own door to the arena, and the clean-up after dead participants (shm/recover.h) with its timer.
//
// The timer runs only while something is to be settled: mail of the dead that waits to be read, numbers that wait to be free.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "shm/directory.h"
#include "shm/recover.h"
#include "shm/store.h"
#include "supervisor/event_loop.h"

namespace tv::supervisor {

class Recovery {
 public:
  Recovery(EventLoop& loop, std::shared_ptr<shm::Store> store) : loop_(loop), store_(store), custody_(std::move(store)) {}

  // After the end of the participant's process. `who` is for the log; `cause` for those who wait for what it was to
  // write.
  void clean_up(ParticipantId dead, std::span<const ActorId> actors, const std::string& who, const std::string& cause);
  // After the death of another supervisor, whose number is ours now (Custody::take_over).
  void take_over(std::span<const ActorId> not_running);
  // Holds the actor's commit until release_state(), in place of one that was held before.
  void keep_state(ActorId actor) { custody_.keep_state(actor); }
  void release_state(ActorId actor) { custody_.release_state(actor); }
  void discard_inbox(ParticipantId receiver) { custody_.discard_inbox(receiver); }
  void release_rings(ParticipantId sender) { custody_.release_rings(sender); }
  bool outbox_empty(ParticipantId sender) const { return custody_.outbox_empty(sender); }

  // Called with each tick; true: go on ticking.
  void on_tick(std::function<bool()> more) { more_ = std::move(more); }
  void start_ticking();
  // Takes back what others have freed; cheap when there is nothing.
  void collect() { store_->collect(); }

  shm::Store& store() { return *store_; }

 private:
  void tick();

  EventLoop& loop_;
  std::shared_ptr<shm::Store> store_;
  shm::Custody custody_;
  std::function<bool()> more_ = [] { return false; };
  Source timer_;
};

}  // namespace tv::supervisor
