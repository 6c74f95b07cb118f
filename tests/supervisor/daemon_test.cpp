#include <signal.h>

#include <filesystem>

#include "tests/supervisor/daemon_process.h"
#include "tests/support/catch.h"

using namespace tv;
using test::DaemonProcess;

namespace {

// One worker "w" that behaves as `fake` says, with two actors.
std::string config(const std::string& fake = "", const std::string& more_worker = "", const std::string& supervisor = "") {
  return "[supervisor]\nlog_level = \"debug\"\n" + supervisor +
         "\n[arena]\nsize = \"64MiB\"\n[[worker]]\nname = \"w\"\ndevice = \"cpu\"\n" + "env = { TV_FAKE = \"" + fake + "\" }\n" +
         more_worker + "\n" + "[[actor]]\nname = \"a\"\ntype = \"torchscript\"\nworker = \"w\"\n" +
         "[[pool]]\nname = \"p\"\ntype = \"torchscript\"\nsize = 1\nworkers = [\"w\"]\n";
}

auto order_kill(const std::string& worker, int number) {
  return [=](wire::AdminRequest::Builder request) {
    request.initKill().setWorker(worker);
    request.getKill().setSignal(number);
  };
}
auto order_restart(const std::string& name) {
  return [=](wire::AdminRequest::Builder request) { request.setRestart(name); };
}
auto order_stop(const std::string& name) {
  return [=](wire::AdminRequest::Builder request) { request.setStop(name); };
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("the daemon becomes ready, is well, and leaves nothing behind on SIGTERM", "[daemon]") {
  DaemonProcess daemon(config());
  daemon.wait_ready();
  CHECK(daemon.health() == "ok");
  CHECK(daemon.worker("w").state == "ready");
  CHECK(daemon.actor_state("a") == "ready");
  CHECK(daemon.actor_state("p/0") == "ready");
  int worker = daemon.worker("w").pid;
  CHECK(daemon.stop() == 0);
  CHECK_FALSE(std::filesystem::exists(daemon.runtime_dir()));
  CHECK(::kill(worker, 0) != 0);
}

TEST_CASE("a killed worker comes back with its actors, and the death is told with its cause", "[daemon]") {
  DaemonProcess daemon(config());
  daemon.wait_ready();
  auto before = daemon.worker("w");
  REQUIRE(daemon.ask(order_kill("w", SIGKILL)));
  daemon.eventually("the restart", [&] { return daemon.worker("w").incarnation == 2 && daemon.worker("w").state == "ready"; });
  auto after = daemon.worker("w");
  CHECK(after.last_death == "killed by SIGKILL");
  CHECK(after.restarts == 1);
  CHECK(after.pid != before.pid);
  CHECK(after.last_restart_ns > 0);
  CHECK(daemon.health() == "ok");
  auto log = daemon.log();
  CHECK(has(log, "event=\"worker died\" worker=w pid=" + std::to_string(before.pid) + " cause=\"killed by SIGKILL\""));
  CHECK(has(log, "restart_ms="));
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a worker that cannot work is not restarted, and its reason is shown", "[daemon]") {
  DaemonProcess daemon(config("cannot"));
  daemon.wait_settled();
  auto worker = daemon.worker("w");
  CHECK(worker.state == "failed");
  CHECK(worker.restarts == 0);
  CHECK(has(worker.last_death, "exit code 78 (cannot work with this configuration): no such device"));
  CHECK(daemon.actor_state("a") == "failed");
  CHECK(daemon.health() == "degraded");
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a worker that dies again and again is given up, and restart gives it another chance", "[daemon]") {
  DaemonProcess daemon(config("exit=70", "restart = { min = \"1ms\", max = \"2ms\", intensity = 3 }"));
  daemon.wait_settled();
  auto worker = daemon.worker("w");
  CHECK(worker.state == "failed");
  CHECK(worker.restarts == 3);
  CHECK(has(worker.message, "4 deaths within"));
  REQUIRE(daemon.ask(order_restart("w")));
  daemon.eventually("another three restarts", [&] { return daemon.worker("w").restarts == 6 && daemon.worker("w").state == "failed"; });
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a worker that ends itself with exit code 0 is said to have done so unasked, one that is stopped is not", "[daemon]") {
  DaemonProcess daemon(config("exit=0", "restart = { min = \"1ms\", intensity = 1 }"));
  daemon.wait_settled();
  CHECK(has(daemon.worker("w").last_death, "exit code 0: the process ended itself"));
  CHECK(daemon.stop() == 0);
  DaemonProcess orderly(config());
  orderly.wait_ready();
  REQUIRE(orderly.ask(order_stop("w")));
  orderly.eventually("the worker's stop", [&] { return orderly.worker("w").state == "stopped"; });
  CHECK_FALSE(has(orderly.log(), "ended itself"));
  CHECK(orderly.stop() == 0);
}

TEST_CASE("an actor that fails to start does not keep its worker from being ready", "[daemon]") {
  DaemonProcess daemon(config("fail=0"));
  daemon.wait_settled();
  CHECK(daemon.worker("w").state == "ready");
  CHECK(daemon.actor_state("a") == "failed");
  CHECK(daemon.actor_state("p/0") == "ready");
  CHECK(daemon.health() == "degraded");
  CHECK(daemon.stop() == 0);
}

TEST_CASE("workers, actors and pools are stopped and restarted by name", "[daemon]") {
  DaemonProcess daemon(config());
  daemon.wait_ready();
  REQUIRE(daemon.ask(order_stop("p")));
  CHECK(daemon.actor_state("p/0") == "stopped");
  CHECK(daemon.health() == "ok");
  REQUIRE(daemon.ask(order_restart("p")));
  daemon.eventually("the pool's restart", [&] { return daemon.actor_state("p/0") == "ready"; });

  REQUIRE(daemon.ask(order_stop("w")));
  daemon.eventually("the worker's stop", [&] { return daemon.worker("w").state == "stopped"; });
  CHECK(daemon.actor_state("a") == "stopped");
  CHECK(daemon.ask(order_restart("a")).error().code == Errc::kUnavailable);
  CHECK(daemon.ask(order_kill("w", SIGKILL)).error().code == Errc::kUnavailable);
  REQUIRE(daemon.ask(order_restart("w")));
  daemon.eventually("the worker's restart", [&] { return daemon.worker("w").state == "ready"; });
  CHECK(daemon.actor_state("a") == "ready");
  CHECK(daemon.worker("w").last_death.empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an actor that was stopped before its worker died comes back with restart", "[daemon]") {
  DaemonProcess daemon(config());
  daemon.wait_ready();
  REQUIRE(daemon.ask(order_stop("a")));
  REQUIRE(daemon.ask(order_kill("w", SIGKILL)));
  daemon.eventually("the worker's restart", [&] { return daemon.worker("w").incarnation == 2 && daemon.worker("w").state == "ready"; });
  CHECK(daemon.actor_state("a") == "stopped");
  REQUIRE(daemon.ask(order_restart("a")));
  daemon.eventually("the actor's restart", [&] { return daemon.actor_state("a") == "ready"; });
  CHECK(daemon.stop() == 0);
}

TEST_CASE("unknown names are answered with the nearest one", "[daemon]") {
  DaemonProcess daemon(config());
  daemon.wait_ready();
  auto reply = daemon.ask(order_restart("p/1"));
  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == Errc::kNotFound);
  CHECK(has(reply.error().message, "did you mean \"p/0\"?"));
  CHECK(daemon.ask(order_kill("w", 0)).error().code == Errc::kInvalidArgument);
}

TEST_CASE("a worker that says nothing is killed when its time to start is over", "[daemon]") {
  DaemonProcess daemon(config("mute", "restart = { intensity = 0 }", "start_timeout = \"50ms\""));
  daemon.wait_settled();
  CHECK(daemon.worker("w").state == "failed");
  CHECK(has(daemon.worker("w").last_death, "could not start: not ready within 50ms"));
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a worker that does not stop is killed when the grace is over", "[daemon]") {
  DaemonProcess daemon(config("slow-stop", "", "stop_grace = \"50ms\""));
  daemon.wait_ready();
  CHECK(daemon.stop() == 0);
  CHECK(has(daemon.log(), "did not stop within 50ms"));
  CHECK(has(daemon.log(), "event=\"stop was forced\" count=1 what=\"worker "));
}

TEST_CASE("a second SIGTERM does not wait for the grace", "[daemon]") {
  DaemonProcess daemon(config("slow-stop", "", "stop_grace = \"1h\""));
  daemon.wait_ready();
  daemon.signal(SIGTERM);
  daemon.eventually("the beginning of the stop", [&] { return daemon.health() == "stopping"; });
  daemon.signal(SIGTERM);
  CHECK(daemon.wait() == 0);
  CHECK(has(daemon.log(), "killed, since SIGTERM came again"));
}

TEST_CASE("SIGHUP with the file as it was changes nothing", "[daemon]") {
  DaemonProcess daemon(config());
  daemon.wait_ready();
  daemon.signal(SIGHUP);
  daemon.eventually("the log entry", [&] { return has(daemon.log(), "nothing to reload"); });
  CHECK(daemon.health() == "ok");
}

TEST_CASE("a spare takes over and is replaced", "[daemon]") {
  DaemonProcess daemon(config("", "spares = 1"));
  daemon.wait_ready();
  auto parked = [&](std::size_t n) {
    auto log = daemon.log();
    std::size_t count = 0;
    for (auto at = log.find("spare parked"); at != std::string::npos; at = log.find("spare parked", at + 1)) ++count;
    return count == n;
  };
  daemon.eventually("the first spare", [&] { return parked(1); });
  REQUIRE(daemon.ask(order_kill("w", SIGKILL)));
  daemon.eventually("the restart", [&] { return daemon.worker("w").incarnation == 2 && daemon.worker("w").state == "ready"; });
  daemon.eventually("the next spare", [&] { return parked(2); });
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a process that a worker leaves behind is reaped", "[daemon]") {
  DaemonProcess daemon(config("orphan"));
  daemon.wait_ready();
  REQUIRE(daemon.ask(order_kill("w", SIGKILL)));
  daemon.eventually("the orphan's end", [&] { return has(daemon.log(), "orphan reaped"); });
  CHECK(daemon.stop() == 0);
}

TEST_CASE("another zygote is started when one dies, and workers still come back", "[daemon]") {
  DaemonProcess daemon(config());
  daemon.wait_ready();
  auto log = daemon.log();
  auto at = log.find("event=\"zygote started\" pid=");
  REQUIRE(at != std::string::npos);
  int zygote = std::stoi(log.substr(log.find("pid=", at) + 4));
  REQUIRE(::kill(zygote, SIGKILL) == 0);
  REQUIRE(daemon.ask(order_kill("w", SIGKILL)));
  daemon.eventually("the restart", [&] { return daemon.worker("w").incarnation == 2 && daemon.worker("w").state == "ready"; });
  CHECK(has(daemon.log(), "event=\"zygote died\" cause=\"killed by SIGKILL\""));
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a published tensor is listed under its name and survives its publisher", "[daemon]") {
  DaemonProcess daemon(config("publish"));
  daemon.wait_ready();
  auto named = [&] {
    auto reply = daemon.ask([](auto request) { request.initListObjects().setNamed(true); });
    REQUIRE(reply);
    auto objects = reply->root<wire::AdminReply>().getObjects().getObjects();
    return objects.size() == 1 && objects[0].getName() == "fake/w" ? objects[0].getVersion() : 0;
  };
  daemon.eventually("the publication", [&] { return named() == 1; });
  REQUIRE(daemon.ask(order_stop("w")));
  daemon.eventually("the stop", [&] { return daemon.worker("w").state == "stopped"; });
  CHECK(named() == 1);
  REQUIRE(daemon.ask(order_restart("w")));
  daemon.eventually("the second publication", [&] { return named() == 2; });
  auto fsck = daemon.ask([](auto request) { request.setArenaFsck(); });
  REQUIRE(fsck);
  CHECK(fsck->root<wire::AdminReply>().getFsck().getProblems().size() == 0);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a zygote that does not answer is killed, and the worker that waits for a process gets one of the next", "[daemon]") {
  DaemonProcess daemon(config("", "", "start_timeout = \"5s\"\n"));
  daemon.wait_ready();
  auto log = daemon.log();
  auto at = log.find("event=\"zygote started\" pid=");
  REQUIRE(at != std::string::npos);
  auto zygote = std::stoi(log.substr(log.find("pid=", at) + 4));
  REQUIRE(::kill(zygote, SIGSTOP) == 0);
  REQUIRE(::kill(daemon.worker("w").pid, SIGKILL) == 0);
  daemon.eventually("the worker is back", [&] { return daemon.worker("w").incarnation == 2 && daemon.worker("w").state == "ready"; });
  CHECK(has(daemon.log(), "it has not answered a request for a fork"));
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a stray write kills the writer alone, and the death says which actor wrote to which tensor of whom", "[daemon]") {
  DaemonProcess daemon(config("publish") +
                       "[[worker]]\nname = \"x\"\nenv = { TV_FAKE = \"stray\" }\nrestart = { intensity = 0 }\n"
                       "[[actor]]\nname = \"b\"\ntype = \"torchscript\"\nworker = \"x\"\n");
  daemon.wait_settled();
  daemon.eventually("the stray write", [&] { return daemon.worker("x").state == "failed"; });
  auto death = daemon.worker("x").last_death;
  INFO(death);
  CHECK(has(death, "killed by SIGSEGV"));
  CHECK(has(death, ": actor \"b\" wrote to tensor "));
  CHECK(has(death, " (uint8[64]) of worker \"w\", which is sealed"));
  CHECK(has(daemon.log(), "actor \\\"b\\\" wrote to tensor "));
  CHECK(daemon.worker("w").state == "ready");
  CHECK(daemon.worker("w").incarnation == 1);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an administrator's shutdown is like SIGTERM", "[daemon]") {
  DaemonProcess daemon(config());
  daemon.wait_ready();
  REQUIRE(daemon.ask([](auto request) { request.setShutdown(); }));
  CHECK(daemon.wait() == 0);
  CHECK_FALSE(std::filesystem::exists(daemon.runtime_dir()));
}

TEST_CASE("a daemon whose required actor has failed is not ready, says why, and becomes so when that is put right", "[daemon]") {
  DaemonProcess daemon(config("fail=0"));
  daemon.wait_settled();
  CHECK(has(daemon.log(), "event=\"daemon not ready\" cause=\"not ready: required actor failed: a (it would not start)"));
  CHECK_FALSE(has(daemon.log(), "event=\"daemon ready\""));
  REQUIRE(daemon.ask([](wire::AdminRequest::Builder request) { request.setResetFailed("a"); }));
  daemon.wait_ready();
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a daemon is ready without an actor that is not required", "[daemon]") {
  auto text = config("fail=0");
  text.insert(text.find("name = \"a\""), "required = false\n");
  DaemonProcess daemon(text);
  daemon.wait_ready();
  CHECK(daemon.actor_state("a") == "failed");
  CHECK(daemon.health() == "degraded");
  CHECK(daemon.stop() == 0);
}
