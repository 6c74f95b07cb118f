// What the loop tells its supervisor, and asks of it. Implemented by ControlLink; by a fake in tests.
#pragma once

#include <cstdint>
#include <string>

#include "config/clock.h"
#include "config/ids.h"
#include "config/result.h"
#include "ipc/named_tensors.h"
#include "shm/handle.h"

namespace tv::worker {

class ControlPort : public ipc::NamePort {
 public:
  virtual ~ControlPort() = default;

  // Notices: sent in order, never waited for.
  virtual void actor_ready(ActorId actor, bool restored) = 0;
  virtual void actor_failed(ActorId actor, const Error& why) = 0;
  virtual void ready() = 0;
  virtual void stopping() = 0;

  // ask(), of NamePort: waits for the supervisor's answer until the deadline. The caller holds the tensor meanwhile.
};

}  // namespace tv::worker
