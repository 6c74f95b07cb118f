#include "worker/delivery.h"

namespace tv::worker {

DeliveryDecision decide_delivery(shm::AtHand stored, const MessagePlace& message, const config::Delivery& rule) {
  auto next = shm::next_at_hand(stored, message.from, message.lane, message.end);
  bool again = stored.from == next.from && stored.end48 == next.end48;
  std::uint32_t deaths = again ? stored.tries : 0;
  DeliveryStep step = DeliveryStep::kBegin;
  if (deaths > 0 && rule.mode == config::DeliveryMode::kAtMostOnce) step = DeliveryStep::kRefuse;
  if (rule.mode != config::DeliveryMode::kAtMostOnce && deaths >= rule.max_deliveries) step = DeliveryStep::kGiveUp;
  return {step, next, deaths};
}

shm::AtHand uncount(shm::AtHand at_hand) {
  if (at_hand.tries <= 1) return {};
  --at_hand.tries;
  return at_hand;
}

}  // namespace tv::worker
