// The end of the tree, and members of pools that come and go.
#include <map>

#include "supervisor/placement.h"
#include "supervisor/tree.h"
#include "tests/support/catch.h"

using namespace tv;
using namespace tv::supervisor;
using Log = std::vector<std::string>;

namespace {

struct Grove {
  std::vector<NodeSpec> specs{1};
  std::map<std::string, NodeId> names;
  std::optional<Tree> tree;
  std::int64_t now = 1;

  NodeSpec& add(const std::string& name, bool group, const std::string& parent = "") {
    names[name] = static_cast<NodeId>(specs.size());
    auto& spec = specs.emplace_back();
    spec.name = name;
    spec.is_group = group;
    spec.parent = parent.empty() ? kRoot : names.at(parent);
    spec.backoff.jitter = 0;
    spec.backoff.min = spec.backoff.max = 0s;
    return spec;
  }
  NodeSpec& leaf(const std::string& name, const std::string& parent = "") { return add(name, false, parent); }

  void start() {
    tree.emplace(specs, Limits{10s, 60s}, 1);
    tree->start(now);
    for (auto steps = tree->take(); !steps.empty(); steps = tree->take())
      for (const auto& step : steps)
        if (step.kind == Step::Kind::kStart) tree->up(step.node, now);
  }
  Log take() {
    Log log;
    for (const auto& step : tree->take()) {
      static const std::map<Step::Kind, std::string> kNames = {{Step::Kind::kStart, "start "}, {Step::Kind::kStop, "stop "}, {Step::Kind::kKill, "kill "}};
      if (kNames.contains(step.kind)) log.push_back(kNames.at(step.kind) + tree->spec(step.node).name);
    }
    return log;
  }
  Log wind_down() {
    tree->wind_down(now);
    return take();
  }
  Log down(const std::string& name) {
    tree->down(names.at(name), now);
    return take();
  }
  Log die(std::vector<std::string> all) {
    std::vector<NodeId> leaves;
    for (const auto& name : all) leaves.push_back(names.at(name));
    tree->died(leaves, leaves.front(), Cause{"killed"}, false, now);
    return take();
  }
  bool runs(const std::string& name) { return tree->runs(names.at(name)); }
};

}  // namespace

TEST_CASE("at the end a group's children stop one by one, the last one first, those of no group at once", "[tree]") {
  Grove g;
  g.leaf("x");
  g.add("g", true);
  for (const char* name : {"a", "b"}) g.leaf(name, "g");
  g.add("inner", true, "g");
  for (const char* name : {"c", "d"}) g.leaf(name, "inner");
  g.leaf("y");
  g.start();
  CHECK(g.wind_down() == Log{"stop y", "stop d", "stop x"});
  CHECK(g.down("y").empty());
  CHECK(g.down("d") == Log{"stop c"});
  CHECK(g.down("c") == Log{"stop b"});
  CHECK(g.down("b") == Log{"stop a"});
  CHECK(g.down("a").empty());
  CHECK(g.down("x").empty());
  for (const auto& [name, id] : g.names) CHECK_FALSE(g.runs(name));
}

TEST_CASE("at the end one that others come after stops when they are down, also when it is in a group", "[tree]") {
  Grove g;
  g.leaf("db");
  g.add("g", true);
  g.leaf("model", "g").after = {1};
  g.leaf("front").after = {3};
  g.start();
  CHECK(g.wind_down() == Log{"stop front"});
  CHECK(g.down("front") == Log{"stop model"});
  CHECK(g.down("model") == Log{"stop db"});
}

TEST_CASE("at the end nobody is started: neither who dies, nor who waits, nor who is ordered", "[tree]") {
  Grove g;
  g.add("g", true).strategy = config::Strategy::kOneForAll;
  for (const char* name : {"a", "b", "c"}) g.leaf(name, "g");
  g.leaf("x");
  g.leaf("waits").after = {5};
  g.start();
  g.tree->stop(g.names.at("x"), g.now);
  CHECK(g.take() == Log{"stop x"});
  CHECK(g.wind_down() == Log{"stop waits", "stop c"});
  g.down("x");
  CHECK(g.die({"a"}).empty());
  CHECK(g.die({"b", "c"}).empty());
  g.tree->restart(g.names.at("x"), g.now);
  g.tree->restart(g.names.at("g"), g.now);
  g.now += 1'000'000'000'000;
  g.down("waits");
  g.tree->tick(g.now);
  CHECK(g.take().empty());
  for (const auto& [name, id] : g.names) CHECK_FALSE(g.runs(name));
}

TEST_CASE("at the end one that does not stop in time is killed, and those before it are stopped then", "[tree]") {
  Grove g;
  g.add("g", true);
  for (const char* name : {"a", "b"}) g.leaf(name, "g");
  g.start();
  CHECK(g.wind_down() == Log{"stop b"});
  g.now += Nanoseconds(10s).count();
  g.tree->tick(g.now);
  CHECK(g.take() == Log{"kill b"});
  CHECK(g.die({"b"}) == Log{"stop a"});
}

TEST_CASE("groups whose children come after each other's stop all the same", "[tree]") {
  Grove g;
  g.add("g", true);
  g.leaf("a", "g");
  g.add("h", true);
  g.leaf("b", "h").after = {2};
  g.leaf("c", "h");
  g.specs[1].name = "g";
  g.leaf("d", "g").after = {4};
  g.start();
  auto stops = g.wind_down();
  for (int i = 0; i < 10 && !stops.empty(); ++i) stops = g.down(stops.front().substr(5));
  for (const auto& [name, id] : g.names) CHECK_FALSE(g.runs(name));
}

TEST_CASE("a member that its pool does not have is not started, keeps nobody waiting, and starts when it is admitted", "[tree]") {
  Grove g;
  g.add("pool", true);
  g.leaf("p/0", "pool");
  g.leaf("p/1", "pool");
  g.leaf("user").after = {2, 3};
  g.tree.emplace(g.specs, Limits{10s, 60s}, 1);
  g.tree->dismiss(3, g.now);
  g.tree->start(g.now);
  CHECK(g.take() == Log{"start p/0"});
  g.tree->up(2, g.now);
  CHECK(g.take() == Log{"start user"});
  g.tree->up(4, g.now);
  CHECK(g.tree->ready(1));
  g.tree->restart(1, g.now);
  CHECK(g.take() == Log{"stop p/0"});
  CHECK(g.down("p/0") == Log{"start p/0"});
  g.tree->up(2, g.now);
  g.tree->admit(3, g.now);
  CHECK(g.take() == Log{"start p/1"});
  CHECK_FALSE(g.tree->ready(1));
  g.tree->up(3, g.now);
  CHECK(g.tree->ready(1));
  g.tree->stop(3, g.now);
  CHECK(g.take() == Log{"stop p/1"});
  g.down("p/1");
  g.tree->dismiss(3, g.now);
  CHECK(g.tree->ready(1));
}

TEST_CASE("a new member goes to the home with the fewest actors, the first of several", "[placement]") {
  CHECK(least_loaded({0, 2}, {5, 0, 4}) == std::optional<std::size_t>(2));
  CHECK(least_loaded({1, 2}, {0, 3, 3}) == std::optional<std::size_t>(1));
  CHECK(least_loaded({}, {1}) == std::nullopt);
}
