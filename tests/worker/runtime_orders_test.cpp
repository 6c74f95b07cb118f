#include <atomic>
#include <thread>

#include "tests/support/plugins/flaky.h"
#include "tests/support/temp_dir.h"
#include "tests/worker/runtime_fixture.h"

namespace tv::test {

TEST_CASE("an order to stop ends the loop with every actor committed", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter").every_messages = 0;
  f.start();
  f.must(f.actor<Counter>("a").call(Counter::add, 5).get());
  CHECK(f.arena->cell(0).commits.load() == 0);
  f.orders->stop();
  CHECK(f.runtime->run() == worker::kExitStopped);
  CHECK(f.control.is_stopping);
  CHECK(f.arena->cell(0).commits.load() == 1);
}

TEST_CASE("a method that gives up because of a stop leaves its message to the next incarnation", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  auto slow = f.actor<Counter>("a").call(Counter::slow, 60'000);
  std::thread stopper([&] { f.orders->stop(); });
  CHECK(f.runtime->run() == worker::kExitStopped);
  stopper.join();
  CHECK_FALSE(slow.ready());
  f.lose_worker();
  f.start();
  // The message is there again: executed now, as no stop has been asked for, until the next one.
  std::thread again([&] { f.orders->stop(); });
  CHECK(f.runtime->run() == worker::kExitStopped);
  again.join();
  CHECK(f.arena->cell(0).handled.load() == 0);
}

TEST_CASE("a lost supervisor ends the loop without another message", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  auto never = f.actor<Counter>("a").call(Counter::add, 5);
  f.orders->lose_supervisor();
  CHECK(f.runtime->run() == worker::kExitSupervisorLost);
  CHECK_FALSE(never.ready());
}

TEST_CASE("an actor that is held is started by an order, and its mail waits until then", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter").held = true;
  f.plan("b", "test.counter");
  f.start();
  CHECK(f.control.is_ready);
  CHECK_FALSE(f.control.started.contains(0));
  CHECK(f.control.started.contains(1));
  auto early = f.actor<Counter>("a").call(Counter::add, 5);
  CHECK(f.must(f.actor<Counter>("b").call(Counter::add, 1).get()) == 1);
  CHECK_FALSE(early.ready());
  f.orders->start_actor(0);
  CHECK(f.must(early.get()) == 5);
  CHECK(f.control.started.contains(0));
}

TEST_CASE("mail of an actor that was given up is refused with the reason, until it is started after all", "[runtime]") {
  RuntimeFixture f;
  auto& plan = f.plan("a", "test.counter");
  plan.held = true;
  plan.failure = "4 deaths within 60s";
  f.start();
  auto call = f.actor<Counter>("a").call(Counter::add, 5);
  f.say(0, shm::ActorState::kFailed);
  auto refused = call.get();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("4 deaths within 60s") != std::string::npos);
  f.orders->start_actor(0);
  f.step();
  f.say(0, shm::ActorState::kReady);
  CHECK(f.must(f.actor<Counter>("a").call(Counter::add, 5).get()) == 5);
}

TEST_CASE("mail of an actor that could not be started waits until it is started again, and is handled in order", "[runtime]") {
  RuntimeFixture f;
  TempDir trouble;
  auto& plan = f.plan("a", FlakyAccount::kType);
  plan.plugin = plugin_path("flaky");
  auto arg = plan.args->initRoot<wire::Value>().initMap(1)[0];
  arg.setKey("trouble");
  arg.initValue().setText(trouble.path());
  for (const char* callback : {"constructor", "on_start"}) trouble.write(std::string("a.") + callback, "");
  f.start();
  CHECK(f.control.failed.at(0).find("thrown in constructor") != std::string::npos);
  auto a = f.actor<FlakyAccount>("a");
  std::vector<Future<bool>> calls;
  for (std::int64_t n = 1; n <= 3; ++n) calls.push_back(a.call(FlakyAccount::move, std::string("client"), n, std::int64_t{1}, n == 2 ? std::int64_t{-2} : std::int64_t{1}));
  for (int i = 0; i < 10; ++i) f.step();
  f.orders->start_actor(0);
  for (int i = 0; i < 10; ++i) f.step();
  CHECK(f.control.failed.at(0).find("thrown in on_start") != std::string::npos);
  for (const auto& call : calls) CHECK_FALSE(call.ready());
  f.orders->start_actor(0);
  CHECK(f.must(calls[0].get()));
  CHECK_FALSE(f.must(calls[1].get()));  // in order: there was only 1 in it
  CHECK(f.must(calls[2].get()));
  CHECK(f.control.started.contains(0));
}

TEST_CASE("mail that waits for an actor that could not be started is refused when it is given up", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", BadStart::kType);
  f.start();
  auto call = f.actor<BadStart>("a").call(BadStart::ping);
  for (int i = 0; i < 10; ++i) f.step();
  CHECK_FALSE(call.ready());
  f.say(0, shm::ActorState::kFailed);
  f.step();  // the worker's word comes before the client's own look
  auto refused = call.get();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::kNotDelivered);
  CHECK(refused.error().message.find("this actor never starts") != std::string::npos);
}

TEST_CASE("the supervisor is told when an actor has stopped, and the cell says whose code runs", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  auto& running = f.arena->cell(0).running;
  f.must(f.actor<Counter>("a").call(Counter::add, 5).get());
  CHECK(running.load() == 0);
  auto slow = f.actor<Counter>("a").call(Counter::slow, 60'000);
  std::atomic<std::uint64_t> seen{0};
  std::thread stopper([&] {
    auto patience = Deadline::in(30s);
    while (running.load() == 0 && !patience.passed()) std::this_thread::yield();
    seen = running.load();
    f.orders->stop_actor(0);
  });
  REQUIRE(f.run_until([&] { return !f.control.stopped.empty(); }, Deadline::in(30s)));
  stopper.join();
  CHECK(seen == 1);
  CHECK(f.control.stopped == std::vector<ActorId>{0});
  CHECK(running.load() == 0);
}

TEST_CASE("a stopped actor's mail waits until it is started again", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.plan("b", "test.counter");
  f.start();
  auto a = f.actor<Counter>("a");
  f.must(a.call(Counter::add, 5).get());
  f.orders->stop_actor(0);
  auto first = a.call(Counter::add, 1);
  auto second = a.call(Counter::add, 1);
  CHECK(f.must(f.actor<Counter>("b").call(Counter::add, 1).get()) == 1);
  CHECK(f.control.stopped == std::vector<ActorId>{0});
  CHECK_FALSE(first.ready());
  f.orders->start_actor(0);
  CHECK(f.must(first.get()) == 6);
  CHECK(f.must(second.get()) == 7);
}

TEST_CASE("mail of a stopped actor is withdrawn at its deadline and gives its place free", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  f.orders->stop_actor(0);
  auto late = f.actor<Counter>("a").call_with({.timeout = 20ms}, Counter::add, 1).get();
  REQUIRE_FALSE(late);
  CHECK(late.error().code == Errc::kNotDelivered);
  const auto& ring = f.arena->ring(2, 1);
  REQUIRE(f.run_until([&] { return ring.head.load() == ring.tail.load(); }, Deadline::in(30s)));
  CHECK(f.arena->cell(0).cancelled.load() + f.arena->cell(0).expired.load() == 1);
  CHECK(f.arena->cell(0).handled.load() == 0);
}

TEST_CASE("publishing goes to the supervisor with the tensor's handle", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  auto a = f.actor<Counter>("a");
  CHECK(f.must(a.call(Counter::publish, "weights", 10).get()) == 1);
  CHECK(f.control.published.count("weights") == 1);
  CHECK(a.call(Counter::withdraw, "weights").get());
  auto missing = a.call(Counter::withdraw, "weights").get();
  REQUIRE_FALSE(missing);
  CHECK(missing.error().message.find("weights") != std::string::npos);
}

}  // namespace tv::test
