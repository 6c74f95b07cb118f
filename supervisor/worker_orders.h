// What the supervisor says to a worker's process. Implemented by the control server; by a fake in tests.
#pragma once

#include "supervisor/assignment.h"

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
  // One more for a process that has been assigned: held until start_actor.
  virtual void host_actor(ParticipantId /*worker*/, const AssignedActor&) {}
  // Its process has ended.
  virtual void forget(ParticipantId worker) = 0;
};

}  // namespace tv::supervisor
