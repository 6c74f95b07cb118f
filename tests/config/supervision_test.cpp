#include <signal.h>

#include <map>
#include <random>

#include "tests/config/loading.h"

using namespace tv;
using namespace tv::config;

namespace {

std::string actor(const std::string& name, const std::string& more = "") {
  return "[[actor]]\nname = \"" + name + "\"\ntype = \"torchscript\"\n" + more + "\n";
}
std::string pool(const std::string& name, const std::string& more = "") {
  return "[[pool]]\nname = \"" + name + "\"\ntype = \"torchscript\"\nsize = 2\n" + more + "\n";
}
std::string group(const std::string& name, const std::string& children, const std::string& more = "") {
  return "[[group]]\nname = \"" + name + "\"\nchildren = [" + children + "]\n" + more + "\n";
}
// Line of the first [[actor]] behind kWorker.
constexpr std::uint32_t kFirst = 4;

std::string warnings(const Loaded& loaded) {
  std::string text;
  for (const auto& warning : loaded.warnings) text += to_string(warning) + "\n";
  return text;
}

}  // namespace

TEST_CASE("a group has its children in their order, its strategy and its budget", "[supervision]") {
  auto config = good(kWorker + actor("a") + pool("p") +
                     group("inner", "\"p\"", "strategy = \"rest_for_one\"\nintensity = 1\nperiod = \"5s\"") +
                     group("outer", "\"inner\", \"a\"", "strategy = \"one_for_all\"\nprobation = \"5min\"\nrestart = { min = \"1s\" }"));
  REQUIRE(config.groups.size() == 2);
  CHECK(config.groups[0].strategy == Strategy::kRestForOne);
  CHECK(config.groups[0].budget == Budget{1, 5s});
  CHECK(config.groups[1].children == std::vector<std::string>{"inner", "a"});
  CHECK_FALSE(config.groups[1].budget);
  CHECK(config.groups[1].probation == 5min);
  CHECK(config.groups[1].restart.min == 1s);
}

TEST_CASE("either half of a budget makes one", "[supervision]") {
  auto config = good(kWorker + actor("a") + actor("b") + group("g", "\"a\"", "intensity = 3") + group("h", "\"b\"", "period = \"9s\""));
  CHECK(config.groups[0].budget == Budget{3, 60s});
  CHECK(config.groups[1].budget == Budget{10, 9s});
}

TEST_CASE("a child that nobody is called is told with the nearest name", "[supervision]") {
  check_only(kWorker + actor("trainer") + group("g", "\"trainr\""), 10, 13, "group[0].children[0]", "did you mean \"trainer\"?");
}

TEST_CASE("a member of a pool cannot be a child by itself", "[supervision]") {
  check_only(kWorker + pool("p") + group("g", "\"p/0\""), 11, 13, "group[0].children[0]", "write \"p\", which means all of them");
}

TEST_CASE("a child is in one group and there once", "[supervision]") {
  check_only(kWorker + actor("a") + group("g", "\"a\"") + group("h", "\"a\""), 14, 13, "group[1].children[0]", "is in group \"g\" already");
  check_only(kWorker + actor("a") + group("g", "\"a\", \"a\""), 10, 18, "group[0].children[1]", "stands in this group twice");
}

TEST_CASE("groups contain neither themselves nor each other", "[supervision]") {
  check_only(kWorker + group("g", "\"g\""), 6, 13, "group[0].children[0]", "cannot be its own child");
  check_only(kWorker + group("g", "\"h\"") + group("h", "\"i\"") + group("i", "\"g\""), 6, 12, "group[0].children",
             "a group cannot contain itself: \"g\" contains \"h\" contains \"i\" contains \"g\"");
}

TEST_CASE("a group without children is refused, and one without a name", "[supervision]") {
  check_only(kWorker + group("g", ""), 6, 12, "group[0].children", "a group needs a child at least");
  check_only(kWorker + actor("a") + "[[group]]\nchildren = [\"a\"]\n", 8, 1, "group[0].name", "every [[group]] needs a name");
}

TEST_CASE("groups, actors and pools share one space of names", "[supervision]") {
  check_only(kWorker + actor("a") + group("a", "\"a\""), 9, 8, "group[0].name", "is taken already, by actor[0].name");
}

TEST_CASE("groups are nested 16 deep at most", "[supervision]") {
  std::string text = kWorker + actor("a");
  for (int i = 0; i < 17; ++i) text += group("g" + std::to_string(i), i < 16 ? "\"g" + std::to_string(i + 1) + "\"" : "\"a\"");
  auto loaded = load(text);
  REQUIRE(loaded.problems.size() == 1);
  CHECK(contains(loaded.problems[0].message, "nested more than 16 deep"));
}

TEST_CASE("after names actors and pools that exist, and never itself", "[supervision]") {
  auto config = good(kWorker + actor("a") + pool("p", "after = [\"a\"]") + actor("b", "after = [\"a\", \"p\"]"));
  CHECK(config.actors[1].after == std::vector<std::string>{"a", "p"});
  CHECK(config.pools[0].after == std::vector<std::string>{"a"});
  check_only(kWorker + actor("loader") + actor("b", "after = [\"lodaer\"]"), 11, 10, "actor[1].after[0]", "did you mean \"loader\"?");
  check_only(kWorker + actor("a", "after = [\"a\"]"), kFirst + 3, 10, "actor[0].after[0]", "cannot wait for itself");
  check_only(kWorker + actor("a") + actor("b", "after = [\"g\"]") + group("g", "\"a\""), 11, 10, "actor[1].after[0]", "is a group");
}

TEST_CASE("a cycle of after is refused and named", "[supervision]") {
  auto loaded = load(kWorker + actor("a", "after = [\"c\"]") + actor("b", "after = [\"a\"]") + actor("c", "after = [\"b\"]"));
  REQUIRE(loaded.problems.size() == 1);
  CHECK(loaded.problems[0].key == "actor[0].after");
  CHECK(contains(loaded.problems[0].message, "\"a\" waits for \"c\" waits for \"b\" waits for \"a\""));
}

TEST_CASE("a cycle of after and the order within a group is refused and named", "[supervision]") {
  auto loaded = load(kWorker + actor("first", "after = [\"second\"]") + actor("second") + group("g", "\"first\", \"second\""));
  REQUIRE(loaded.problems.size() == 1);
  CHECK(contains(loaded.problems[0].message, "none of these could ever start"));
  CHECK(contains(loaded.problems[0].message, "\"first\""));
  CHECK(contains(loaded.problems[0].message, "\"second\""));
  good(kWorker + actor("first") + actor("second", "after = [\"first\"]") + group("g", "\"first\", \"second\""));
}

TEST_CASE("a long chain of after is no trouble", "[supervision]") {
  std::string text = kWorker + actor("a0");
  for (int i = 1; i < 1000; ++i) text += actor("a" + std::to_string(i), "after = [\"a" + std::to_string(i - 1) + "\"]");
  CHECK(good(text).actors.size() == 1000);
}

TEST_CASE("probation of a group within another is said to have no effect", "[supervision]") {
  auto loaded = load(kWorker + actor("a") + group("in", "\"a\"", "probation = \"1min\"") + group("out", "\"in\""));
  CHECK(loaded.ok());
  CHECK(contains(warnings(loaded), "group[0].probation: has no effect"));
}

TEST_CASE("causes map exit codes, signals and words to actions, the worker's over the common ones", "[supervision]") {
  auto config = good(
      "[causes]\nexit = { 70 = \"give_up\", 3 = \"give_up\" }\noom = \"give_up\"\n"
      "[[worker]]\nname = \"a\"\n[worker.causes]\nexit = { 70 = \"restart\" }\nsignal = { SIGSEGV = \"give_up\", BUS = \"give_up\" }\n"
      "[[worker]]\nname = \"b\"\ncauses = { oom = \"restart\", hang = \"give_up\" }\n");
  const auto& a = config.workers[0].causes;
  CHECK(a.exit_codes == std::map<int, CauseAction>{{3, CauseAction::kGiveUp}, {70, CauseAction::kRestart}});
  CHECK(a.signals == std::map<int, CauseAction>{{SIGSEGV, CauseAction::kGiveUp}, {SIGBUS, CauseAction::kGiveUp}});
  CHECK(a.oom == CauseAction::kGiveUp);
  CHECK_FALSE(a.hang);
  const auto& b = config.workers[1].causes;
  CHECK(b.exit_codes.size() == 2);
  CHECK(b.oom == CauseAction::kRestart);
  CHECK(b.hang == CauseAction::kGiveUp);
}

TEST_CASE("what is no exit code, signal or action is refused", "[supervision]") {
  check_only(kWorker + "[causes]\nexit = { 256 = \"restart\" }\n", 5, 16, "causes.exit.256", "no exit code");
  check_only(kWorker + "[causes]\nsignal = { SIGSEVG = \"restart\" }\n", 5, 22, "causes.signal.SIGSEVG", "did you mean SIGSEGV?");
  check_only(kWorker + "[causes]\nhang = \"giveup\"\n", 5, 8, "causes.hang", "did you mean \"give_up\"?");
  check_only(kWorker + "[causes]\noom = \"elsewhere\"\n", 5, 7, "causes.oom", "\"restart_elsewhere\"");
}

TEST_CASE("exit code 78 is never restarted, and a table that says otherwise is told so", "[supervision]") {
  auto loaded = load(kWorker + "[causes]\nexit = { 78 = \"restart\" }\n");
  CHECK(loaded.ok());
  CHECK(contains(warnings(loaded), "exit code 78 (cannot work with this configuration) is never restarted"));
}

namespace {

struct Plan {
  std::vector<std::vector<int>> after;  // of actor i
  std::vector<std::vector<std::string>> children;  // of group i: "a3" or "g1"
};

// Whether all get ready when each is started as soon as it may be: the rule itself, tried out.
bool all_can_start(const Plan& plan) {
  std::map<std::string, bool> ready;
  auto may_begin = [&](const std::string& name, const auto& self) -> bool {
    for (std::size_t g = 0; g < plan.children.size(); ++g)
      for (std::size_t c = 0; c < plan.children[g].size(); ++c)
        if (plan.children[g][c] == name) return self("g" + std::to_string(g), self) && (c == 0 || ready[plan.children[g][c - 1]]);
    return true;
  };
  for (std::size_t round = 0; round <= plan.after.size() + plan.children.size(); ++round) {
    for (std::size_t a = 0; a < plan.after.size(); ++a) {
      bool free = may_begin("a" + std::to_string(a), may_begin);
      for (int other : plan.after[a]) free = free && ready["a" + std::to_string(other)];
      if (free) ready["a" + std::to_string(a)] = true;
    }
    for (std::size_t g = 0; g < plan.children.size(); ++g) {
      bool all = true;
      for (const auto& child : plan.children[g]) all = all && ready[child];
      ready["g" + std::to_string(g)] = all;
    }
  }
  for (std::size_t a = 0; a < plan.after.size(); ++a)
    if (!ready["a" + std::to_string(a)]) return false;
  return true;
}

}  // namespace

TEST_CASE("a random plan is refused exactly if somebody in it could never start", "[supervision]") {
  std::mt19937_64 random(std::random_device{}());
  int refused = 0, taken = 0;
  for (int run = 0; run < 400; ++run) {
    Plan plan;
    int actors = 2 + static_cast<int>(random() % 5), groups = static_cast<int>(random() % 4);
    plan.after.resize(static_cast<std::size_t>(actors));
    for (int a = 0; a < actors; ++a)
      for (int other = 0; other < actors; ++other)
        if (other != a && random() % 6 == 0) plan.after[static_cast<std::size_t>(a)].push_back(other);
    std::vector<std::string> free;
    for (int a = 0; a < actors; ++a) free.push_back("a" + std::to_string(a));
    for (int g = 0; g < groups && !free.empty(); ++g) {
      auto& children = plan.children.emplace_back();
      for (std::size_t n = 1 + random() % 3; n > 0 && !free.empty(); --n) {
        auto at = free.begin() + static_cast<std::ptrdiff_t>(random() % free.size());
        children.push_back(*at);
        free.erase(at);
      }
      free.push_back("g" + std::to_string(g));
    }
    std::string text = kWorker;
    for (std::size_t a = 0; a < plan.after.size(); ++a) {
      std::string names;
      for (int other : plan.after[a]) names += (names.empty() ? "\"a" : ", \"a") + std::to_string(other) + "\"";
      text += actor("a" + std::to_string(a), "after = [" + names + "]");
    }
    for (std::size_t g = 0; g < plan.children.size(); ++g) {
      std::string names;
      for (const auto& child : plan.children[g]) names += (names.empty() ? "\"" : ", \"") + child + "\"";
      text += group("g" + std::to_string(g), names);
    }
    auto loaded = load(text);
    INFO(text);
    INFO(listed(loaded));
    bool fine = all_can_start(plan);
    REQUIRE(loaded.ok() == fine);
    ++(fine ? taken : refused);
  }
  CHECK(refused > 20);
  CHECK(taken > 20);
}

TEST_CASE("a worker has a watchdog of its own, which can be switched off", "[supervision]") {
  auto config = good("[[worker]]\nname = \"a\"\n[[worker]]\nname = \"b\"\nwatchdog = \"2min\"\nwatchdog_grace = \"1s\"\n"
                     "[[worker]]\nname = \"c\"\nwatchdog = \"0s\"\n");
  CHECK(config.workers[0].watchdog == 30s);
  CHECK(config.workers[0].watchdog_grace == 5s);
  CHECK(config.workers[1].watchdog == 2min);
  CHECK(config.workers[1].watchdog_grace == 1s);
  CHECK(config.workers[2].watchdog == 0s);
  auto loaded = load("[[worker]]\nname = \"a\"\nwatchdog = \"5ms\"\n");
  REQUIRE(loaded.problems.size() == 1);
  CHECK(loaded.problems[0].key == "worker[0].watchdog");
  CHECK(contains(loaded.problems[0].message, "\"0s\" for never, or a time from 100ms to 24h"));
}

TEST_CASE("actors and members of pools are asked how they are as their sections say", "[supervision]") {
  auto config = good(kWorker + actor("a") + actor("b", "health = { period = \"10s\", timeout = \"1s\", failures = 5 }") +
                     pool("p", "health = { period = \"1s\" }"));
  CHECK(config.actors[0].health == HealthCheck{});
  CHECK(config.actors[1].health == HealthCheck{10s, 1s, 5});
  CHECK(config.pools[0].health == HealthCheck{1s, 5s, 3});
  auto loaded = load(kWorker + actor("a", "health = { period = \"1ms\", failures = 0 }"));
  CHECK(loaded.problems.size() == 2);
}
