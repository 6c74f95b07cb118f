// What the supervisor sees of a loop: its beat, what runs, and how actors are.
#include <atomic>
#include <thread>

#include "shm/doorbell.h"
#include "shm/heartbeat.h"
#include "shm/running.h"
#include "tests/support/plugins/hanger.h"
#include "tests/worker/runtime_fixture.h"

namespace tv::test {
namespace {

worker::ActorPlan& hanger(RuntimeFixture& f, const std::string& name, const config::HealthCheck& health = {}) {
  auto& plan = f.plan(name, "test.hanger");
  plan.plugin = plugin_path("hanger");
  plan.health = health;
  return plan;
}

std::uint64_t beat(RuntimeFixture& f) { return f.arena->participant(1).beat.load(); }

}  // namespace

TEST_CASE("the beat moves with each turn of the loop, and only on its thread", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  auto before = beat(f);
  f.runtime->turn(Deadline::in(0ns));
  CHECK(beat(f) == before + 1);
  std::thread([] { shm::beat(); }).join();
  CHECK(beat(f) == before + 1);
  f.lose_worker();
  shm::beat();
  CHECK(beat(f) == before + 1);
}

TEST_CASE("a doorbell of the supervisor makes an idle loop beat", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  f.step();
  auto before = beat(f);
  std::thread supervisor([&] {
    auto patience = Deadline::in(30s);
    while (beat(f) < before + 10 && !patience.passed()) shm::ring_for_dead(*f.arena, 1, kSupervisor);
    f.orders->stop();
  });
  CHECK(f.runtime->run() == worker::kExitStopped);
  supervisor.join();
  CHECK(beat(f) >= before + 10);
}

TEST_CASE("a method may announce how long it takes, which ends with it", "[runtime]") {
  RuntimeFixture f;
  hanger(f, "a");
  f.start();
  auto& word = f.arena->cell(0).running;
  std::atomic<std::int64_t> until{0};
  std::atomic<bool> over{false};
  std::thread watcher([&] {
    while (!over) {
      auto seen = shm::unpack_running(word.load());
      if (seen.doing == shm::Doing::kMethod && seen.until_ns != 0) until = seen.until_ns;
    }
  });
  auto began = monotonic_ns();
  f.must(f.actor<Hanger>("a").call(Hanger::compute, 50, 60'000).get());
  over = true;
  watcher.join();
  CHECK(until >= began + 59'000'000'000);
  CHECK(word.load() == 0);
}

TEST_CASE("an actor is asked how it is between messages, also under load, and what is news is told once", "[runtime]") {
  RuntimeFixture f;
  hanger(f, "a", {1ms, 5s, 1});
  hanger(f, "b");
  f.start();
  auto a = f.actor<Hanger>("a");
  auto busy_until = [&](std::size_t told) {
    auto patience = Deadline::in(30s);
    while (f.control.healths[0].size() < told && !patience.passed()) f.must(a.call(Hanger::add, 1).get());
    return f.control.healths[0].size() >= told;
  };
  REQUIRE(busy_until(1));
  REQUIRE(a.call(Hanger::set_health, std::string("throws")).get());
  REQUIRE(busy_until(2));
  REQUIRE(a.call(Hanger::set_health, std::string("unhealthy")).get());
  REQUIRE(busy_until(3));
  REQUIRE(a.call(Hanger::set_health, std::string()).get());
  REQUIRE(busy_until(4));
  CHECK(f.control.healths[0] ==
        std::vector<std::string>{"healthy", "on_health: the instrument is broken", "the bath is too cold", "healthy"});
  CHECK_FALSE(f.control.healths.contains(1));
}

}  // namespace tv::test
