#include "supervisor/reload_plan.h"

#include "config/load.h"
#include "tests/support/catch.h"

using namespace tv;
using namespace tv::supervisor;

namespace {

config::Config good(const std::string& text) {
  auto loaded = config::load_text(text, "test.toml", "/", config::Machine{std::uint64_t{8} << 30});
  INFO(text);
  INFO((loaded.ok() ? "" : config::to_string(loaded.problems.front())));
  REQUIRE(loaded.ok());
  return loaded.config;
}

// A daemon that has begun with a file, as far as a plan is concerned.
struct Running {
  config::Config config;
  Known known;
  std::vector<std::size_t> hosts;

  explicit Running(const std::string& text) : config(good(text)) { settle(); }

  // It goes on with another file.
  void settle() {
    auto placement = place(config, known);
    INFO((placement ? "" : placement.error().message));
    REQUIRE(placement);
    for (std::size_t p = 0; p < config.pools.size(); ++p) {
      const auto& pool = config.pools[p];
      bool is_known = std::any_of(known.pools.begin(), known.pools.end(), [&](const auto& each) { return each.name == pool.name; });
      if (!is_known) known.pools.push_back({pool.name, placement->first_member[p], std::max(pool.size, pool.max_size)});
    }
    known.workers.clear();
    known.actors.clear();
    hosts.clear();
    for (const auto& worker : config.workers) known.workers.push_back(worker.name);
    for (const auto& actor : placement->actors) {
      known.actors.push_back({actor.name, actor.type, actor.worker, actor.settled, actor.present});
      hosts.push_back(actor.worker);
    }
  }

  ReloadPlan to(const std::string& text) const { return plan_reload(config, as_known(good(text), known), known, hosts); }
  void go_on_with(const std::string& text) {
    REQUIRE_FALSE(to(text).needs_restart());
    config = as_known(good(text), known);
    settle();
  }
};

std::string said(const ReloadPlan& plan) {
  std::string text;
  for (const auto& change : plan.changes) text += (text.empty() ? "" : "\n") + sentence(change);
  return text;
}

const std::string kWorkers = "[[worker]]\nname = \"cpu\"\ncount = 2\n";
std::string actor(const std::string& name, const std::string& more = "worker = \"cpu/0\"") {
  return "[[actor]]\nname = \"" + name + "\"\ntype = \"torchscript\"\n" + more + "\n";
}
std::string pool(const std::string& more, const std::string& name = "p") {
  return "[[pool]]\nname = \"" + name + "\"\ntype = \"torchscript\"\nworkers = [\"cpu\"]\n" + more + "\n";
}

}  // namespace

TEST_CASE("every key of a configuration has a means", "[reload]") {
  for (const auto& key : config::known_keys()) {
    INFO(key);
    CHECK(means_of_key(key).has_value());
  }
  CHECK_FALSE(means_of_key("worker.nothing"));
  CHECK_FALSE(means_of_key("arena.sizes"));
}

TEST_CASE("the same file, written otherwise, changes nothing", "[reload]") {
  Running daemon(kWorkers + actor("a"));
  CHECK(daemon.to("# with the defaults\n" + actor("a", "worker = \"cpu/0\"\nargs = {}") + kWorkers + "threads = 1\n").changes.empty());
}

TEST_CASE("limits, timeouts and policies change in place", "[reload]") {
  Running daemon(kWorkers + actor("a"));
  auto plan = daemon.to("[supervisor]\nstop_grace = \"3s\"\nlog_level = \"debug\"\n[arena]\nprefault = 0\n[checkpoints]\nkeep = 9\n" +
                        kWorkers + "restart = { intensity = 3 }\nwatchdog = \"5s\"\nspares = 1\ncauses = { oom = \"give_up\" }\n" +
                        actor("a", "worker = \"cpu/0\"\nrestart = \"transient\"\nmigrate = false"));
  CHECK(said(plan) ==
        "[supervisor]: log_level \"info\" -> \"debug\": applied in place, by workers with their next process\n"
        "[supervisor]: stop_grace \"10s\" -> \"3s\": applied in place\n"
        "[arena]: prefault \"64MiB\" -> 0: applied in place\n"
        "[checkpoints]: keep 3 -> 9: applied in place\n"
        "worker \"cpu/0\": spares 0 -> 1: applied in place\n"
        "worker \"cpu/0\": watchdog \"30s\" -> \"5s\": applied in place\n"
        "worker \"cpu/0\": restart.intensity 10 -> 3: applied in place\n"
        "worker \"cpu/0\": causes.oom (nothing) -> \"give_up\": applied in place\n"
        "worker \"cpu/1\": spares 0 -> 1: applied in place\n"
        "worker \"cpu/1\": watchdog \"30s\" -> \"5s\": applied in place\n"
        "worker \"cpu/1\": restart.intensity 10 -> 3: applied in place\n"
        "worker \"cpu/1\": causes.oom (nothing) -> \"give_up\": applied in place\n"
        "actor \"a\": restart \"permanent\" -> \"transient\": applied in place\n"
        "actor \"a\": migrate true -> false: applied in place");
  CHECK_FALSE(plan.needs_restart());
  CHECK(plan.restart_workers.empty());
  CHECK(plan.restart_actors.empty());
}

TEST_CASE("actors that are new are started, those that are gone are drained and stopped", "[reload]") {
  Running daemon(kWorkers + actor("a") + actor("b"));
  auto plan = daemon.to(kWorkers + actor("b") + actor("c"));
  CHECK(said(plan) == "actor \"a\": drained and stopped\nactor \"c\": started");
  CHECK(plan.remove == std::vector<ActorId>{0});
}

TEST_CASE("what an actor is told at its start restarts it alone, and its worker where that loads another library", "[reload]") {
  Running daemon(kWorkers + actor("a") + actor("b"));
  auto plan = daemon.to(kWorkers + actor("a") + actor("b", "worker = \"cpu/0\"\nargs = { n = 2 }\ncheckpoint = { every_messages = 5 }"));
  CHECK(said(plan) ==
        "actor \"b\": args {} -> { n = 2 }: restarts the actor\nactor \"b\": checkpoint.every_messages 1 -> 5: restarts the actor");
  CHECK(plan.restart_actors == std::vector<ActorId>{1});
  CHECK(plan.restart_workers.empty());
  auto threads =
      daemon.to("[[worker]]\nname = \"cpu\"\ncount = 2\nthreads = 4\n" + actor("a") + actor("b", "worker = \"cpu/0\"\nargs = { n = 2 }"));
  CHECK(said(threads) ==
        "worker \"cpu/0\": threads 1 -> 4: restarts the worker\nworker \"cpu/1\": threads 1 -> 4: restarts the worker\n"
        "actor \"b\": args {} -> { n = 2 }: restarts the actor");
  CHECK(threads.restart_workers == std::vector<std::size_t>{0, 1});
  CHECK(threads.restart_actors.empty());  // it comes back with its worker
}

TEST_CASE("an actor does not get the name of a member that a pool has had: the pool could come back", "[reload]") {
  Running daemon(kWorkers + pool("size = 2") + actor("a"));
  daemon.go_on_with(kWorkers + actor("a"));
  auto plan = daemon.to(kWorkers + actor("a") + actor("p/0"));
  CHECK(plan.needs_restart());
  CHECK(said(plan) == "actor \"p/0\": needs a restart of the daemon (this daemon has had a pool's member of that name)");
  CHECK_FALSE(daemon.to(kWorkers + actor("a") + pool("size = 2")).needs_restart());
}

TEST_CASE("workers are added behind those that are there, wherever the file has them, and none is taken away", "[reload]") {
  Running daemon(kWorkers + actor("a"));
  auto more = daemon.to("[[worker]]\nname = \"first\"\n[[worker]]\nname = \"cpu\"\ncount = 3\n" + actor("a"));
  CHECK(said(more) == "worker \"first\": started\nworker \"cpu/2\": started");
  CHECK(more.new_workers == 2);
  auto less = daemon.to("[[worker]]\nname = \"cpu\"\ncount = 1\n" + actor("a", "worker = \"cpu\""));
  CHECK(less.needs_restart());
  CHECK(said(less).find("worker \"cpu/1\": needs a restart of the daemon (a worker cannot be taken away") != std::string::npos);
  daemon.go_on_with("[[worker]]\nname = \"first\"\n[[worker]]\nname = \"cpu\"\ncount = 3\n" + actor("a"));
  CHECK(daemon.known.workers == std::vector<std::string>{"cpu/0", "cpu/1", "first", "cpu/2"});
}

TEST_CASE("an actor stays on its worker while its configuration allows that", "[reload]") {
  Running daemon(kWorkers + actor("a", "worker = \"cpu/1\""));
  CHECK(said(daemon.to(kWorkers + actor("a", "worker = \"cpu\""))) == "actor \"a\": worker \"cpu/1\" -> \"cpu\": applied in place");
  auto away = daemon.to(kWorkers + actor("a", "worker = \"cpu/0\""));
  CHECK(away.needs_restart());
  CHECK(said(away).find("lives on worker \"cpu/1\" for the daemon's life") != std::string::npos);
}

TEST_CASE("the arena, the directories and types need a restart of the daemon", "[reload]") {
  Running daemon("[arena]\nsize = \"64MiB\"\n" + kWorkers + actor("a"));
  auto plan =
      daemon.to("[supervisor]\nstop_grace = \"1s\"\n[arena]\nsize = \"128MiB\"\npatience = \"2s\"\n[checkpoints]\ndirectory = \"/x\"\n" +
                kWorkers + actor("a"));
  CHECK(plan.needs_restart());
  CHECK(said(plan).find("[supervisor]: stop_grace \"10s\" -> \"1s\": applied in place") != std::string::npos);
  CHECK(said(plan).find("[arena]: size \"64MiB\" -> \"128MiB\": needs a restart of the daemon") != std::string::npos);
  CHECK(said(plan).find("[arena]: patience \"1s\" -> \"2s\": needs a restart of the daemon") != std::string::npos);
  CHECK(said(plan).find("[checkpoints]: directory (nothing) -> \"/x\": needs a restart of the daemon") != std::string::npos);
}

TEST_CASE("a pool grows and shrinks within its numbers", "[reload]") {
  Running daemon(kWorkers + pool("size = 2\nmax_size = 4") + actor("a"));
  auto grown = daemon.to(kWorkers + pool("size = 3\nmax_size = 4") + actor("a"));
  CHECK(said(grown) == "pool \"p\": size 2 -> 3: applied in place");
  REQUIRE(grown.grow.size() == 1);
  CHECK(grown.grow[0].size == 3);
  auto shrunk = daemon.to(kWorkers + pool("size = 1\nmax_size = 4") + actor("a"));
  CHECK(shrunk.remove == std::vector<ActorId>{2});
  CHECK(shrunk.grow.empty());
  auto larger = daemon.to(kWorkers + pool("size = 2\nmax_size = 5") + actor("a"));
  CHECK(larger.needs_restart());
  CHECK(said(larger).find("its members have 4 numbers that follow each other") != std::string::npos);
}

TEST_CASE("a pool that says nothing of its largest size keeps the numbers that it has", "[reload]") {
  Running daemon(kWorkers + pool("size = 2"));
  CHECK(daemon.config.pools[0].max_size == 8);
  CHECK(said(daemon.to(kWorkers + pool("size = 5"))) == "pool \"p\": size 2 -> 5: applied in place");
  CHECK(daemon.to(kWorkers + pool("size = 9")).needs_restart());
}

TEST_CASE("a pool that an administrator has scaled stays so where its size in the file is the same", "[reload]") {
  Running daemon(kWorkers + pool("size = 2\nmax_size = 4"));
  daemon.known.actors[2].present = daemon.known.actors[2].settled = true;
  auto plan = daemon.to(kWorkers + pool("size = 2\nmax_size = 4\nrouting = \"random\""));
  CHECK(said(plan) == "pool \"p\": routing \"least_loaded\" -> \"random\": applied in place");
  CHECK(plan.remove.empty());
  CHECK(plan.grow.empty());
  CHECK(daemon.to(kWorkers + pool("size = 2\nmax_size = 2")).remove == std::vector<ActorId>{2});
}

TEST_CASE("numbers are their names' for the daemon's life, whoever comes and goes", "[reload]") {
  Running daemon(kWorkers + actor("a") + actor("b") + pool("size = 1\nmax_size = 2"));
  daemon.go_on_with(kWorkers + actor("c") + actor("b"));
  REQUIRE(daemon.known.actors.size() == 5);
  CHECK(daemon.known.actors[0].name == "a");
  CHECK_FALSE(daemon.known.actors[0].present);
  CHECK(daemon.known.actors[4].name == "c");
  daemon.go_on_with(kWorkers + actor("a") + pool("size = 2\nmax_size = 2"));
  CHECK(daemon.known.actors.size() == 5);
  CHECK(daemon.known.actors[0].present);
  CHECK_FALSE(daemon.known.actors[1].present);
  CHECK(daemon.known.actors[3].name == "p/1");
  CHECK(daemon.known.actors[3].present);
  // Nobody takes the name of another kind of thing: callers would find the old one.
  CHECK(daemon.to(kWorkers + pool("size = 1", "b")).needs_restart());
  daemon.go_on_with(kWorkers + actor("a"));
  CHECK(daemon.to(kWorkers + actor("a") + actor("p")).needs_restart());
  CHECK(daemon.to(kWorkers + "[[group]]\nname = \"c\"\nchildren = [\"a\"]\n" + actor("a")).needs_restart());
}

TEST_CASE("one that comes back with another type, or elsewhere, needs a restart of the daemon", "[reload]") {
  Running daemon(kWorkers + actor("a") + actor("b"));
  daemon.go_on_with(kWorkers + actor("b"));
  CHECK(daemon.to(kWorkers + actor("b") + actor("a", "worker = \"cpu/1\"")).needs_restart());
  daemon.known.actors[0].type = "other.type";
  auto plan = daemon.to(kWorkers + actor("b") + actor("a"));
  CHECK(said(plan).find("whose state is of the other type") != std::string::npos);
}

TEST_CASE("groups change in place", "[reload]") {
  Running daemon(kWorkers + actor("a") + actor("b") + "[[group]]\nname = \"g\"\nchildren = [\"a\"]\n");
  auto plan =
      daemon.to(kWorkers + actor("a") + actor("b") + "[[group]]\nname = \"g\"\nchildren = [\"a\", \"b\"]\nstrategy = \"one_for_all\"\n");
  CHECK(said(plan) ==
        "group \"g\": strategy \"one_for_one\" -> \"one_for_all\": applied in place\n"
        "group \"g\": children [\"a\"] -> [\"a\", \"b\"]: applied in place");
  CHECK(said(daemon.to(kWorkers + actor("a") + actor("b"))) ==
        "group \"g\": applied in place (it goes; its children stand for themselves)");
}
