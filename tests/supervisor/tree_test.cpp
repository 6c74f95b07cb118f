#include "supervisor/tree.h"

#include <map>

#include "tests/support/catch.h"

using namespace tv;
using namespace tv::supervisor;
using config::RestartType;
using config::Strategy;
using Log = std::vector<std::string>;

namespace {

const Cause kKilled{"killed by SIGKILL"};
const Cause kNormal{"exit code 0", false};

// A tree whose leaves do at once what they are told, except those in `slow`; each in a process of its own.
struct Forest {
  std::vector<NodeSpec> specs{1};
  std::map<std::string, NodeId> names;
  std::optional<Tree> tree;
  Nanoseconds now{1h};
  Log log;
  std::vector<std::string> slow;

  NodeSpec& add(const std::string& name, const std::string& parent, bool group) {
    names[name] = static_cast<NodeId>(specs.size());
    auto& spec = specs.emplace_back();
    spec.name = name;
    spec.is_group = group;
    spec.parent = parent.empty() ? kRoot : names.at(parent);
    spec.backoff.jitter = 0;
    spec.backoff.min = spec.backoff.max = 0s;
    spec.backoff.intensity = 100;
    return spec;
  }
  NodeSpec& group(const std::string& name, Strategy strategy, const std::string& parent = "") {
    auto& spec = add(name, parent, true);
    spec.strategy = strategy;
    if (parent.empty()) spec.backoff.intensity = 0;  // its first failure is the last
    return spec;
  }
  NodeSpec& leaf(const std::string& name, const std::string& parent = "", RestartType type = RestartType::kPermanent) {
    auto& spec = add(name, parent, false);
    spec.restart = type;
    return spec;
  }
  void start() {
    tree.emplace(specs, Limits{10s, 60s}, 1);
    tree->start(now.count());
    settle();
  }

  // Orders are carried out; what has been told so far is in the log.
  void settle() {
    for (auto steps = tree->take(); !steps.empty(); steps = tree->take())
      for (const auto& step : steps) obey(step);
  }
  void obey(const Step& step) {
    const auto& name = tree->spec(step.node).name;
    bool late = std::find(slow.begin(), slow.end(), name) != slow.end();
    switch (step.kind) {
      case Step::Kind::kStart:
        log.push_back("start " + name);
        if (!late) tree->up(step.node, now.count());
        break;
      case Step::Kind::kStop:
        log.push_back("stop " + name);
        if (!late) tree->down(step.node, now.count());
        break;
      case Step::Kind::kKill: log.push_back("kill " + name); break;
      case Step::Kind::kGroupFails: log.push_back("group " + name + " fails"); break;
      case Step::Kind::kFailed: log.push_back(name + " failed"); break;
      case Step::Kind::kChance: log.push_back("chance for " + name); break;
      case Step::Kind::kRestarts: break;
    }
  }
  Log told() { return std::exchange(log, {}); }

  bool die(const std::string& name, const Cause& cause = kKilled, bool gives_up = false) {
    std::vector<NodeId> leaves{names.at(name)};
    bool given_up = tree->died(leaves, leaves[0], cause, gives_up, now.count());
    settle();
    return given_up;
  }
  Log die_and_tell(const std::string& name, const Cause& cause = kKilled) {
    told();
    die(name, cause);
    return told();
  }
  void after(Nanoseconds time) {
    now += time;
    tree->tick(now.count());
    settle();
  }
  NodeState state(const std::string& name) { return tree->state(names.at(name)); }
};

// Three children of one group.
Forest three(Strategy strategy, RestartType type = RestartType::kPermanent) {
  Forest forest;
  forest.group("g", strategy);
  for (const char* name : {"a", "b", "c"}) forest.leaf(name, "g", type);
  forest.start();
  forest.told();
  return forest;
}

}  // namespace

TEST_CASE("children are started in their order, each when the one before is ready", "[tree]") {
  Forest forest;
  forest.group("g", Strategy::kOneForAll);
  forest.leaf("a", "g");
  forest.group("inner", Strategy::kOneForOne, "g");
  forest.leaf("b", "inner");
  forest.leaf("c", "g");
  forest.slow = {"b"};
  forest.start();
  CHECK(forest.told() == Log{"start a", "start b"});
  CHECK(forest.state("g") == NodeState::kStarting);
  forest.tree->up(forest.names["b"], forest.now.count());
  forest.settle();
  CHECK(forest.told() == Log{"start c"});
  CHECK(forest.state("g") == NodeState::kUp);
}

TEST_CASE("a group is stopped in reverse, those within it as well", "[tree]") {
  Forest forest;
  forest.group("g", Strategy::kOneForOne);
  forest.leaf("a", "g");
  forest.group("inner", Strategy::kOneForOne, "g");
  forest.leaf("b", "inner");
  forest.leaf("c", "inner");
  forest.leaf("d", "g");
  forest.start();
  forest.told();
  forest.tree->stop(forest.names["g"], forest.now.count());
  forest.settle();
  CHECK(forest.told() == Log{"stop d", "stop c", "stop b", "stop a"});
  CHECK(forest.state("g") == NodeState::kStopped);
}

// "If a child process terminates, only that process is restarted." (OTP, Supervisor Behaviour)
TEST_CASE("one_for_one: only the child that died is started again", "[tree][otp]") {
  auto forest = three(Strategy::kOneForOne);
  CHECK(forest.die_and_tell("b") == Log{"start b"});
}

// "If a child process terminates, all remaining child processes are terminated. Subsequently, all child processes, including the terminated
// one, are restarted."
TEST_CASE("one_for_all: the others are stopped in reverse, then all are started in order", "[tree][otp]") {
  auto forest = three(Strategy::kOneForAll);
  CHECK(forest.die_and_tell("b") == Log{"stop c", "stop a", "start a", "start b", "start c"});
}

// "If a child process terminates, the rest of the child processes (that is, the child processes after the terminated process in start order)
// are terminated. Subsequently, the terminated child process and the remaining child processes are restarted."
TEST_CASE("rest_for_one: those behind the child that died are stopped, then it and they are started", "[tree][otp]") {
  auto forest = three(Strategy::kRestForOne);
  CHECK(forest.die_and_tell("b") == Log{"stop c", "start b", "start c"});
  CHECK(forest.die_and_tell("a") == Log{"stop c", "stop b", "start a", "start b", "start c"});
  CHECK(forest.die_and_tell("c") == Log{"start c"});
}

// "A permanent child process is always restarted." "A temporary child process is never restarted (not even when the supervisor restart strategy
// is rest_for_one or one_for_all and a sibling death causes the temporary process to be terminated)." "A transient child process is restarted
// only if it terminates abnormally."
TEST_CASE("restart types: permanent always, transient after an abnormal end, temporary never", "[tree][otp]") {
  auto permanent = three(Strategy::kOneForOne);
  CHECK(permanent.die_and_tell("b", kNormal) == Log{"start b"});
  auto transient = three(Strategy::kOneForOne, RestartType::kTransient);
  CHECK(transient.die_and_tell("b", kKilled) == Log{"start b"});
  CHECK(transient.die_and_tell("b", kNormal).empty());
  CHECK(transient.state("b") == NodeState::kFinished);
  auto temporary = three(Strategy::kOneForOne, RestartType::kTemporary);
  CHECK(temporary.die_and_tell("b", kKilled).empty());
  CHECK(temporary.state("b") == NodeState::kFinished);
}

TEST_CASE("a temporary child that is stopped with its siblings does not come back, nor does its own death stop them", "[tree][otp]") {
  Forest forest;
  forest.group("g", Strategy::kOneForAll);
  forest.leaf("a", "g");
  forest.leaf("t", "g", RestartType::kTemporary);
  forest.leaf("c", "g");
  forest.start();
  CHECK(forest.die_and_tell("a") == Log{"stop c", "stop t", "start a", "start c"});
  CHECK(forest.state("t") == NodeState::kFinished);
  auto other = three(Strategy::kOneForAll, RestartType::kTemporary);
  CHECK(other.die_and_tell("a").empty());
}

TEST_CASE("a transient child that had ended normally is started with the others when all are started again", "[tree][otp]") {
  Forest forest;
  forest.group("g", Strategy::kOneForAll);
  forest.leaf("a", "g");
  forest.leaf("t", "g", RestartType::kTransient);
  forest.start();
  CHECK(forest.die_and_tell("t", kNormal).empty());
  CHECK(forest.die_and_tell("a") == Log{"start a", "start t"});
}

TEST_CASE("a group that is started anew starts all its children, finished ones as well", "[tree][otp]") {
  Forest forest;
  forest.group("g", Strategy::kOneForOne);
  forest.leaf("a", "g");
  forest.leaf("t", "g", RestartType::kTemporary);
  forest.start();
  forest.die("t");
  forest.told();
  forest.tree->restart(forest.names["g"], forest.now.count());
  forest.settle();
  CHECK(forest.told() == Log{"stop a", "start a", "start t"});
}

// "If more than MaxR number of restarts occur in the last MaxT seconds, the supervisor terminates all the child processes and then itself."
// Defaults there: intensity 1, period 5.
TEST_CASE("more restarts than intensity within period and the group fails, its children stopped in reverse", "[tree][otp]") {
  Forest forest;
  forest.group("g", Strategy::kOneForOne).budget = config::Budget{1, 5s};
  for (const char* name : {"a", "b", "c"}) forest.leaf(name, "g");
  forest.start();
  CHECK(forest.die_and_tell("a") == Log{"start a"});
  CHECK(forest.die_and_tell("b") == Log{"group g fails", "stop c", "stop a", "g failed"});
  CHECK(forest.state("g") == NodeState::kFailed);
  CHECK(forest.tree->why(forest.names["g"]).find("2 deaths within 5s, at most 1") != std::string::npos);
}

TEST_CASE("restarts that are older than the period are not counted", "[tree][otp]") {
  Forest forest;
  forest.group("g", Strategy::kOneForOne).budget = config::Budget{1, 5s};
  forest.leaf("a", "g");
  forest.start();
  for (int i = 0; i < 20; ++i) {
    forest.die("a");
    REQUIRE(forest.state("a") == NodeState::kUp);
    forest.after(5s);
  }
}

// "When the supervisor terminates, then the next higher-level supervisor takes some action. It either restarts the terminated supervisor or
// terminates itself."
TEST_CASE("when a group has failed the group above decides about it as about a child, up to the top", "[tree][otp]") {
  Forest forest;
  forest.group("top", Strategy::kOneForAll).budget = config::Budget{1, 60s};
  forest.leaf("x", "top");
  forest.group("g", Strategy::kOneForOne, "top").budget = config::Budget{0, 60s};
  forest.leaf("a", "g");
  forest.leaf("b", "g");
  forest.leaf("beside");
  forest.start();
  CHECK(forest.die_and_tell("a") == Log{"group g fails", "stop b", "stop x", "start x", "start a", "start b"});
  CHECK(forest.die_and_tell("b") == Log{"group g fails", "stop a", "group top fails", "stop x", "top failed"});
  CHECK(forest.state("beside") == NodeState::kUp);
}

TEST_CASE("a group of the top is a child of the root: it comes back until its own budget is used up", "[tree]") {
  Forest forest;
  auto& group = forest.group("g", Strategy::kOneForOne);
  group.budget = config::Budget{0, 60s};
  group.backoff.intensity = 1;
  forest.leaf("a", "g");
  forest.start();
  CHECK(forest.die_and_tell("a") == Log{"group g fails", "start a"});
  CHECK(forest.die_and_tell("a") == Log{"group g fails", "g failed"});
}

TEST_CASE("a group that is started again begins with clean counts", "[tree][otp]") {
  Forest forest;
  forest.group("top", Strategy::kOneForOne);
  forest.group("g", Strategy::kOneForOne, "top").budget = config::Budget{1, 60s};
  forest.leaf("a", "g");
  forest.start();
  for (int i = 0; i < 3; ++i) {
    CHECK(forest.die_and_tell("a") == Log{"start a"});
    CHECK(forest.die_and_tell("a") == Log{"group g fails", "start a"});
  }
}

TEST_CASE("budgets are each child's own unless the group has one for all", "[tree]") {
  Forest own;
  own.group("g", Strategy::kOneForOne);
  for (const char* name : {"a", "b", "c"}) own.leaf(name, "g").backoff.intensity = 1;
  own.start();
  for (const char* name : {"a", "b", "c"}) own.die(name);
  CHECK(own.state("g") == NodeState::kUp);
  CHECK(own.die_and_tell("b") == Log{"group g fails", "stop c", "stop a", "g failed"});
}

TEST_CASE("a child of no group that is over its budget is failed, and the others go on", "[tree]") {
  Forest forest;
  forest.leaf("a").backoff.intensity = 1;
  forest.leaf("b");
  forest.start();
  CHECK_FALSE(forest.die("a"));
  CHECK(forest.die("a"));
  CHECK(forest.state("a") == NodeState::kFailed);
  CHECK(forest.state("b") == NodeState::kUp);
}

TEST_CASE("a child that is given up for its cause takes its groups along, which are not tried again", "[tree]") {
  Forest forest;
  forest.group("top", Strategy::kOneForOne);
  forest.group("g", Strategy::kOneForOne, "top");
  forest.leaf("a", "g");
  forest.start();
  forest.told();
  CHECK(forest.die("a", {"exit code 78"}, true));
  CHECK(forest.told() == Log{"group g fails", "group top fails", "top failed"});
  CHECK(forest.tree->why(forest.names["top"]).find("exit code 78") != std::string::npos);
}

TEST_CASE("what has lost its process through no fault of its own comes back uncharged, and no strategy applies", "[tree]") {
  Forest forest;
  forest.group("g", Strategy::kOneForAll).budget = config::Budget{0, 60s};
  forest.leaf("a", "g");
  forest.leaf("b", "g");
  forest.leaf("culprit").backoff.intensity = 0;
  forest.start();
  forest.told();
  std::vector<NodeId> all{forest.names["a"], forest.names["culprit"]};
  CHECK(forest.tree->died(all, forest.names["culprit"], kKilled, false, forest.now.count()));
  forest.settle();
  CHECK(forest.told() == Log{"culprit failed", "start a"});
  CHECK(forest.state("b") == NodeState::kUp);
}

TEST_CASE("where nobody is known to be at fault nobody is charged, and temporary ones still do not come back", "[tree]") {
  Forest forest;
  forest.leaf("a").backoff.intensity = 0;
  forest.leaf("t", "", RestartType::kTemporary);
  forest.start();
  forest.told();
  std::vector<NodeId> all{forest.names["a"], forest.names["t"]};
  CHECK_FALSE(forest.tree->died(all, kNoNode, kKilled, false, forest.now.count()));
  forest.settle();
  CHECK(forest.told() == Log{"start a"});
  CHECK(forest.state("t") == NodeState::kFinished);
}

TEST_CASE("a death among those that are being stopped is their stop, and is not counted", "[tree][otp]") {
  Forest forest;
  forest.group("g", Strategy::kOneForAll).budget = config::Budget{1, 60s};
  for (const char* name : {"a", "b", "c"}) forest.leaf(name, "g");
  forest.slow = {"c"};
  forest.start();
  forest.tree->up(forest.names["c"], forest.now.count());
  forest.settle();
  forest.told();
  forest.die("b");
  CHECK(forest.told() == Log{"stop c"});
  forest.die("a");  // its turn to be stopped has not come
  forest.die("c");
  CHECK(forest.told() == Log{"start a", "start b", "start c"});
  CHECK(forest.state("g") == NodeState::kUp);
}

TEST_CASE("a death before the window that is being restarted widens it, and is counted", "[tree]") {
  Forest forest;
  forest.group("g", Strategy::kRestForOne).budget = config::Budget{2, 60s};
  for (const char* name : {"a", "b", "c"}) forest.leaf(name, "g");
  forest.slow = {"c"};
  forest.start();
  forest.tree->up(forest.names["c"], forest.now.count());
  forest.told();
  forest.die("b");
  forest.die("a");
  CHECK(forest.told() == Log{"stop c"});
  forest.tree->down(forest.names["c"], forest.now.count());
  forest.settle();
  CHECK(forest.told() == Log{"start a", "start b", "start c"});
  forest.tree->up(forest.names["c"], forest.now.count());
  CHECK(forest.die_and_tell("b") == Log{"group g fails", "stop c"});
}

TEST_CASE("a child that dies while it is started is charged and started again, one behind it waits", "[tree]") {
  Forest forest;
  forest.group("g", Strategy::kRestForOne);
  forest.leaf("a", "g");
  forest.leaf("b", "g");
  forest.slow = {"a"};
  forest.start();
  CHECK(forest.die_and_tell("a") == Log{"start a"});
  forest.tree->up(forest.names["a"], forest.now.count());
  forest.settle();
  CHECK(forest.told() == Log{"start b"});
  CHECK(forest.tree->restarts(forest.names["a"]) == 1);
}

TEST_CASE("restarts wait as backoff says, and a healthy time begins a new row", "[tree]") {
  Forest forest;
  auto& backoff = forest.leaf("a").backoff;
  backoff.min = 1s;
  backoff.max = 10s;
  forest.start();
  forest.told();
  CHECK(forest.die_and_tell("a") == Log{"start a"});
  CHECK(forest.die_and_tell("a").empty());
  CHECK(forest.tree->next_due() == (forest.now + 1s).count());
  forest.after(1s - 1ns);
  CHECK(forest.told().empty());
  forest.after(1ns);
  CHECK(forest.told() == Log{"start a"});
  forest.after(30s);
  CHECK(forest.die_and_tell("a") == Log{"start a"});
}

TEST_CASE("siblings are stopped at once, and started when the delay is over", "[tree]") {
  Forest forest;
  forest.group("g", Strategy::kOneForAll);
  forest.leaf("a", "g");
  auto& backoff = forest.leaf("b", "g").backoff;
  backoff.min = backoff.max = 1s;
  forest.start();
  forest.die("b");
  CHECK(forest.die_and_tell("b") == Log{"stop a"});
  forest.after(1s);
  CHECK(forest.told() == Log{"start a", "start b"});
}

TEST_CASE("backoff of a child goes on when its group is started again", "[tree]") {
  Forest forest;
  forest.group("top", Strategy::kOneForOne);
  forest.group("h", Strategy::kOneForOne, "top").budget = config::Budget{1, 60s};
  auto& backoff = forest.leaf("a", "h").backoff;
  backoff.min = backoff.max = 1s;
  forest.start();
  forest.die("a");
  forest.die("a");  // one too many: h starts again
  CHECK(forest.state("a") == NodeState::kUp);
  CHECK(forest.die_and_tell("a").empty());
  forest.after(1s);
  CHECK(forest.told() == Log{"start a"});
}

TEST_CASE("who comes after others is started when they are ready, each time", "[tree]") {
  Forest forest;
  forest.leaf("late").after = {2};
  forest.leaf("early");
  forest.slow = {"early"};
  forest.start();
  CHECK(forest.told() == Log{"start early"});
  CHECK(forest.state("late") == NodeState::kWaiting);
  CHECK(forest.tree->waits_for(1) == 2);
  forest.tree->up(2, forest.now.count());
  forest.settle();
  CHECK(forest.told() == Log{"start late"});
  std::vector<NodeId> both{1, 2};
  forest.tree->died(both, kNoNode, kKilled, false, forest.now.count());
  forest.settle();
  CHECK(forest.told() == Log{"start early"});
}

TEST_CASE("who waits, or is delayed, is not started any more when its group is going down", "[tree]") {
  Forest forest;
  forest.leaf("early");
  forest.group("g", Strategy::kOneForOne).budget = config::Budget{1, 60s};
  forest.leaf("late", "g").after = {1};
  auto& backoff = forest.leaf("delayed", "g").backoff;
  backoff.min = backoff.max = 1s;
  backoff.reset = 1h;
  forest.leaf("slow", "g");
  forest.leaf("bad", "g");
  forest.start();
  forest.die("delayed");
  forest.after(60s);
  forest.die("delayed");  // waits for a second
  forest.slow = {"early", "slow"};
  std::vector<NodeId> both{forest.names["early"], forest.names["late"]};
  forest.tree->died(both, kNoNode, kKilled, false, forest.now.count());
  forest.settle();
  forest.told();
  CHECK(forest.die_and_tell("bad") == Log{"group g fails", "stop slow"});
  forest.tree->up(forest.names["early"], forest.now.count());
  forest.after(1s);
  CHECK(forest.told().empty());
  forest.tree->down(forest.names["slow"], forest.now.count());
  forest.settle();
  CHECK(forest.told() == Log{"g failed"});
}

TEST_CASE("a stop that takes longer than the grace ends with a kill, and so does a start that never ends", "[tree]") {
  Forest forest;
  forest.leaf("a");
  forest.leaf("b");
  forest.slow = {"a", "b"};
  forest.start();
  forest.tree->up(forest.names["a"], forest.now.count());
  forest.tree->began(forest.names["b"], forest.now.count());
  forest.tree->stop(forest.names["a"], forest.now.count());
  forest.settle();
  forest.told();
  forest.after(10s);
  CHECK(forest.told() == Log{"kill a"});
  forest.after(50s);
  CHECK(forest.told() == Log{"kill b"});
  forest.die("a");
  CHECK(forest.state("a") == NodeState::kStopped);
}

TEST_CASE("what an administrator has stopped stays so, whatever its group does, until it is restarted", "[tree]") {
  auto forest = three(Strategy::kOneForAll);
  forest.tree->stop(forest.names["b"], forest.now.count());
  forest.settle();
  CHECK(forest.told() == Log{"stop b"});
  CHECK(forest.die_and_tell("a") == Log{"stop c", "start a", "start c"});
  CHECK(forest.state("b") == NodeState::kStopped);
  forest.tree->restart(forest.names["b"], forest.now.count());
  forest.settle();
  CHECK(forest.told() == Log{"start b"});
}

TEST_CASE("reset-failed starts who has failed, with clean counts, and forgives the others their deaths", "[tree]") {
  Forest forest;
  forest.leaf("a").backoff.intensity = 1;
  forest.start();
  forest.die("a");
  forest.tree->reset_failed(forest.names["a"], forest.now.count());
  CHECK_FALSE(forest.die("a"));
  CHECK(forest.die("a"));
  forest.told();
  forest.tree->reset_failed(forest.names["a"], forest.now.count());
  forest.settle();
  CHECK(forest.told() == Log{"start a"});
  CHECK_FALSE(forest.die("a"));
}

TEST_CASE("probation gives a failed group one more chance, and waits twice as long after a second failure soon after", "[tree]") {
  Forest forest;
  forest.group("g", Strategy::kOneForOne).probation = 5min;
  forest.specs.back().budget = config::Budget{2, 60s};
  forest.leaf("a", "g");
  forest.start();
  for (int i = 0; i < 3; ++i) forest.die("a");
  REQUIRE(forest.state("g") == NodeState::kFailed);
  forest.told();
  forest.after(5min - 1ns);
  CHECK(forest.told().empty());
  forest.after(1ns);
  CHECK(forest.told() == Log{"chance for g", "start a"});
  CHECK(forest.die_and_tell("a") == Log{"group g fails", "g failed"});  // one chance, not three
  forest.after(5min);
  CHECK(forest.told().empty());
  forest.after(5min);
  CHECK(forest.told() == Log{"chance for g", "start a"});
  forest.after(11min);  // well for long: restarts again, and the wait is what it was
  CHECK(forest.die_and_tell("a") == Log{"start a"});
  forest.die("a");
  forest.die("a");
  REQUIRE(forest.state("g") == NodeState::kFailed);
  forest.told();
  forest.after(5min);
  CHECK(forest.told() == Log{"chance for g", "start a"});
}

TEST_CASE("a start that fails in a living process is charged, or given up if its cause says so", "[tree]") {
  Forest forest;
  forest.leaf("a");
  forest.slow = {"a"};
  forest.start();
  forest.told();
  forest.tree->start_failed(1, start_failed("no such file"), false, forest.now.count());
  forest.settle();
  CHECK(forest.told() == Log{"start a"});
  forest.tree->start_failed(1, start_failed("no such file"), true, forest.now.count());
  forest.settle();
  CHECK(forest.told() == Log{"a failed"});
  CHECK(forest.tree->why(1) == "no such file");
}
