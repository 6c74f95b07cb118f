// A tree that goes on with another plan: the same names, in other places, with others beside them.
#include <map>

#include "supervisor/tree.h"
#include "tests/support/catch.h"

using namespace tv;
using namespace tv::supervisor;
using config::Strategy;
using Log = std::vector<std::string>;

namespace {

struct Plan {
  std::vector<NodeSpec> specs{1};
  std::map<std::string, NodeId> names;

  Plan& add(const std::string& name, const std::string& parent, bool group, Strategy strategy = Strategy::kOneForOne) {
    names[name] = static_cast<NodeId>(specs.size());
    auto& spec = specs.emplace_back();
    spec.name = name;
    spec.is_group = group;
    spec.strategy = strategy;
    spec.parent = parent.empty() ? kRoot : names.at(parent);
    spec.backoff.jitter = 0;
    spec.backoff.min = spec.backoff.max = 1s;
    return *this;
  }
  Plan& leaf(const std::string& name, const std::string& parent = "") { return add(name, parent, false); }
  Plan& group(const std::string& name, Strategy strategy = Strategy::kOneForOne, const std::string& parent = "") {
    return add(name, parent, true, strategy);
  }
};

// Leaves do at once what they are told, except those in `slow`.
struct Grove {
  Plan plan;
  std::optional<Tree> tree;
  std::int64_t now = 1'000'000'000'000;
  Log log;
  std::vector<std::string> slow;

  explicit Grove(Plan first) : plan(std::move(first)) {
    tree.emplace(plan.specs, Limits{10s, 60s}, 1);
    tree->start(now);
    settle();
    log.clear();
  }
  void settle() {
    for (auto steps = tree->take(); !steps.empty(); steps = tree->take())
      for (const auto& step : steps) {
        const auto& name = tree->spec(step.node).name;
        bool late = std::find(slow.begin(), slow.end(), name) != slow.end();
        if (step.kind == Step::Kind::kStart) log.push_back("start " + name);
        if (step.kind == Step::Kind::kStop) log.push_back("stop " + name);
        if (step.kind == Step::Kind::kStart && !late) tree->up(step.node, now);
        if (step.kind == Step::Kind::kStop && !late) tree->down(step.node, now);
      }
  }
  Log go_on_as(Plan next) {
    std::vector<NodeId> was(next.specs.size(), kNoNode);
    was[kRoot] = kRoot;
    for (const auto& [name, id] : next.names)
      if (auto before = plan.names.find(name); before != plan.names.end()) was[id] = before->second;
    auto life = tree->life();
    tree.emplace(next.specs, Limits{10s, 60s}, 1);
    plan = std::move(next);
    tree->go_on(life, was, now);
    settle();
    return std::exchange(log, {});
  }
  NodeId id(const std::string& name) const { return plan.names.at(name); }
  NodeState state(const std::string& name) const { return tree->state(id(name)); }
  void die(const std::string& name) {
    std::vector<NodeId> leaves{id(name)};
    tree->died(leaves, leaves[0], Cause{"killed by SIGKILL"}, false, now);
    settle();
  }
};

}  // namespace

TEST_CASE("a new leaf is started, and nobody else is touched", "[tree]") {
  Grove grove(Plan().leaf("a").group("g").leaf("b", "g"));
  CHECK(grove.go_on_as(Plan().leaf("new").leaf("a").group("g").leaf("c", "g").leaf("b", "g")) == Log{"start new", "start c"});
  CHECK(grove.state("g") == NodeState::kUp);
  CHECK(grove.state("a") == NodeState::kUp);
}

TEST_CASE("a new group starts those of its children that do not run, and takes over those that do", "[tree]") {
  Grove grove(Plan().leaf("a").leaf("b"));
  CHECK(grove.go_on_as(Plan().group("g", Strategy::kOneForAll).leaf("a", "g").leaf("new", "g").leaf("b")) == Log{"start new"});
  CHECK(grove.state("g") == NodeState::kUp);
  grove.die("a");
  CHECK(grove.log == Log{"stop new", "start a", "start new"});
}

TEST_CASE("children of a group that goes run on", "[tree]") {
  Grove grove(Plan().group("g", Strategy::kOneForAll).leaf("a", "g").leaf("b", "g"));
  CHECK(grove.go_on_as(Plan().leaf("a").leaf("b")).empty());
  grove.die("a");
  CHECK(grove.log == Log{"start a"});
  CHECK(grove.state("b") == NodeState::kUp);
}

TEST_CASE("a leaf that gets into a group which an administrator has stopped is stopped", "[tree]") {
  Grove grove(Plan().leaf("a").group("g").leaf("b", "g"));
  grove.tree->stop(grove.id("g"), grove.now);
  grove.settle();
  grove.log.clear();
  CHECK(grove.go_on_as(Plan().group("g").leaf("b", "g").leaf("a", "g")) == Log{"stop a"});
  CHECK(grove.state("a") == NodeState::kDown);
  CHECK(grove.state("b") == NodeState::kDown);
}

TEST_CASE("what an administrator has stopped stays so, wherever it goes", "[tree]") {
  Grove grove(Plan().leaf("a").leaf("b"));
  grove.tree->stop(grove.id("a"), grove.now);
  grove.settle();
  grove.log.clear();
  CHECK(grove.go_on_as(Plan().leaf("b").group("g").leaf("a", "g")).empty());
  CHECK(grove.state("a") == NodeState::kStopped);
}

TEST_CASE("a failed leaf that gets into a group has another chance with it", "[tree]") {
  Plan plan;
  plan.leaf("a").leaf("b");
  plan.specs[1].backoff.intensity = 0;
  Grove grove(plan);
  grove.die("a");
  CHECK(grove.state("a") == NodeState::kFailed);
  CHECK(grove.go_on_as(Plan().leaf("b").group("g").leaf("a", "g")) == Log{"start a"});
}

TEST_CASE("a group that was in the middle of a restart goes on with it, with all of its new children", "[tree]") {
  Grove grove(Plan().group("g", Strategy::kRestForOne).leaf("a", "g").leaf("b", "g"));
  grove.slow = {"b"};
  grove.die("a");
  CHECK(grove.log == Log{"stop b"});
  grove.log.clear();
  CHECK(grove.go_on_as(Plan().group("g", Strategy::kRestForOne).leaf("new", "g").leaf("a", "g").leaf("b", "g")).empty());
  grove.slow.clear();
  grove.tree->down(grove.id("b"), grove.now);
  grove.settle();
  CHECK(grove.log.size() == 3);
  for (const char* name : {"new", "a", "b"}) CHECK(grove.state(name) == NodeState::kUp);
}

TEST_CASE("deaths of before still count, also for whom they are charged to", "[tree]") {
  Plan plan;
  plan.leaf("a").leaf("b");
  plan.specs[2].backoff.intensity = 2;
  plan.specs[2].backoff.min = plan.specs[2].backoff.max = 0s;
  Grove grove(plan);
  grove.die("b");
  grove.die("b");
  Plan next;
  next.leaf("new").leaf("b").leaf("a");
  next.specs[2].backoff = plan.specs[2].backoff;
  grove.go_on_as(next);
  CHECK(grove.state("b") == NodeState::kUp);
  grove.die("b");
  CHECK(grove.state("b") == NodeState::kFailed);
}
