// Another configuration for a daemon that runs: what is new is started, what is gone deals with its mail and stops, all else goes on.
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "config/load.h"
#include "config/show.h"
#include "tests/chaos/upkeep_fixture.h"

using namespace tv;
using namespace tv::test;

namespace {

const std::string kOnce = "delivery = \"effectively_once\"\ncheckpoint = { every_messages = 1 }";

// Whole or not at all, as an editor would.
void rewrite(Daemon& daemon, const std::string& config) {
  std::string path = daemon.dir() + "/tensorvisor.toml";
  std::ofstream(path + ".new") << config;
  std::filesystem::rename(path + ".new", path);
}

Output reload(Daemon& daemon, const std::string& config) {
  rewrite(daemon, config);
  return daemon.tensorctl({"config", "reload"});
}

std::vector<int> pids(Daemon& daemon, int workers) {
  std::vector<int> pids;
  for (int i = 0; i < workers; ++i) pids.push_back(daemon.worker("cpu/" + std::to_string(i)).pid);
  return pids;
}

std::int64_t add(Client& client, const std::string& name, std::int64_t n) {
  auto counter = client.actor<Counter>(name);
  if (!counter) FAIL(counter.error().message);
  auto sum = counter->call_with(kPatient, Counter::add, n).get();
  if (!sum) FAIL(name + ": " + sum.error().message);
  return *sum;
}

void wait_ready(Daemon& daemon, const std::string& actor) {
  daemon.wait_until(actor + " is ready", [&] { return daemon.actor(actor).state == "ready"; });
}

bool is_listed(Daemon& daemon, const std::string& actor) { return daemon.tensorctl({"describe", "actor", actor}).status == 0; }

std::string shown(Daemon& daemon) {
  auto output = daemon.tensorctl({"config", "show"});
  require_done(output);
  return output.out;
}

std::size_t times_logged(Daemon& daemon, const std::string& text) {
  auto log = daemon.log();
  std::size_t count = 0;
  for (auto at = log.find(text); at != std::string::npos; at = log.find(text, at + 1)) ++count;
  return count;
}

// Rolling restarts and growing pools, which a reload does not wait for.
void wait_for_chores(Daemon& daemon) {
  daemon.wait_until("what has begun is done",
                    [&] { return times_logged(daemon, " begins\" name=") == times_logged(daemon, " done\" name="); });
}

}  // namespace

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

namespace {

// A file that a reload can take, of a world that the seed chooses; and what is in it.
struct World {
  std::string text;
  std::set<std::string> actors;
};

World some_world(std::mt19937& random) {
  auto one_of = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  World world;
  world.text = "[supervisor]\nstop_grace = \"" + std::to_string(5 + one_of(20)) + "s\"\n";
  world.text += base_config(2, "restart = { min = \"1ms\", max = \"20ms\", intensity = " + std::to_string(500 + one_of(500)) + " }");
  world.text += pool(2 + one_of(3), "max_size = 4");
  std::string children;
  for (int i = 0; i < 6; ++i) {
    if (one_of(2)) continue;
    std::string name = "c" + std::to_string(i);
    world.text += counter(name, i % 2, "args = { start = " + std::to_string(one_of(3)) + " }\n" + kOnce);
    world.actors.insert(name);
    if (one_of(2)) children += (children.empty() ? "" : ", ") + ("\"" + name + "\"");
  }
  if (!children.empty())
    world.text += "[[group]]\nname = \"g\"\nstrategy = \"" + std::string(one_of(2) ? "one_for_one" : "rest_for_one") + "\"\nchildren = [" +
                  children + "]\n";
  return world;
}

std::string some_nonsense(std::mt19937& random, const std::string& good) {
  switch (random() % 5) {
    case 0:
      return good.substr(0, good.size() - 1 - random() % 20) + "\"";
    case 1:
      return good + "[supervisor]\nstop_graze = \"1s\"\n";
    case 2:
      return good + counter("stray", 9);
    case 3:
      return "[arena]\nsize = \"32MiB\"\n" + good.substr(good.find("[[worker]]"));  // needs a restart
    default:
      return "";
  }
}

std::string in_force(const std::string& text) {
  auto loaded = config::load_text(text, "test", "/", config::Machine::local());
  INFO(text);
  INFO((loaded.ok() ? "" : config::to_string(loaded.problems.front())));
  REQUIRE(loaded.ok());
  loaded.config.supervisor.runtime_dir = "/run";
  return config::to_toml(loaded.config);
}

}  // namespace

TEST_CASE("after any number of valid and invalid files the state is that of the last valid one, and no call has failed", "[reload]") {
  auto seed = static_cast<unsigned>(std::random_device{}());
  if (const char* given = std::getenv("TV_SEED")) seed = static_cast<unsigned>(std::stoul(given));
  INFO("seed " << seed);
  std::mt19937 random(seed);
  int files = 200;
  if (const char* given = std::getenv("TV_RELOADS")) files = std::stoi(given);
  auto world = some_world(random);
  Daemon daemon = start(world.text);
  auto processes = pids(daemon, 2);
  Traffic traffic(daemon, 2);
  int valid = 0, wrong_states = 0;
  for (int i = 0; i < files; ++i) {
    traffic.wait_for(daemon, 5);
    bool good = random() % 3 != 0;
    auto next = good ? some_world(random) : World{some_nonsense(random, world.text), {}};
    auto done = reload(daemon, next.text);
    INFO(next.text << done.out << done.err << daemon.log());
    REQUIRE(done.status == (good ? 0 : 1));
    if (good) world = next;
    valid += good ? 1 : 0;
    if (in_force(shown(daemon)) != in_force(world.text)) ++wrong_states;
    for (int c = 0; c < 6; ++c) {
      std::string name = "c" + std::to_string(c);
      if (world.actors.contains(name))
        wait_ready(daemon, name);
      else if (is_listed(daemon, name))
        ++wrong_states;
    }
    CHECK(wrong_states == 0);
    // A rolling restart of the last one goes on, perhaps; the next file may be about the same actors.
    wait_for_chores(daemon);
  }
  traffic.wait_for(daemon, 20);
  traffic.stop();
  CHECK(traffic.complaint().empty());
  CHECK(pids(daemon, 2) == processes);
  CHECK(daemon.fsck().empty());
  std::printf("reload: %d files, %d of them valid, %d states that were not the last valid one's, %lld calls, %d failed (seed %u)\n", files,
              valid, wrong_states, static_cast<long long>(traffic.paid()), traffic.complaint().empty() ? 0 : 1, seed);
  CHECK(daemon.stop() == 0);
}
