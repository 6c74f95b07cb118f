#include <signal.h>

#include <algorithm>

#include "config/process_names.h"
#include "tests/integration/bank_config.h"

using namespace tv;
using namespace tv::test;

TEST_CASE("a killed worker comes back with its actors' state, and the cause is in the log and the list", "[integration]") {
  Daemon daemon({.config = exact_counter_config()});
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  REQUIRE(*counter.call(Counter::add, 5).get(10s) == 5);
  REQUIRE(*counter.call(Counter::add, 6).get(10s) == 11);
  int first = daemon.worker("cpu").pid;
  daemon.kill_and_wait("cpu");
  auto value = counter.call(Counter::value).get(10s);
  REQUIRE(value.ok());
  CHECK(*value == 11);
  auto worker = daemon.worker("cpu");
  CHECK(worker.pid != first);
  CHECK(worker.restarts == 1);
  CHECK(worker.incarnation == 2);
  CHECK(worker.last_death.find("SIGKILL") != std::string::npos);
  CHECK(daemon.logged("SIGKILL"));
  CHECK(daemon.actor("counter").incarnation == 2);
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("mail that waits for a killed worker is answered by its next incarnation, in order", "[integration]") {
  Daemon daemon({.config = counter_config()});
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  REQUIRE(*counter.call(Counter::add, 1).get(10s) == 1);
  // The first call blocks the worker until it is killed; what follows is unread then.
  auto hanging = counter.call(Counter::hang_once, std::string("hanging"), false);
  daemon.wait_until("the method runs", [&] { return client->find("hanging").ok(); });
  std::vector<Future<std::int64_t>> later;
  for (int i = 0; i < 100; ++i) later.push_back(counter.call(Counter::arrive));
  daemon.kill_and_wait("cpu");
  REQUIRE(hanging.get(30s).ok());
  for (std::size_t i = 0; i < later.size(); ++i) {
    auto answer = later[i].get(30s);
    INFO(i << (answer ? "" : answer.error().message));
    REQUIRE(answer.ok());
    CHECK(*answer == static_cast<std::int64_t>(i));  // the position at which it arrived
  }
  CHECK(daemon.stop() == 0);
}

TEST_CASE("each way to die is told by its own cause", "[integration]") {
  struct Way {
    std::string how;
    std::string cause;
  };
  for (const Way& way : {Way{"abort", "SIGABRT"}, Way{"segv", "SIGSEGV"}, Way{"exit 70", "exit code 70 (actor bug)"},
                         Way{"exit 75", "exit code 75"}, Way{"exit 3", "exit code 3"}}) {
    // The message that kills its reader stays unread and kills the next one, too: so the actor is given one life only.
    Daemon daemon({.config = counter_config(1, "restart = { intensity = 0 }")});
    auto client = daemon.connect();
    auto counter = *client->actor<Counter>("counter");
    auto call = counter.call(Counter::crash, way.how);
    daemon.wait_until("the actor is given up", [&] { return daemon.actor("counter").state == "failed"; });
    INFO(way.how << ": " << daemon.worker("cpu").last_death);
    CHECK(daemon.worker("cpu").last_death.find(way.cause) != std::string::npos);
    CHECK(daemon.logged(way.cause));
    CHECK_FALSE(call.get(30s).ok());
    CHECK(daemon.fsck().empty());
    CHECK(daemon.stop() == 0);
  }
}

TEST_CASE("an actor that keeps crashing is given up, its callers are told, its worker goes on, and reset-failed gives it another chance", "[integration]") {
  Daemon daemon({.config = base_config(1, "restart = { min = \"1ms\", max = \"2ms\", intensity = 3, period = \"60s\" }") +
                           actor_config("counter", "test.counter", "max_deliveries = 255")});
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  // A message that kills its reader each time: unread until it has killed more often than its actor is restarted.
  auto call = counter.call(Counter::crash, std::string("abort"));
  daemon.wait_until("the actor is given up", [&] { return daemon.actor("counter").state == "failed"; });
  auto outcome = call.get(30s);
  REQUIRE_FALSE(outcome.ok());
  INFO(outcome.error().message);
  CHECK(outcome.error().code == Errc::kOutcomeUnknown);
  CHECK(outcome.error().message.find("SIGABRT") != std::string::npos);
  auto refused = counter.call(Counter::value).get(10s);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Errc::kNotDelivered);
  daemon.wait_until("the worker is there for others", [&] { return daemon.worker("cpu").state == "ready"; });
  CHECK(daemon.worker("cpu").restarts == 4);
  auto status = daemon.tensorctl({"status"});
  CHECK(status.out.find("degraded") != std::string::npos);
  REQUIRE(daemon.tensorctl({"reset-failed", "counter"}).status == 0);
  REQUIRE(daemon.tensorctl({"wait", "--for=ready", "counter", "--timeout", "30s"}).status == 0);
  CHECK(counter.call(Counter::value).get(10s).ok());
  CHECK(daemon.tensorctl({"status"}).out.find("degraded") == std::string::npos);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a killed zygote is replaced, and workers can still be restarted", "[integration]") {
  Daemon daemon({.config = exact_counter_config()});
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  REQUIRE(*counter.call(Counter::add, 5).get(10s) == 5);
  int zygote = 0;
  for (int pid : processes_of(daemon.runtime_dir()))
    if (read_text("/proc/" + std::to_string(pid) + "/cmdline").find("--zygote") != std::string::npos &&
        read_text("/proc/" + std::to_string(pid) + "/comm").find("zygote") != std::string::npos)
      zygote = pid;
  REQUIRE(zygote != 0);
  REQUIRE(::kill(zygote, SIGKILL) == 0);
  CHECK(*counter.call(Counter::add, 1).get(10s) == 6);
  daemon.kill_and_wait("cpu");
  CHECK(*counter.call(Counter::value).get(10s) == 6);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a spare takes the place of a killed worker, and another one is parked", "[integration]") {
  Daemon daemon({.config = "[supervisor]\nlog_level = \"debug\"\n" + exact_counter_config(1, "spares = 1")});
  auto parked = [&daemon](int pid) { return daemon.logged("event=\"spare parked\" group=cpu pid=" + std::to_string(pid) + "\n"); };
  auto spares = [&daemon] {
    std::string log = daemon.log();
    std::size_t count = 0;
    for (auto at = log.find("spare parked"); at != std::string::npos; at = log.find("spare parked", at + 1)) ++count;
    return count;
  };
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  REQUIRE(*counter.call(Counter::add, 5).get(10s) == 5);
  daemon.wait_until("a spare is parked", [&] { return spares() == 1; });
  daemon.wait_until("the memory of worker and spare is held", [&] {
    auto pids = processes_of(daemon.runtime_dir());
    std::string holder = kMemoryHolderName + std::string("\n");
    return std::count_if(pids.begin(), pids.end(), [&](int pid) { return read_text("/proc/" + std::to_string(pid) + "/comm") == holder; }) == 2;
  });
  daemon.kill_and_wait("cpu");
  CHECK(parked(daemon.worker("cpu").pid));  // it was there already
  CHECK(*counter.call(Counter::value).get(10s) == 5);
  daemon.wait_until("another spare is parked", [&] { return spares() == 2; });
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a temporary actor does not come back after a crash, its callers are told", "[integration]") {
  Daemon daemon({.config = counter_config() + actor_config("once", "test.counter", "restart = \"temporary\"")});
  auto client = daemon.connect();
  auto once = *client->actor<Counter>("once");
  REQUIRE(*once.call(Counter::add, 1).get(10s) == 1);
  daemon.kill_and_wait("cpu");
  CHECK(daemon.actor("counter").state == "ready");
  CHECK(daemon.actor("once").state == "stopped");
  auto refused = once.call(Counter::value).get(10s);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Errc::kNotDelivered);
  CHECK(daemon.stop() == 0);
}
