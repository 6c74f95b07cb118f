// Faults on purpose, with real processes: each shows the cause that it should, and only where the configuration lets it happen.
#include "tests/support/catch.h"
#include "tests/support/daemon.h"
#include "tests/support/plugins/hanger.h"

using namespace tv;
using namespace tv::test;

namespace {

constexpr CallOptions kPatient{.timeout = 2min};

std::string config(bool enabled, const std::string& delivery = "at_least_once") {
  return std::string(enabled ? "[inject]\nenabled = true\n" : "") +
         base_config(2, "watchdog = \"1s\"\nwatchdog_grace = \"100ms\"\nrestart = { min = \"1ms\", max = \"20ms\", intensity = 100 }") +
         "[[actor]]\nname = \"a\"\ntype = \"test.hanger\"\nplugin = \"" + plugin("hanger") + "\"\nworker = \"cpu/0\"\ndelivery = \"" +
         delivery + "\"\n";
}

DaemonOptions options(const std::string& text) { return {.config = text, .environment = {{"TENSORVISOR_WORKER", TV_CHAOS_WORKER}}}; }

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

void inject(Daemon& daemon, std::vector<std::string> words) {
  words.insert(words.begin(), "inject");
  auto said = daemon.tensorctl(words);
  INFO(said.out << said.err);
  REQUIRE(said.status == 0);
}

}  // namespace

TEST_CASE("a fault of a worker's process shows its cause, is told of as one on purpose, and the worker comes back", "[inject]") {
  Daemon daemon(options(config(true)));
  struct Case {
    std::vector<std::string> words;
    std::string cause;
  };
  const std::vector<Case> cases = {
      {{"crash", "cpu/1"}, "killed by SIGSEGV"},           {{"kill", "cpu/1"}, "killed by SIGKILL"},
      {{"exit", "cpu/1", "--code", "70"}, "exit code 70"}, {{"exit", "cpu/1", "--code", "3"}, "exit code 3"},
      {{"hang", "cpu/1"}, "hang: no progress for 1s"},     {{"stop", "cpu/1"}, "hang: no progress for 1s"},
  };
  std::uint32_t incarnation = daemon.worker("cpu/1").incarnation;
  for (const auto& each : cases) {
    inject(daemon, each.words);
    ++incarnation;
    daemon.wait_until(each.words[0] + " has killed it and it is back", [&] {
      auto worker = daemon.worker("cpu/1");
      return worker.incarnation == incarnation && worker.state == "ready";
    });
    INFO(each.words[0] << "\n" << daemon.log());
    CHECK(has(daemon.worker("cpu/1").last_death, each.cause));
    auto events = daemon.tensorctl({"events", "cpu/1", "--level", "warning", "-n", "20"});
    CHECK(has(events.out, "fault injected kind=" + each.words[0] + " worker=cpu/1"));
  }
  CHECK(daemon.worker("cpu/0").incarnation == 1);
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an actor's next messages throw, as many as were ordered, and its state is as if they had not come", "[inject]") {
  auto delivery = GENERATE(std::string("at_least_once"), std::string("effectively_once"));
  Daemon daemon(options(config(true, delivery)));
  auto client = daemon.connect();
  auto a = *client->actor<Hanger>("a");
  REQUIRE(*a.call_with(kPatient, Hanger::add, 1).get() == 1);
  inject(daemon, {"throw", "a", "--count", "2"});
  // An order overtakes no message that is being handled, and comes before the next one that it has overtaken; so ask until it has come.
  int thrown = 0;
  std::int64_t sum = 1;
  for (int i = 0; i < 1000 && thrown < 2; ++i) {
    auto answer = a.call_with(kPatient, Hanger::add, 1).get();
    if (answer) {
      CHECK(thrown == 0);
      CHECK(*answer == ++sum);
    } else {
      CHECK(has(answer.error().message, "thrown on purpose"));
      ++thrown;
    }
  }
  CHECK(thrown == 2);
  CHECK(*a.call_with(kPatient, Hanger::add, 1).get() == sum + 1);
  CHECK(daemon.worker("cpu/0").incarnation == 1);
  CHECK(has(daemon.tensorctl({"events", "a"}).out, "fault injected kind=throw actor=a count=2"));
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an actor's next messages are late, also by more than the watchdog's time, and are answered", "[inject]") {
  Daemon daemon(options(config(true)));
  auto client = daemon.connect();
  auto a = *client->actor<Hanger>("a");
  REQUIRE(*a.call_with(kPatient, Hanger::add, 1).get() == 1);
  inject(daemon, {"delay", "a", "--delay", "1500ms"});
  std::int64_t sum = 1, slowest_ns = 0;
  for (int i = 0; i < 1000 && slowest_ns < 1'000'000'000; ++i) {
    auto begin = monotonic_ns();
    auto answer = a.call_with(kPatient, Hanger::add, 1).get();
    REQUIRE(answer);
    CHECK(*answer == ++sum);
    slowest_ns = std::max(slowest_ns, monotonic_ns() - begin);
  }
  CHECK(slowest_ns >= 1'500'000'000);
  CHECK(daemon.worker("cpu/0").incarnation == 1);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("no fault is injected where the configuration does not say so, or that cannot be", "[inject]") {
  Daemon off(options(config(false)));
  auto refused = off.tensorctl({"inject", "kill", "cpu/0"});
  CHECK(refused.status == 1);
  CHECK(has(refused.err, "[inject]"));
  CHECK(off.worker("cpu/0").incarnation == 1);
  CHECK_FALSE(off.logged("fault injected"));
  CHECK(off.stop() == 0);

  Daemon on(options(config(true)));
  CHECK(on.tensorctl({"inject", "kill", "cpu/7"}).status == 4);
  CHECK(on.tensorctl({"inject", "kill", "cpu"}).status == 1);     // two processes
  CHECK(on.tensorctl({"inject", "throw", "cpu/0"}).status == 1);  // no actor
  CHECK(on.tensorctl({"inject", "throw", "b"}).status == 4);
  CHECK(on.tensorctl({"inject", "throw", "a", "--count", "1000000"}).status == 1);
  CHECK(on.tensorctl({"inject", "delay", "a", "--delay", "1h"}).status == 1);
  auto nearest = on.tensorctl({"inject", "crahs", "cpu/0"});
  CHECK(nearest.status == 2);
  CHECK(has(nearest.err, "did you mean \"crash\"?"));
  CHECK(on.stop() == 0);
}
