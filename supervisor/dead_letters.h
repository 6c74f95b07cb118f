// DeadLetters: messages that were given up because they killed their workers, kept until somebody looks at them.
//
// The supervisor's loop only. Each letter holds its envelope and the tensors in it through the supervisor's Store, so they outlive the
// sender and the worker that reported it. At most limits::kMaxDeadLetters: the oldest is dropped then, counted, and logged once a burst.
#pragma once

#include <capnp/common.h>
#include <kj/array.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ipc/control.capnp.h"
#include "shm/store.h"

namespace tv::supervisor {

struct DeadLetter {
  std::uint64_t id = 0;
  std::int64_t taken_ns = 0;  // CLOCK_REALTIME
  ActorId actor = kNoActor;
  std::string method;
  ParticipantId from = kNoParticipant;
  std::string from_name;       // at that time
  std::uint64_t position = 0;  // of the message among its sender's
  std::uint32_t tries = 0;
  std::string cause;
  shm::Tensor envelope;
  std::vector<shm::Tensor> tensors;

  // The envelope's segment, copied: who wrote it can still write to it.
  kj::Array<capnp::word> words() const;
};

class DeadLetters {
 public:
  explicit DeadLetters(std::shared_ptr<shm::Store> store, std::size_t most = limits::kMaxDeadLetters)
      : store_(std::move(store)), most_(most) {}

  // A new letter, or the one that the same message became before (its reporter died before it could move on). Tensors that are gone are
  // left out. kInvalidArgument, and nothing else, for an envelope that cannot be one. REQUIRES: inside guard().
  struct Taken {
    const DeadLetter* letter;
    bool fresh;
  };
  Result<Taken> take(wire::DeadLetter::Reader report);

  // What another one kept; each holds its tensors again. `next` is the number that the next one gets.
  void go_on(std::vector<DeadLetter> letters, std::uint64_t next, std::uint64_t dropped);
  std::uint64_t next_id() const { return next_id_; }

  const std::map<std::uint64_t, DeadLetter>& all() const { return letters_; }
  std::size_t kept_for(ActorId actor) const;
  // Errors: kNotFound, which says how to see what there is.
  Result<const DeadLetter*> find(std::uint64_t id) const;
  void remove(std::uint64_t id) { letters_.erase(id); }
  void clear() { letters_.clear(); }
  std::uint64_t dropped() const { return dropped_; }

 private:
  const DeadLetter* same_message(ActorId actor, ParticipantId from, std::uint64_t position) const;
  void make_room();

  std::shared_ptr<shm::Store> store_;
  const std::size_t most_;
  std::map<std::uint64_t, DeadLetter> letters_;  // by id, which is also by age
  std::uint64_t next_id_ = 1;
  std::uint64_t dropped_ = 0;
  bool dropping_ = false;  // the last one taken made another go
};

}  // namespace tv::supervisor
