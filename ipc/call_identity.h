// What names a call that a method made so that a replay of the method makes the same name: see worker/README.md, "Effectively once".
// Values; any thread.
#pragma once

#include <compare>
#include <cstdint>

#include "config/ids.h"
#include "shm/ring.h"

namespace tv::ipc {

// Which message of a receiver: its sender, and where its record ends in that sender's ring. Never the same for two messages, as positions
// never go back.
struct MessagePlace {
  ParticipantId from = 0;
  shm::Lane lane = shm::Lane::kMail;
  shm::RingPosition end = 0;
  auto operator<=>(const MessagePlace&) const = default;
};

// The `number`-th request (from 1) that actor `source`, whose mail is in the mailbox of `worker`, started while it handled the message at `cause`.
struct CallIdentity {
  ParticipantId worker = 0;
  ActorId source = kNoActor;
  MessagePlace cause;
  std::uint32_t number = 0;
  auto operator<=>(const CallIdentity&) const = default;
};

}  // namespace tv::ipc
