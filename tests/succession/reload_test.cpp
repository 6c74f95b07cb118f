// Another configuration for a daemon that runs: what is new is started, what is gone deals with its mail and stops, all else goes on.
#include <signal.h>

#include <future>

#include "tests/succession/reload_fixture.h"

using namespace tv;
using namespace tv::test;

TEST_CASE("a new actor is started by a reload, and calls to others go on meanwhile", "[reload]") {
  const std::string before = workers(2) + pool(4, "max_size = 4") + counter("old", 0, kOnce);
  Daemon daemon = start(before);
  auto client = daemon.connect();
  CHECK(add(*client, "old", 5) == 5);
  auto processes = pids(daemon, 2);
  auto daemon_pid = daemon.process().pid();
  Traffic traffic(daemon);
  traffic.wait_for(daemon, 20);
  auto done = reload(daemon, before + counter("new", 1, kOnce));
  INFO(done.out << done.err << daemon.log());
  REQUIRE(done.status == 0);
  CHECK(done.out == "actor \"new\": started\n");
  wait_ready(daemon, "new");
  CHECK(add(*client, "new", 3) == 3);
  CHECK(add(*client, "old", 1) == 6);
  traffic.wait_for(daemon, 50);
  traffic.stop();
  CHECK(traffic.complaint().empty());
  CHECK(pids(daemon, 2) == processes);
  CHECK(daemon.process().pid() == daemon_pid);
  CHECK(balances(daemon, 4) == traffic.paid());
  CHECK(daemon.actor("old").incarnation == 1);
  CHECK(daemon.fsck().empty());
  CHECK(daemon.tensorctl({"config", "reload"}).out == "nothing changes\n");
  // The file may be another one by now: what is in force is what was reloaded.
  rewrite(daemon, "nonsense");
  CHECK(daemon.manager().reloading() == 1 + 1);
  REQUIRE(daemon.manager().wait_ready(daemon.process(), Deadline::in(30s)));
  daemon.kill_and_restart();
  CHECK(daemon.actor("new").state == "ready");
  CHECK(add(*client, "new", 1) == 4);
  client.reset();
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an actor that is removed answers the mail that it has, then it is gone, and by its name it comes back", "[reload]") {
  const std::string rest = workers(2) + counter("stays", 0);
  Daemon daemon = start(rest + counter("goes", 1, kOnce));
  auto client = daemon.connect();
  auto goes = *client->actor<Counter>("goes");
  auto first = goes.call_with(kPatient, Counter::slow, std::int64_t{300});
  std::vector<Future<std::int64_t>> unread;
  for (int i = 0; i < 5; ++i) unread.push_back(goes.call_with(kPatient, Counter::add, std::int64_t{1}));
  auto done = reload(daemon, rest);
  INFO(done.out << done.err << daemon.log());
  REQUIRE(done.status == 0);
  CHECK(done.out == "actor \"goes\": drained and stopped\n");
  CHECK(first.get().ok());
  for (auto& answer : unread) CHECK(answer.get().ok());
  CHECK_FALSE(is_listed(daemon, "goes"));
  auto late = goes.call_with(kPatient, Counter::add, std::int64_t{1}).get();
  REQUIRE_FALSE(late.ok());
  CHECK(has(late.error().message, "the configuration does not have it any more"));
  CHECK(daemon.worker("cpu/1").restarts == 0);
  CHECK(add(*client, "stays", 1) == 1);
  CHECK(daemon.fsck().empty());
  daemon.kill_and_wait("cpu/1");
  CHECK(daemon.fsck().empty());
  require_done(reload(daemon, rest + counter("goes", 1, kOnce)));
  wait_ready(daemon, "goes");
  CHECK(add(*client, "goes", 1) == 6);
  client.reset();
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("limits change in place, and no process is restarted", "[reload]") {
  Daemon daemon = start(base_config(2, "restart = { min = \"1ms\", max = \"2ms\", intensity = 1000 }") + counter("a", 0) + counter("b", 1));
  auto processes = pids(daemon, 2);
  auto done =
      reload(daemon, "[supervisor]\nstop_grace = \"7s\"\n" + base_config(2, "restart = { min = \"1ms\", max = \"2ms\", intensity = 1 }") +
                         counter("a", 0) + counter("b", 1));
  INFO(done.out << done.err << daemon.log());
  REQUIRE(done.status == 0);
  CHECK(has(done.out, "[supervisor]: stop_grace \"10s\" -> \"7s\": applied in place"));
  CHECK(has(done.out, "worker \"cpu/1\": restart.intensity 1000 -> 1: applied in place"));
  CHECK(has(shown(daemon), "stop_grace = \"7s\""));
  CHECK(pids(daemon, 2) == processes);
  daemon.kill_and_wait("cpu/0");
  daemon.kill_worker("cpu/0");
  daemon.wait_until("it is given up", [&] { return daemon.worker("cpu/0").state == "failed"; });
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a file with a mistake changes nothing, and the mistake is named", "[reload]") {
  const std::string good = workers(2) + counter("a", 0, kOnce);
  Daemon daemon = start(good);
  auto client = daemon.connect();
  CHECK(add(*client, "a", 5) == 5);
  auto processes = pids(daemon, 2);
  auto before = shown(daemon);
  for (const std::string& bad : {good + "[supervisor]\nstop_grace = 5\n", good + counter("b", 7), std::string("[[[")}) {
    auto refused = reload(daemon, bad);
    INFO(refused.out << refused.err);
    CHECK(refused.status == 1);
    CHECK(has(refused.out + refused.err, "tensorvisor.toml:"));
    CHECK(daemon.tensorctl({"config", "diff"}).status == 1);
    CHECK(daemon.tensorctl({"config", "check"}).status == 1);
    CHECK(shown(daemon) == before);
  }
  CHECK(daemon.logged("event=\"reload refused\""));
  CHECK(pids(daemon, 2) == processes);
  CHECK(add(*client, "a", 1) == 6);
  client.reset();
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a reload that needs a restart of the daemon is refused as a whole, and says for what", "[reload]") {
  Daemon daemon = start(workers(2) + counter("a", 0));
  auto before = shown(daemon);
  auto other = "[supervisor]\nstop_grace = \"7s\"\n" + workers(1) + "\n[[actor]]\nname = \"a\"\ntype = \"test.counter\"\nplugin = \"" +
               plugin("bank") + "\"\nworker = \"cpu\"\n";
  rewrite(daemon, other);
  auto diff = daemon.tensorctl({"config", "diff"});
  CHECK(diff.status == 1);
  CHECK(has(diff.out, "stop_grace \"10s\" -> \"7s\": applied in place"));
  CHECK(has(diff.out, "worker \"cpu/1\": needs a restart of the daemon"));
  auto refused = daemon.tensorctl({"config", "reload"});
  CHECK(refused.status == 1);
  CHECK(has(refused.out + refused.err, "worker \"cpu/1\": needs a restart of the daemon"));
  CHECK(shown(daemon) == before);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("what is in the way of a reload is told by the difference already", "[reload]") {
  Daemon daemon = start(workers(2) + counter("a", 0, kOnce) + counter("b", 1, kOnce));
  REQUIRE(daemon.tensorctl({"suspend", "b"}).status == 0);
  rewrite(daemon, workers(2) + counter("a", 0, kOnce));
  auto diff = daemon.tensorctl({"config", "diff"});
  CHECK(diff.status == 1);
  CHECK(has(diff.out, "actor \"b\": drained and stopped"));
  CHECK(has(diff.err, "a reload would be refused now: \"b\" is suspended"));
  CHECK(daemon.tensorctl({"config", "reload"}).status == 1);
  REQUIRE(daemon.tensorctl({"resume", "b"}).status == 0);
  CHECK(daemon.tensorctl({"config", "diff"}).status == 0);
  CHECK(daemon.tensorctl({"config", "reload"}).status == 0);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("SIGHUP reloads", "[reload]") {
  Daemon daemon = start(workers(2) + counter("a", 0));
  rewrite(daemon, workers(2) + counter("a", 0) + counter("b", 0));
  daemon.process().signal(SIGHUP);
  daemon.wait_until("it has been reloaded", [&] { return daemon.logged("event=\"configuration reloaded\""); });
  wait_ready(daemon, "b");
  rewrite(daemon, "nonsense");
  daemon.process().signal(SIGHUP);
  daemon.wait_until("it has been refused", [&] { return daemon.logged("event=\"reload refused\""); });
  CHECK(add(*daemon.connect(), "b", 1) == 1);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a SIGHUP in the middle of a reload is not forgotten: the file of that moment is applied next", "[reload]") {
  const std::string rest = workers(2) + counter("a", 0);
  Daemon daemon = start(rest + counter("goes", 1));
  auto client = daemon.connect();
  // What is removed finishes this first.
  auto at_hand = client->actor<Counter>("goes")->call_with(kPatient, Counter::slow, std::int64_t{700});
  rewrite(daemon, rest);
  daemon.process().signal(SIGHUP);
  daemon.wait_until("it has begun", [&] { return daemon.logged("event=\"reload begins\""); });
  rewrite(daemon, rest + counter("late", 0));
  daemon.process().signal(SIGHUP);
  daemon.wait_until("both have been applied", [&] { return times_logged(daemon, "event=\"configuration reloaded\"") == 2; });
  wait_ready(daemon, "late");
  CHECK(at_hand.get().ok());
  CHECK_FALSE(is_listed(daemon, "goes"));
  CHECK(daemon.tensorctl({"config", "diff"}).out == "nothing changes\n");
  client.reset();
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a SIGHUP while a program is asked is not forgotten either when that is refused", "[reload]") {
  Daemon daemon = start(workers(2) + counter("a", 0));
  std::string slow = daemon.dir() + "/slow", go = daemon.dir() + "/go";
  std::ofstream(slow) << "#!/bin/sh\nwhile [ ! -e " << go << " ]; do sleep 0.01; done\nexit 1\n";
  std::filesystem::permissions(slow, std::filesystem::perms::owner_all);
  auto upgrade = std::async(std::launch::async, [&] { return daemon.tensorctl({"upgrade", slow, "--timeout", "5s"}); });
  daemon.wait_until("the program is being asked", [&] { return daemon.logged("event=\"upgrade begins\""); });
  rewrite(daemon, workers(2) + counter("a", 0) + counter("late", 0));
  daemon.process().signal(SIGHUP);
  // The daemon has read the signal before what it is asked after it.
  REQUIRE(daemon.tensorctl({"status"}).status == 0);
  auto diff = daemon.tensorctl({"config", "diff"});
  CHECK(diff.status == 1);
  CHECK(has(diff.out, "actor \"late\": started"));
  CHECK(has(diff.err, "an upgrade is under way"));
  std::ofstream(go) << "now";
  // The refusal may have gone with the process that knew of it: then its asker gives up.
  CHECK(upgrade.get().status == 1);
  daemon.wait_until("the file has been applied", [&] { return daemon.logged("event=\"configuration reloaded\""); });
  wait_ready(daemon, "late");
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a reload may add as many actors as a daemon can have, all to one worker", "[reload]") {
  Daemon daemon = start(workers(2) + counter("a", 0));
  std::string many = "[[pool]]\nname = \"many\"\ntype = \"test.counter\"\nplugin = \"" + plugin("bank") + "\"\nsize = 1000\nmax_size = 1000\nworkers = [\"cpu/1\"]\n";
  require_done(reload(daemon, workers(2) + counter("a", 0) + many));
  daemon.wait_until("all are ready", [&] { return has(daemon.tensorctl({"status"}).out, "1001 of 1001 ready"); });
  CHECK(daemon.worker("cpu/1").restarts == 0);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an actor whose arguments change is restarted alone, with its mail", "[reload]") {
  const std::string rest = workers(2) + counter("beside", 0);
  Daemon daemon = start(rest + counter("a", 0, "args = { start = 5 }"));
  auto client = daemon.connect();
  CHECK(add(*client, "beside", 1) == 1);
  auto processes = pids(daemon, 2);
  require_done(reload(daemon, rest + counter("a", 0, "args = { start = 70 }")));
  daemon.wait_until("it has been restarted", [&] { return daemon.logged("event=\"rolling restart done\""); });
  CHECK(add(*client, "a", 1) == 71);
  CHECK(add(*client, "beside", 1) == 2);
  CHECK(pids(daemon, 2) == processes);
  client.reset();
  CHECK(daemon.stop() == 0);
}

TEST_CASE("workers whose threads or environment change are restarted one after the other, without a failed call", "[reload]") {
  const std::string rest = pool(4, "max_size = 4");
  Daemon daemon = start(workers(2) + rest);
  auto processes = pids(daemon, 2);
  Traffic traffic(daemon);
  traffic.wait_for(daemon, 20);
  require_done(
      reload(daemon, base_config(2, "restart = { min = \"1ms\", max = \"20ms\", intensity = 1000 }\nenv = { TV_NEW = \"1\" }") + rest));
  daemon.wait_until("they have been restarted", [&] { return daemon.logged("event=\"rolling restart done\""); });
  traffic.wait_for(daemon, 20);
  traffic.stop();
  CHECK(traffic.complaint().empty());
  auto now = pids(daemon, 2);
  CHECK(now[0] != processes[0]);
  CHECK(now[1] != processes[1]);
  CHECK(balances(daemon, 4) == traffic.paid());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a worker is added, with an actor on it, while clients are attached", "[reload]") {
  const std::string rest = counter("a", 0, kOnce);
  Daemon daemon = start(workers(2) + rest);
  auto client = daemon.connect();
  CHECK(add(*client, "a", 5) == 5);
  auto processes = pids(daemon, 2);
  auto done = reload(daemon, workers(3) + rest + counter("b", 2, kOnce));
  INFO(done.out << done.err << daemon.log());
  REQUIRE(done.status == 0);
  wait_ready(daemon, "b");
  CHECK(daemon.actor("b").worker == "cpu/2");
  CHECK(add(*client, "b", 1) == 1);
  CHECK(add(*client, "a", 1) == 6);
  CHECK(pids(daemon, 2) == processes);
  daemon.kill_and_wait("cpu/2");
  CHECK(add(*client, "b", 1) == 2);
  client.reset();
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a pool gets the size that the file has", "[reload]") {
  auto sized = [](int size) { return workers(2) + pool(size, "max_size = 4"); };
  Daemon daemon = start(sized(2));
  auto client = daemon.connect();
  require_done(reload(daemon, sized(4)));
  wait_for_chores(daemon);
  for (const char* member : {"p/2", "p/3"}) CHECK(daemon.actor(member).state == "ready");
  require_done(reload(daemon, sized(1)));
  CHECK_FALSE(is_listed(daemon, "p/1"));
  auto account = *client->actor<Account>("p");
  CHECK(account.call_with(kPatient, Account::deposit, std::int64_t{1}).get().ok());
  client.reset();
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}
