#include "worker/delivery.h"

#include "tests/support/catch.h"

using namespace tv;
using namespace tv::worker;

namespace {

constexpr MessagePlace kMessage{2, shm::Lane::kMail, 96};
constexpr config::Delivery kThrice{config::DeliveryMode::kAtLeastOnce, 3};
constexpr config::Delivery kEffectively{config::DeliveryMode::kEffectivelyOnce, 3};
constexpr config::Delivery kOnce{config::DeliveryMode::kAtMostOnce, 3};

// As if each process that begins the message died with it.
DeliveryDecision after_deaths(int deaths, const config::Delivery& rule) {
  shm::AtHand stored;
  for (int i = 0; i < deaths; ++i) stored = decide_delivery(stored, kMessage, rule).at_hand;
  return decide_delivery(stored, kMessage, rule);
}

}  // namespace

TEST_CASE("a message is begun as often as it may be and given up then", "[delivery]") {
  for (std::uint32_t deaths = 0; deaths < 3; ++deaths) {
    auto decision = after_deaths(static_cast<int>(deaths), kThrice);
    CHECK(decision.step == DeliveryStep::kBegin);
    CHECK(decision.deaths == deaths);
    CHECK(decision.at_hand.tries == deaths + 1);
  }
  auto last = after_deaths(3, kThrice);
  CHECK(last.step == DeliveryStep::kGiveUp);
  CHECK(last.deaths == 3);
}

TEST_CASE("the most deliveries that can be asked for are counted in one byte", "[delivery]") {
  config::Delivery most{config::DeliveryMode::kAtLeastOnce, limits::kMaxDeliveries};
  CHECK(after_deaths(254, most).step == DeliveryStep::kBegin);
  CHECK(after_deaths(255, most).step == DeliveryStep::kGiveUp);
}

TEST_CASE("effectively once, a message is begun as often as at least once", "[delivery]") {
  for (int deaths = 0; deaths < 3; ++deaths) CHECK(after_deaths(deaths, kEffectively).step == DeliveryStep::kBegin);
  CHECK(after_deaths(3, kEffectively).step == DeliveryStep::kGiveUp);
}

TEST_CASE("at most once, a message that was at hand is refused", "[delivery]") {
  CHECK(after_deaths(0, kOnce).step == DeliveryStep::kBegin);
  CHECK(after_deaths(1, kOnce).step == DeliveryStep::kRefuse);
}

TEST_CASE("another message is not blamed for what its neighbour did", "[delivery]") {
  auto stored = after_deaths(3, kThrice).at_hand;
  for (const auto& other :
       {MessagePlace{3, shm::Lane::kMail, 96}, MessagePlace{2, shm::Lane::kPriority, 96}, MessagePlace{2, shm::Lane::kMail, 192}}) {
    CHECK(decide_delivery(stored, other, kThrice).step == DeliveryStep::kBegin);
    CHECK(decide_delivery(stored, other, kThrice).deaths == 0);
    CHECK(decide_delivery(stored, other, kOnce).step == DeliveryStep::kBegin);
  }
}

TEST_CASE("a try that ended on purpose does not count, whether it was the first or a later one", "[delivery]") {
  auto first = decide_delivery({}, kMessage, kOnce).at_hand;
  CHECK(decide_delivery(uncount(first), kMessage, kOnce).step == DeliveryStep::kBegin);
  auto second = after_deaths(1, kThrice).at_hand;
  auto again = decide_delivery(uncount(second), kMessage, kThrice);
  CHECK(again.deaths == 1);
  CHECK(again.at_hand.tries == 2);
}
