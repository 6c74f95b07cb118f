#include "shm/spin.h"

#include "tests/support/catch.h"

using namespace tv;
using namespace tv::shm;

namespace {

// Traffic in which every wait ends after `gap`, or after what a sleeper's waking adds where the budget is shorter.
void traffic(SpinPolicy& policy, Nanoseconds gap, int waits, Nanoseconds waking = 40us) {
  for (int i = 0; i < waits; ++i) policy.waited(gap <= policy.budget() ? gap : gap + waking, true);
}

}  // namespace

TEST_CASE("a receiver that has had no mail does not spin") {
  SpinPolicy policy(true);
  CHECK(policy.budget() == 0ns);
  traffic(policy, 1s, 100);
  CHECK(policy.budget() == 0ns);
}

TEST_CASE("steady traffic makes a receiver spin for longer than its gaps") {
  for (auto gap : {Nanoseconds{500ns}, Nanoseconds{5us}, Nanoseconds{20us}, Nanoseconds{40us}}) {
    SpinPolicy policy(true);
    traffic(policy, gap, 100);
    CHECK(policy.budget() > gap);
    CHECK(policy.budget() <= std::max(Nanoseconds{20us}, 2 * gap + 2us));
  }
}

TEST_CASE("one idle second ends the spinning") {
  SpinPolicy policy(true);
  traffic(policy, 1us, 100);
  REQUIRE(policy.budget() > 0ns);
  policy.waited(1s, false);
  CHECK(policy.budget() == 0ns);
}

TEST_CASE("a few waits in vain end the spinning") {
  SpinPolicy policy(true);
  traffic(policy, 1us, 100);
  int misses = 0;
  for (; policy.budget() > 0ns && misses < 100; ++misses) policy.waited(300us, true);
  CHECK(misses <= 4);
}

TEST_CASE("one hiccup does not end the spinning of steady traffic") {
  SpinPolicy policy(true);
  traffic(policy, 1us, 100);
  policy.waited(60us, true);
  CHECK(policy.budget() > 1us);
  traffic(policy, 1us, 10);
  CHECK(policy.budget() >= 20us);
}

TEST_CASE("traffic with gaps too long for spinning costs a trial now and then only") {
  for (auto gap : {Nanoseconds{70us}, Nanoseconds{90us}, Nanoseconds{105us}}) {
    SpinPolicy policy(true);
    Nanoseconds spun{0}, total{0};
    for (int i = 0; i < 10'000; ++i) {
      auto budget = policy.budget();
      auto span = gap <= budget ? gap : gap + 40us;
      spun += std::min(budget, span);
      total += span;
      policy.waited(span, true);
    }
    CHECK(spun * 10 < total);
  }
}

TEST_CASE("traffic that was fast, then idle, is fast again after a few messages") {
  SpinPolicy policy(true);
  traffic(policy, 1us, 100);
  policy.waited(1s, false);
  traffic(policy, 1us, 5);
  CHECK(policy.budget() > 1us);
}

TEST_CASE("waits that end at their deadline do not make a receiver spin, nor short ones stop it") {
  SpinPolicy policy(true);
  for (int i = 0; i < 1000; ++i) policy.waited(1us, false);
  CHECK(policy.budget() == 0ns);
  traffic(policy, 1us, 100);
  auto before = policy.budget();
  for (int i = 0; i < 1000; ++i) policy.waited(1us, false);
  CHECK(policy.budget() == before);
}

TEST_CASE("where one processor is all there is nobody spins") {
  SpinPolicy policy(false);
  traffic(policy, 1us, 1000);
  CHECK(policy.budget() == 0ns);
}
