// Many files after one another, right and wrong ones, and supervisors that die while they reload one.
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <future>
#include <random>
#include <set>

#include "config/load.h"
#include "config/show.h"
#include "tests/succession/reload_fixture.h"

using namespace tv;
using namespace tv::test;

namespace {

constexpr int kCounters = 6;

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
  for (int i = 0; i < kCounters; ++i) {
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

// Waits for its actors; the number of those that are there and should not be.
int strangers(Daemon& daemon, const World& world) {
  int strangers = 0;
  for (int c = 0; c < kCounters; ++c) {
    std::string name = "c" + std::to_string(c);
    if (world.actors.contains(name)) wait_ready(daemon, name);
    else if (is_listed(daemon, name)) ++strangers;
  }
  return strangers;
}

unsigned some_seed() {
  const char* given = std::getenv("TV_SEED");
  return given ? static_cast<unsigned>(std::stoul(given)) : static_cast<unsigned>(std::random_device{}());
}

int from_environment(const char* name, int otherwise) {
  const char* given = std::getenv(name);
  return given ? std::stoi(given) : otherwise;
}

}  // namespace

TEST_CASE("after any number of valid and invalid files the state is that of the last valid one, and no call has failed", "[reload]") {
  auto seed = some_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  int files = from_environment("TV_RELOADS", 200);
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
    wrong_states += strangers(daemon, world);
    CHECK(wrong_states == 0);
    // A rolling restart of the last one goes on, perhaps; the next file may be about the same actors.
    wait_for_chores(daemon);
  }
  traffic.wait_for(daemon, 20);
  traffic.stop();
  INFO(daemon.log());
  CHECK(traffic.complaint().empty());
  CHECK(pids(daemon, 2) == processes);
  CHECK(daemon.fsck().empty());
  std::printf("reload: %d files, %d of them valid, %d states that were not the last valid one's, %lld calls, %d failed (seed %u)\n", files,
              valid, wrong_states, static_cast<long long>(traffic.paid()), traffic.complaint().empty() ? 0 : 1, seed);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a supervisor that is killed at any moment of a reload goes on with the file of before or with the new one, and with nothing between", "[reload]") {
  auto seed = some_seed();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  int rounds = from_environment("TV_RELOAD_KILLS", 20);
  auto world = some_world(random);
  Daemon daemon = start(world.text);
  auto processes = pids(daemon, 2);
  Traffic traffic(daemon, 2);
  int wrong_states = 0, new_ones = 0;
  for (int i = 0; i < rounds; ++i) {
    traffic.wait_for(daemon, 5);
    auto next = some_world(random);
    rewrite(daemon, next.text);
    auto order = std::async(std::launch::async, [&] { return daemon.tensorctl({"config", "reload", "--timeout", "5s"}); });
    ::usleep(static_cast<useconds_t>(random() % 120'000));  // a random moment is what this is about
    daemon.process().signal(SIGKILL);
    REQUIRE(daemon.process().wait(Deadline::in(30s)));
    daemon.restart();
    auto told = order.get();
    auto now = in_force(shown(daemon));
    INFO(told.out << told.err << "\nbefore:\n" << world.text << "\nnext:\n" << next.text << "\nnow:\n" << now << daemon.log());
    bool is_new = now == in_force(next.text);
    REQUIRE((is_new || now == in_force(world.text)));
    // Told that it is done, it is.
    if (told.status == 0 && !has(told.out, "nothing changes")) CHECK(is_new);
    if (is_new) world = next;
    new_ones += is_new ? 1 : 0;
    wrong_states += strangers(daemon, world);
    CHECK(wrong_states == 0);
  }
  traffic.wait_for(daemon, 20);
  traffic.stop();
  INFO(daemon.log());
  CHECK(traffic.complaint().empty());
  CHECK(pids(daemon, 2) == processes);
  CHECK(daemon.fsck().empty());
  std::printf("reload: %d kills of the supervisor in the middle of it, %d went on with the new file, %d wrong states, %lld calls, %d failed (seed %u)\n",
              rounds, new_ones, wrong_states, static_cast<long long>(traffic.paid()), traffic.complaint().empty() ? 0 : 1, seed);
  CHECK(daemon.stop() == 0);
}
