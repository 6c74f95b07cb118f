// What the loop tells its supervisor, and asks of it. Implemented by ControlLink; by a fake in tests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/clock.h"
#include "config/ids.h"
#include "config/result.h"
#include "ipc/named_tensors.h"
#include "shm/handle.h"
#include "worker/actor.h"

namespace tv::worker {

// A message that is given up: DeadLetter of control.capnp as a value.
struct DeadLetter {
  shm::Handle envelope;
  std::vector<shm::Handle> tensors;
  ActorId actor = kNoActor;
  std::string method;
  ParticipantId from = kNoParticipant;
  std::string from_name;
  std::uint64_t position = 0;
  std::uint32_t tries = 0;
  std::string cause;
};

class ControlPort : public ipc::NamePort {
 public:
  virtual ~ControlPort() = default;

  // Notices: sent in order, never waited for.
  virtual void actor_ready(ActorId actor, bool restored) = 0;
  virtual void actor_failed(ActorId actor, const Error& why) = 0;
  // Its state could not be committed; how often, and since when, is in the actor's cell.
  virtual void commit_failed(ActorId actor, const Error& why) = 0;
  virtual void ready() = 0;
  virtual void actor_stopped(ActorId actor) = 0;  // as ordered
  virtual void actor_committed(ActorId actor) = 0;  // as ordered; commit_failed() came before if it failed
  virtual void stopping() = 0;
  virtual void health(ActorId actor, const Health& health) = 0;  // the first, or another than the one before
  virtual void actor_settled(ActorId, std::uint64_t /*token*/) {}  // as ordered

  // Requests: wait for the supervisor's answer until the deadline; the caller holds the tensors meanwhile. ask() is NamePort's.
  // The letter's number. The supervisor holds everything in it then.
  virtual Result<std::uint64_t> dead_letter(const DeadLetter& letter, Deadline deadline) = 0;
};

}  // namespace tv::worker
