// What the loop tells its supervisor, and asks of it. Implemented by ControlLink; by a fake in tests.
#pragma once

#include <cstdint>
#include <string>

#include "config/clock.h"
#include "config/ids.h"
#include "config/result.h"
#include "shm/handle.h"

namespace tv::worker {

class ControlPort {
 public:
  virtual ~ControlPort() = default;

  // Notices: sent in order, never waited for.
  virtual void actor_ready(ActorId actor, bool restored) = 0;
  virtual void actor_failed(ActorId actor, const Error& why) = 0;
  virtual void ready() = 0;
  virtual void stopping() = 0;

  // Requests: wait for the supervisor's answer until the deadline. The caller holds the tensor meanwhile.
  virtual Result<std::uint64_t> publish(const std::string& name, shm::Handle handle, Deadline deadline) = 0;
  virtual Result<void> withdraw(const std::string& name, Deadline deadline) = 0;
};

}  // namespace tv::worker
