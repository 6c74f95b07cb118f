// Workers that make no progress, and actors that say how they are, with real processes.
#include <signal.h>

#include "tests/support/catch.h"
#include "tests/support/daemon.h"
#include "tests/support/plugins/hanger.h"

using namespace tv;
using namespace tv::test;

namespace {

constexpr CallOptions kPatient{.timeout = 2min};

std::string actor(const std::string& name, const std::string& worker, const std::string& more = "") {
  return "[[actor]]\nname = \"" + name + "\"\ntype = \"test.hanger\"\nplugin = \"" + plugin("hanger") + "\"\nworker = \"" + worker +
         "\"\ndelivery = \"effectively_once\"\nmax_deliveries = 10\n" + more + "\n";
}

std::string workers(const std::string& watchdog, const std::string& more = "") {
  return base_config(2, "watchdog = \"" + watchdog + "\"\nrestart = { min = \"1ms\", max = \"20ms\", intensity = 100 }\n" + more);
}

DaemonOptions options(const std::string& config) { return {.config = config, .environment = {{"TENSORVISOR_WORKER", TV_CHAOS_WORKER}}}; }

template <class T>
T answer_of(const Future<T>& future) {
  auto answer = future.get();
  if (!answer) FAIL(answer.error().message);
  return *answer;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string stacks_in(const std::string& log) {
  auto begin = log.find("stacks of worker");
  auto end = log.find("end of stacks", begin);
  return begin == std::string::npos || end == std::string::npos ? "" : log.substr(begin, end - begin);
}

void wait_for_incarnation(Daemon& daemon, const std::string& worker, std::uint32_t incarnation) {
  daemon.wait_until(worker + " is back", [&] {
    auto now = daemon.worker(worker);
    return now.incarnation >= incarnation && now.state == "ready";
  });
}

}  // namespace

TEST_CASE("a method that never returns is written down with its name, killed, and its message takes effect once", "[hangs]") {
  Daemon daemon(options(workers("1s") + actor("a", "cpu/0") + actor("b", "cpu/0")));
  auto client = daemon.connect();
  auto a = *client->actor<Hanger>("a"), b = *client->actor<Hanger>("b");
  REQUIRE(answer_of(a.call_with(kPatient, Hanger::add, 1)) == 1);
  auto spun = a.call_with(kPatient, Hanger::spin_once, 10);
  auto behind = a.call_with(kPatient, Hanger::add, 100);
  auto neighbour = b.call_with(kPatient, Hanger::add, 7);
  CHECK(answer_of(spun) == 11);
  CHECK(answer_of(behind) == 111);
  CHECK(answer_of(neighbour) == 7);
  auto worker = daemon.worker("cpu/0");
  CHECK(worker.last_death == "hang: no progress for 1s in actor \"a\", method spin_once; killed by SIGABRT");
  CHECK(worker.incarnation == 2);
  auto log = daemon.log();
  INFO(log);
  auto stacks = stacks_in(log);
  CHECK(has(stacks, "tv::test::(anonymous namespace)::HangerActor::spin_for_ever+"));
  CHECK(has(stacks, " in hanger.so"));
  CHECK(has(stacks, "tv::worker::Runtime::run+"));
  CHECK(has(stacks, "tv::worker::ControlLink::run+"));  // another thread
  CHECK(has(log, "event=\"death charged\" actor=a"));
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an idle worker that is stopped counts as one that hangs, and the log says that it was stopped", "[hangs]") {
  Daemon daemon(options(workers("1s", "watchdog_grace = \"100ms\"") + actor("a", "cpu/0")));
  int pid = daemon.worker("cpu/0").pid;
  REQUIRE(::kill(pid, SIGSTOP) == 0);
  wait_for_incarnation(daemon, "cpu/0", 2);
  auto death = daemon.worker("cpu/0").last_death;
  CHECK(death == "hang: no progress for 1s in no actor's code: its process was stopped (SIGSTOP); killed by SIGKILL");
  CHECK_FALSE(has(daemon.log(), "death charged"));
  CHECK(daemon.worker("cpu/1").incarnation == 1);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a busy worker that is stopped counts as one that hangs, and its message is done again", "[hangs]") {
  Daemon daemon(options(workers("2s", "watchdog_grace = \"100ms\"") + actor("a", "cpu/0")));
  auto client = daemon.connect();
  auto a = *client->actor<Hanger>("a");
  int pid = daemon.worker("cpu/0").pid;
  auto sum = a.call_with(kPatient, Hanger::spin_once, 5);
  daemon.wait_until("it spins", [&] { return daemon.logged("a: spinning"); });
  REQUIRE(::kill(pid, SIGSTOP) == 0);
  CHECK(answer_of(sum) == 5);
  CHECK(daemon.worker("cpu/0").last_death ==
        "hang: no progress for 2s in actor \"a\", method spin_once: its process was stopped (SIGSTOP); killed by SIGKILL");
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a computation that has announced itself is left alone, and who waits for it as well", "[hangs]") {
  Daemon daemon(options(workers("1s") + actor("a", "cpu/0") + actor("waits", "cpu/1")));
  auto client = daemon.connect();
  CHECK(answer_of(client->actor<Hanger>("a")->call_with(kPatient, Hanger::compute, 2500, 60'000)) == 1u);
  CHECK(answer_of(client->actor<Hanger>("waits")->call_with(kPatient, Hanger::wait_for, std::string("a"), 2500)) == 1u);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("without a watchdog nobody is killed for being stopped", "[hangs]") {
  Daemon daemon(options(base_config(1, "watchdog = \"0s\"") + actor("a", "cpu")));
  int pid = daemon.worker("cpu").pid;
  REQUIRE(::kill(pid, SIGSTOP) == 0);
  auto client = daemon.connect();
  auto sum = client->actor<Hanger>("a")->call_with(kPatient, Hanger::add, 5);
  CHECK_FALSE(sum.get(Nanoseconds{300ms}));
  REQUIRE(::kill(pid, SIGCONT) == 0);
  CHECK(answer_of(sum) == 5);
  CHECK(daemon.worker("cpu").incarnation == 1);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a worker that hangs can be given up by the table of causes", "[hangs]") {
  Daemon daemon(options(workers("1s", "causes = { hang = \"give_up\" }\nwatchdog_grace = \"100ms\"") + actor("a", "cpu/0")));
  REQUIRE(::kill(daemon.worker("cpu/0").pid, SIGSTOP) == 0);
  daemon.wait_until("the worker is given up", [&] { return daemon.worker("cpu/0").state == "failed"; });
  CHECK(has(daemon.worker("cpu/0").message, "hang: no progress"));
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a method that crashes is written down, in the thread that crashed", "[hangs]") {
  struct Crash {
    const char *how, *signal, *where;
  };
  for (const auto& crash :
       {Crash{"null", "SIGSEGV", "HangerActor::write_to_nothing+"}, Crash{"abort", "SIGABRT", "HangerActor::crash_once+"}}) {
    Daemon daemon(options(workers("30s") + actor("a", "cpu/0")));
    auto client = daemon.connect();
    CHECK(answer_of(client->actor<Hanger>("a")->call_with(kPatient, Hanger::crash_once, std::string(crash.how))) == 2u);
    auto stacks = stacks_in(daemon.log());
    INFO(daemon.log());
    CHECK(has(stacks, std::string("upon ") + crash.signal));
    CHECK(has(stacks, crash.where));
    CHECK_FALSE(has(stacks, "ControlLink::run+"));
    CHECK(has(daemon.worker("cpu/0").last_death, std::string("killed by ") + crash.signal));
    CHECK(daemon.stop() == 0);
  }
}

TEST_CASE("somebody else's SIGABRT makes a worker write down every thread", "[hangs]") {
  Daemon daemon(options(workers("30s") + actor("a", "cpu/0")));
  daemon.kill_worker("cpu/0", SIGABRT);
  wait_for_incarnation(daemon, "cpu/0", 2);
  auto stacks = stacks_in(daemon.log());
  INFO(daemon.log());
  CHECK(has(stacks, "upon SIGABRT"));
  CHECK(has(stacks, "tv::worker::Runtime::run+"));
  CHECK(has(stacks, "tv::worker::ControlLink::run+"));
  CHECK(daemon.worker("cpu/0").last_death == "killed by SIGABRT");
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an actor's own check shows in status, lists and exit codes, until it is well again", "[health]") {
  Daemon daemon(options(workers("30s") +
                        actor("a", "cpu/0", "health = { period = \"10ms\", failures = 2 }\nargs = { health = \"unhealthy\" }") +
                        actor("b", "cpu/1")));
  daemon.wait_until("it is unhealthy", [&] { return daemon.tensorctl({"health", "a"}).status == 1; });
  CHECK(daemon.tensorctl({"health", "a"}).out == "a unhealthy\n");
  CHECK(daemon.tensorctl({"health", "b", "cpu/0"}).status == 0);
  auto all = daemon.tensorctl({"health"});
  CHECK(all.status == 1);
  CHECK(all.out == "degraded\n");
  CHECK(daemon.tensorctl({"health", "nobody"}).status == 4);
  auto described = daemon.tensorctl({"describe", "actor", "a", "-o", "json"}).out;
  CHECK(has(described, "\"health\": \"unhealthy\""));
  CHECK(has(described, "\"health_reason\": \"the bath is too cold\""));
  CHECK(has(daemon.tensorctl({"describe", "actor", "b", "-o", "json"}).out, "\"health\": null"));
  CHECK(has(daemon.tensorctl({"status"}).out, "actor \"a\" is unhealthy: the bath is too cold"));
  auto client = daemon.connect();
  auto a = *client->actor<Hanger>("a");
  REQUIRE(a.call_with(kPatient, Hanger::set_health, std::string()).get());
  daemon.wait_until("it is well", [&] { return daemon.tensorctl({"health"}).status == 0; });
  REQUIRE(a.call_with(kPatient, Hanger::set_health, std::string("throws")).get());
  daemon.wait_until("it is unhealthy again", [&] { return daemon.logged("the instrument is broken"); });
  CHECK(daemon.worker("cpu/0").incarnation == 1);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a check that takes too long is one that failed", "[health]") {
  Daemon daemon(
      options(workers("30s") +
              actor("a", "cpu/0", "health = { period = \"10ms\", timeout = \"5ms\", failures = 1 }\nargs = { health = \"slow\" }")));
  daemon.wait_until("it is unhealthy", [&] { return daemon.logged("longer than health.timeout (5ms)"); });
  daemon.wait_until("tensorctl says so", [&] { return daemon.tensorctl({"health", "a"}).status == 1; });
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a check that never returns is a hang of its actor", "[health]") {
  Daemon daemon(
      options(workers("1s") + actor("a", "cpu/0", "health = { period = \"10ms\", timeout = \"50ms\" }\nargs = { health = \"hangs\" }")));
  wait_for_incarnation(daemon, "cpu/0", 2);
  CHECK(has(daemon.worker("cpu/0").last_death, "hang: no progress for 1s in actor \"a\", on_health"));
  daemon.wait_until("the next one is well", [&] { return daemon.tensorctl({"health", "a"}).status == 0; });
  CHECK(daemon.stop() == 0);
}
