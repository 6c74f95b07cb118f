// When an actor has dealt with what lay in its mailbox, and actors that come to a worker that runs.
#include "tests/worker/runtime_fixture.h"

namespace tv::test {

TEST_CASE("an actor has settled when all that lay in its mailbox when the order came is done, whatever comes later", "[settle]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.plan("b", "test.counter");
  f.start();
  std::vector<Future<std::int64_t>> before;
  for (int i = 0; i < 5; ++i) before.push_back(f.actor<Counter>("a").call(Counter::add, 1));
  f.orders->settle_actor(0, 7);
  std::vector<Future<std::int64_t>> after;
  while (!f.control.settled.contains(0)) {
    f.step();
    after.push_back(f.actor<Counter>("a").call(Counter::add, 1));
    REQUIRE(after.size() < 1000);
  }
  CHECK(f.control.settled[0] == 7);
  CHECK(f.arena->cell(0).handled.load() >= 5);
  CHECK(f.arena->cell(0).handled.load() < 5 + after.size() + 1);
  CHECK_FALSE(f.control.settled.contains(1));
  f.orders->settle_actor(1, 8);
  while (!f.control.settled.contains(1)) f.step();  // rings are the worker's: what lies before is read first
  CHECK(f.control.settled[1] == 8);
}

TEST_CASE("answers that wait for a commit are given before an actor has settled", "[settle]") {
  RuntimeFixture f;
  auto& plan = f.plan("a", "test.counter");
  plan.every_messages = 100;
  plan.delivery.mode = config::DeliveryMode::kEffectivelyOnce;
  f.start();
  auto answer = f.actor<Counter>("a").call(Counter::add, 1);
  f.orders->settle_actor(0, 1);
  while (!f.control.settled.contains(0)) f.step();
  f.step();
  CHECK(answer.ready());
  CHECK(f.arena->cell(0).commits.load() == 1);
}

TEST_CASE("one that is stopped has settled: its mail waits for its start", "[settle]") {
  RuntimeFixture f;
  f.plan("a", "test.counter").held = true;
  f.start();
  auto waiting = f.actor<Counter>("a").call(Counter::add, 1);
  f.orders->settle_actor(0, 1);
  f.step();
  f.step();
  CHECK(f.control.settled.contains(0));
  CHECK_FALSE(waiting.ready());
}

TEST_CASE("an actor that comes to a worker that runs is held until it is started, and comes once", "[settle]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  auto guest = f.plan("guest", "test.counter");
  guest.held = true;
  f.orders->host({guest});
  auto early = f.actor<Counter>("guest").call(Counter::add, 5);
  f.step();
  f.step();
  CHECK_FALSE(early.ready());
  f.orders->host({f.plans.back()});
  f.orders->start_actor(guest.id);
  CHECK(f.must(early.get()) == 5);
}

}  // namespace tv::test
