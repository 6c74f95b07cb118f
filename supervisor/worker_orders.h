// What the supervisor says to a worker's process. Implemented by the control server; by a fake in tests.
#pragma once

#include <vector>

#include "config/ids.h"
#include "supervisor/assignment.h"
#include "supervisor/fault.h"

namespace tv::supervisor {

class WorkerOrders {
 public:
  virtual ~WorkerOrders() = default;
  // Orders to a process that has not said hello yet are given with its welcome.
  virtual void stop(ParticipantId worker) = 0;
  virtual void stop_actor(ParticipantId worker, ActorId actor) = 0;
  virtual void start_actor(ParticipantId worker, ActorId actor) = 0;
  // Answered by actor_settled: all that lies in its mailbox now has been dealt with. Given to a process that has said hello.
  virtual void settle_actor(ParticipantId /*worker*/, ActorId, std::uint64_t /*token*/) {}
  virtual void commit_actor(ParticipantId worker, ActorId actor) = 0;
  // Of the kinds that a worker obeys itself; `actor`: of those that are an actor's. Given to a process that has said hello.
  virtual void inject(ParticipantId /*worker*/, ActorId, const Fault&) {}
  // More actors for a process that has been assigned: those that have moved to it, and members that come to a pool.
  virtual void host(ParticipantId worker, const std::vector<AssignedActor>& actors) = 0;
  // Its process has ended.
  virtual void forget(ParticipantId worker) = 0;
};

}  // namespace tv::supervisor
