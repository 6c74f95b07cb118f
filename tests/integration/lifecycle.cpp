#include <signal.h>
#include <sys/file.h>

#include <fcntl.h>

#include "tests/integration/bank_config.h"

using namespace tv;
using namespace tv::test;

TEST_CASE("a daemon gets ready, says so, and leaves nothing behind when it is asked to stop", "[integration]") {
  Daemon daemon({.config = counter_config(2)});
  CHECK(daemon.worker("cpu/0").state == "ready");
  CHECK(daemon.worker("cpu/1").state == "ready");
  CHECK(daemon.actor("counter").state == "ready");
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a second daemon on the same directory is refused with the pid of the first", "[integration]") {
  Daemon daemon({.config = counter_config()});
  std::string config = daemon.dir() + "/tensorvisor.toml";
  auto second = run({program("tensorvisord"), "--config", config, "--runtime-dir", daemon.runtime_dir()});
  CHECK(second.status == 1);
  INFO(second.err);
  CHECK(second.err.find(std::to_string(daemon.process().pid())) != std::string::npos);
  CHECK(second.err.find(daemon.runtime_dir()) != std::string::npos);
  CHECK(daemon.worker("cpu").state == "ready");
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a killed daemon that nobody follows takes its processes with it, and the next one starts over its stale files", "[integration]") {
  Daemon daemon({.config = counter_config()});
  daemon.process().signal(SIGKILL);
  REQUIRE(daemon.process().wait(Deadline::in(30s)) == 128 + SIGKILL);
  daemon.manager().forget();  // nobody takes over
  daemon.wait_until("no process of the dead daemon is left", [&] { return processes_of(daemon.runtime_dir()).empty(); });
  REQUIRE(std::filesystem::exists(daemon.runtime_dir()));

  Process next({{program("tensorvisord"), "--config", daemon.dir() + "/tensorvisor.toml", "--runtime-dir", daemon.runtime_dir()},
                {{"TV_TEST_MARK", daemon.runtime_dir()}},
                daemon.dir() + "/log2",
                std::nullopt});
  daemon.wait_until("the next daemon is ready", [&] {
    REQUIRE(next.running());
    auto admin = ipc::AdminClient::connect(daemon.runtime_dir());
    if (!admin) return false;
    auto reply = admin->request([](wire::AdminRequest::Builder request) { request.setStatus(); }, 5s);
    return reply && std::string(reply->root<wire::AdminReply>().getStatus().getHealth().cStr()) == "ok";
  });
  next.signal(SIGTERM);
  CHECK(next.wait(Deadline::in(60s)) == 0);
  CHECK(processes_of(daemon.runtime_dir()).empty());
}

TEST_CASE("SIGTERM in the middle of a long method ends in bounded time, and the state of before is what was committed", "[integration]") {
  Daemon daemon({.config = "[supervisor]\nstop_grace = \"500ms\"\n" + counter_config()});
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  auto busy = counter.call(Counter::hang_once, std::string("hanging"), false);
  daemon.wait_until("the method runs", [&] { return client->find("hanging").ok(); });
  CHECK(daemon.stop() == 0);
  CHECK(daemon.logged("SIGKILL"));
  CHECK_FALSE(busy.get(10s).ok());
}

TEST_CASE("a long method that watches for a stop request leaves its message for the next incarnation", "[integration]") {
  Daemon daemon({.config = counter_config()});
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  auto slow = counter.call(Counter::hang_once, std::string("hanging"), true);
  daemon.wait_until("the method runs", [&] { return client->find("hanging").ok(); });
  auto restarted = daemon.tensorctl({"restart", "cpu"});
  INFO(restarted.err);
  CHECK(restarted.status == 0);
  // The next incarnation gets the message again; it answers at once then.
  auto answer = slow.get(60s);
  INFO((answer ? "" : answer.error().message) << daemon.log());
  REQUIRE(answer.ok());
  CHECK(*answer == 2);
  CHECK(daemon.stop() == 0);
}
