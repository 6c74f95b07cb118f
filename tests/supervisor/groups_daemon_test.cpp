// Groups, causes and ways back, with real processes.
#include <signal.h>

#include "tests/supervisor/daemon_process.h"
#include "tests/support/catch.h"

using namespace tv;
using test::DaemonProcess;

namespace {

std::string worker(const std::string& name, const std::string& fake = "", const std::string& more = "") {
  return "[[worker]]\nname = \"" + name + "\"\nenv = { TV_FAKE = \"" + fake + "\" }\n" + more + "\n";
}
std::string actor(const std::string& name, const std::string& on, const std::string& more = "") {
  return "[[actor]]\nname = \"" + name + "\"\ntype = \"torchscript\"\nworker = \"" + on + "\"\n" + more + "\n";
}
std::string begin(const std::string& supervisor = "") {
  return "[supervisor]\nlog_level = \"debug\"\n" + supervisor + "\n[arena]\nsize = \"64MiB\"\n";
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string group_state(DaemonProcess& daemon) {
  auto reply = daemon.ask([](auto request) { request.setListGroups(); });
  if (!reply) FAIL(reply.error().message);
  auto groups = reply->root<wire::AdminReply>().getGroups();
  REQUIRE(groups.size() == 1);
  return groups[0].getState().cStr();
}

auto order_kill(const std::string& worker) {
  return [=](wire::AdminRequest::Builder request) {
    request.initKill().setWorker(worker);
    request.getKill().setSignal(SIGKILL);
  };
}
auto order_stop(const std::string& name) {
  return [=](wire::AdminRequest::Builder request) { request.setStop(name); };
}
auto order_restart(const std::string& name) {
  return [=](wire::AdminRequest::Builder request) { request.setRestart(name); };
}
auto order_reset(const std::string& name) {
  return [=](wire::AdminRequest::Builder request) { request.setResetFailed(name); };
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_CASE("an actor that kills its worker again and again costs its group its place, and not the worker", "[daemon]") {
  DaemonProcess daemon(begin() + worker("w") + worker("x", "die-starting=0", "restart = { min = \"1ms\", max = \"2ms\", intensity = 3 }") +
                       actor("bad", "x") + actor("good", "x") + actor("a", "w") +
                       "[[group]]\nname = \"g\"\nstrategy = \"one_for_all\"\nchildren = [\"a\", \"bad\"]\nintensity = 2\nrestart = { intensity = 0 }\n");
  daemon.wait_settled();
  CHECK(group_state(daemon) == "failed");
  CHECK(daemon.actor_state("a") == "failed");
  CHECK(daemon.actor_state("bad") == "failed");
  CHECK(daemon.actor_state("good") == "ready");
  CHECK(daemon.worker("x").state == "ready");
  CHECK(daemon.worker("w").incarnation == 1);
  CHECK(daemon.health() == "degraded");
  CHECK(count(daemon.log(), "event=\"death charged\" actor=bad") == 3);
  CHECK(daemon.ask(order_restart("bad")).error().code == Errc::kUnavailable);
  REQUIRE(daemon.ask(order_reset("g")));
  daemon.eventually("three more deaths", [&] { return count(daemon.log(), "event=\"death charged\" actor=bad") == 6; });
  daemon.eventually("the second failure", [&] { return group_state(daemon) == "failed"; });
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a group is stopped and restarted by its name", "[daemon]") {
  DaemonProcess daemon(begin() + worker("w") + worker("x") + actor("a", "w") + actor("b", "x") +
                       "[[group]]\nname = \"g\"\nchildren = [\"a\", \"b\"]\n");
  daemon.wait_ready();
  CHECK(group_state(daemon) == "ready");
  REQUIRE(daemon.ask(order_stop("g")));
  daemon.eventually("the stop", [&] { return group_state(daemon) == "stopped"; });
  CHECK(daemon.actor_state("a") == "stopped");
  CHECK(daemon.worker("w").state == "ready");
  REQUIRE(daemon.ask(order_restart("g")));
  daemon.eventually("the restart", [&] { return group_state(daemon) == "ready"; });
  CHECK(daemon.actor_state("b") == "ready");
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a worker that is killed while nobody's code runs is nobody's fault, and its groups stay as they are", "[daemon]") {
  DaemonProcess daemon(begin() + worker("w") + worker("x") + actor("a", "w") + actor("b", "x") +
                       "[[group]]\nname = \"g\"\nstrategy = \"one_for_all\"\nchildren = [\"a\", \"b\"]\nintensity = 0\n");
  daemon.wait_ready();
  REQUIRE(daemon.ask(order_kill("w")));
  daemon.eventually("the restart", [&] { return daemon.worker("w").incarnation == 2 && daemon.worker("w").state == "ready"; });
  CHECK(daemon.actor_state("a") == "ready");
  CHECK(daemon.worker("x").incarnation == 1);
  CHECK_FALSE(has(daemon.log(), "actor stopped"));
  CHECK_FALSE(has(daemon.log(), "death charged"));
  CHECK(daemon.stop() == 0);
}

TEST_CASE("who comes after one that cannot start waits, says so, and does not keep the daemon from being ready", "[daemon]") {
  DaemonProcess daemon(begin() + worker("w", "fail=0") + actor("a", "w") + actor("b", "w", "after = [\"a\"]"));
  daemon.wait_settled();
  CHECK(daemon.actor_state("a") == "failed");
  CHECK(daemon.actor_state("b") == "starting");
  CHECK(daemon.health() == "degraded");
  REQUIRE(daemon.ask(order_restart("a")));
  daemon.eventually("both", [&] { return daemon.actor_state("a") == "ready" && daemon.actor_state("b") == "ready"; });
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an actor that does not stop in time costs its worker the process, and stays stopped", "[daemon]") {
  DaemonProcess daemon(begin("stop_grace = \"50ms\"") + worker("w", "slow-actor") + actor("a", "w") + actor("b", "w"));
  daemon.wait_ready();
  REQUIRE(daemon.ask(order_stop("a")));
  daemon.eventually("the next process", [&] { return daemon.worker("w").incarnation == 2 && daemon.worker("w").state == "ready"; });
  CHECK(has(daemon.worker("w").last_death, "actor \"a\" did not stop within 50ms"));
  CHECK(daemon.actor_state("a") == "stopped");
  CHECK(daemon.actor_state("b") == "ready");
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a cause that the table gives up is not tried again", "[daemon]") {
  DaemonProcess daemon(begin() + worker("w", "exit=70", "causes = { exit = { 70 = \"give_up\" } }") + actor("a", "w"));
  daemon.wait_settled();
  CHECK(daemon.worker("w").state == "failed");
  CHECK(daemon.worker("w").restarts == 0);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a worker on probation gets another chance, and fails again at its first death", "[daemon]") {
  DaemonProcess daemon(begin() + worker("w", "exit=70", "probation = \"20ms\"\nrestart = { min = \"1ms\", intensity = 1 }") + actor("a", "w"));
  daemon.eventually("two chances", [&] { return count(daemon.log(), "event=\"worker gets another chance\"") >= 2; });
  CHECK(has(daemon.log(), "failed again on probation: exit code 70"));
  CHECK(count(daemon.log(), "event=\"worker restarts\"") == 1);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("reset-failed of everything starts what has failed", "[daemon]") {
  DaemonProcess daemon(begin() + worker("w", "fail=0") + actor("a", "w"));
  daemon.wait_settled();
  CHECK(daemon.actor_state("a") == "failed");
  REQUIRE(daemon.ask(order_reset("")));
  daemon.eventually("the start", [&] { return daemon.actor_state("a") == "ready"; });
  CHECK(daemon.ask(order_reset("nobody")).error().code == Errc::kNotFound);
  CHECK(daemon.stop() == 0);
}
