// What an actor does with a message that it may have had at hand before its worker died. A pure decision over ActorCell::at_hand.
//
// Only a message that is begun is ever at hand, and what has been dealt with never comes again: so a message that is found at hand was
// being handled when the last process ended.
#pragma once

#include "config/config.h"
#include "ipc/call_identity.h"
#include "shm/at_hand.h"

namespace tv::worker {

// Which of a participant's messages: its sender, and where its record ends.
using MessagePlace = ipc::MessagePlace;

enum class DeliveryStep {
  kBegin,   // store `at_hand`, then run the method
  kRefuse,  // at most once: it has been begun already
  kGiveUp,  // at least or effectively once: it has been begun max_deliveries times
};

struct DeliveryDecision {
  DeliveryStep step = DeliveryStep::kBegin;
  shm::AtHand at_hand;       // with this try counted
  std::uint32_t deaths = 0;  // of workers that were handling it
};

DeliveryDecision decide_delivery(shm::AtHand stored, const MessagePlace& message, const config::Delivery& rule);

// What to store when the method has left the message on purpose, so that the next incarnation begins it: that was no death.
shm::AtHand uncount(shm::AtHand at_hand);

}  // namespace tv::worker
