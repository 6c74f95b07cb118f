// Request: what the loop reads of one message before it decides anything about it. A value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "config/ids.h"
#include "ipc/call_identity.h"

namespace tv::worker {

struct Request {
  ParticipantId from;
  shm::Lane lane;
  ActorId target;
  CallId call;
  std::int64_t deadline_ns;
  bool one_way;
  std::string method;

  // Of a message to an effectively_once actor.
  std::optional<ipc::CallIdentity> identity = std::nullopt;  // made by a method that may be replayed
  std::uint64_t hash = 0;                                    // with identity: of method and arguments
  bool redo = false;  // a predecessor may have begun it and not committed it: it has to be gone through with
};

}  // namespace tv::worker
