#include "supervisor/worker_limits.h"

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "supervisor/process_limits.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

using namespace tv;
using namespace tv::supervisor;

namespace {

// A process that waits to be killed.
class Sleeper {
 public:
  Sleeper() : pid_(::fork()) {
    if (pid_ == 0)
      for (;;) ::pause();
    REQUIRE(pid_ > 0);
  }
  ~Sleeper() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }
  rlim_t data_limit() const {
    rlimit limit{};
    REQUIRE(::prlimit(pid_, RLIMIT_DATA, nullptr, &limit) == 0);
    return limit.rlim_cur;
  }
  int processors() const {
    cpu_set_t set;
    REQUIRE(::sched_getaffinity(pid_, sizeof set, &set) == 0);
    return CPU_COUNT(&set);
  }
  int nice() const { return ::getpriority(PRIO_PROCESS, static_cast<id_t>(pid_)); }

 private:
  pid_t pid_;
};

config::Config config_with(config::Resources resources) {
  config::Config config;
  config.workers.push_back({.name = "cpu/0", .group = "cpu", .resources = resources});
  return config;
}

Error nowhere() { return Error{Errc::kUnsupported, "no group here"}; }

const Enforced* limit_of(const WorkerLimits& limits, const std::string& key) {
  for (const auto& limit : limits.enforced(0))
    if (limit.key == key) return &limit;
  return nullptr;
}

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
std::string read(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The files that the kernel would have, all controllers passed on. The process is never moved: a file is written.
struct Tree {
  test::TempDir dir;
  std::string top = dir.path() + "/top", worker = top + "/workers/cpu:0";
  Tree() {
    std::filesystem::create_directories(worker);
    for (const auto& group : {top, top + "/workers"}) {
      write(group + "/cgroup.procs", "");
      write(group + "/cgroup.controllers", "cpuset cpu memory\n");
      write(group + "/cgroup.subtree_control", "cpuset cpu memory\n");
    }
    for (const char* file :
         {"cgroup.procs", "cgroup.kill", "memory.max", "memory.high", "memory.oom.group", "cpu.weight", "cpuset.cpus", "cpuset.mems"})
      write(worker + "/" + file, "");
    events(0, 0);
    write(worker + "/cpu.stat", "usage_usec 1\n");
  }
  void events(int own, int kills) const {
    write(worker + "/memory.events", "low 0\nhigh 0\nmax 0\noom " + std::to_string(own) + "\noom_kill " + std::to_string(kills) + "\n");
  }
};

}  // namespace

TEST_CASE("without cgroups a process gets what it can be limited by, and the rest is said not to hold", "[limits]") {
  WorkerLimits limits(config_with({.memory_max = 256u << 20, .memory_high = 200u << 20, .cpu_weight = 50, .cpus = "0", .mems = "0"}),
                      nowhere());
  Sleeper process;
  limits.admit(0, process.pid());
  CHECK(process.data_limit() == 256u << 20);
  CHECK(process.processors() == 1);
  CHECK(process.nice() == 3);
  REQUIRE(limits.enforced(0).size() == 5);
  CHECK(limit_of(limits, "memory_max")->by == "rlimit");
  CHECK(limit_of(limits, "cpus")->by == "affinity");
  CHECK(limit_of(limits, "cpu_weight")->by == "nice");
  for (const char* key : {"memory_high", "mems"}) {
    CHECK(limit_of(limits, key)->by.empty());
    CHECK(limit_of(limits, key)->note == "no group here");
  }
  CHECK_FALSE(limits.usage(0));
}

TEST_CASE("a process without limits is left as it is", "[limits]") {
  WorkerLimits limits(config_with({}), nowhere());
  Sleeper process, other;
  limits.admit(0, process.pid());
  CHECK(limits.enforced(0).empty());
  CHECK(process.data_limit() == other.data_limit());
  CHECK(process.processors() == other.processors());
  CHECK(process.nice() == other.nice());
}

TEST_CASE("limits of a running process are changed, and taken away again", "[limits]") {
  Sleeper process, other;
  // A reload puts another supervisor in the place of the one before, with the other configuration.
  WorkerLimits before(config_with({.memory_max = 256u << 20, .cpus = "0"}), nowhere());
  before.admit(0, process.pid());
  WorkerLimits other_limits(config_with({.memory_max = 512u << 20}), nowhere());
  other_limits.take_over(0, process.pid(), before.by_itself(0));
  CHECK(process.data_limit() == 512u << 20);
  CHECK(process.processors() == other.processors());
  CHECK(other_limits.enforced(0).size() == 1);
  WorkerLimits none(config_with({}), nowhere());
  none.take_over(0, process.pid(), other_limits.by_itself(0));
  CHECK(process.data_limit() == other.data_limit());
  CHECK(none.enforced(0).empty());
}

TEST_CASE("a limit on a process that has gone is said not to hold", "[limits]") {
  pid_t gone = 0;
  {
    Sleeper process;
    gone = process.pid();
  }
  CHECK(limit_private_memory(gone, 1).error().code == Errc::kNotFound);
  CHECK(limit_processors(gone, {0}).error().code == Errc::kNotFound);
  CHECK(set_weight(gone, 50).error().code == Errc::kNotFound);
  WorkerLimits limits(config_with({.memory_max = 256u << 20}), nowhere());
  limits.admit(0, gone);
  CHECK(limit_of(limits, "memory_max")->by.empty());
}

TEST_CASE("in a cgroup the limits are in its files before the process is in it, and stay there", "[limits]") {
  Tree tree;
  WorkerLimits limits(config_with({.memory_max = 256u << 20, .memory_high = 200u << 20, .cpu_weight = 50, .cpus = "0-1", .mems = "0"}),
                      WorkerGroups::open(Cgroup(tree.top)));
  Sleeper process, other;
  limits.admit(0, process.pid());
  CHECK(read(tree.worker + "/memory.max") == std::to_string(256u << 20));
  CHECK(read(tree.worker + "/memory.high") == std::to_string(200u << 20));
  CHECK(read(tree.worker + "/memory.oom.group") == "1");
  CHECK(read(tree.worker + "/cpu.weight") == "50");
  CHECK(read(tree.worker + "/cpuset.cpus") == "0-1");
  CHECK(read(tree.worker + "/cgroup.procs") == std::to_string(process.pid()));
  for (const auto& limit : limits.enforced(0)) CHECK(limit.by == "cgroup");
  CHECK(process.data_limit() == other.data_limit());
  REQUIRE(limits.usage(0));
  CHECK(limits.usage(0)->path == tree.worker);
}

TEST_CASE("a process without limits goes into its group when there is time", "[limits]") {
  Tree tree;
  WorkerLimits limits(config_with({}), WorkerGroups::open(Cgroup(tree.top)));
  Sleeper process;
  CHECK(limits.admit(0, process.pid()));
  CHECK(read(tree.worker + "/cgroup.procs").empty());
  CHECK_FALSE(limits.usage(0));
  limits.settle(0, process.pid());
  CHECK(read(tree.worker + "/cgroup.procs") == std::to_string(process.pid()));
  REQUIRE(limits.usage(0));
  WorkerLimits some(config_with({.cpu_weight = 50}), WorkerGroups::open(Cgroup(tree.top)));
  CHECK_FALSE(some.admit(0, process.pid()));
}

TEST_CASE("a controller that the group lacks is stood in for, and the others are used", "[limits]") {
  Tree tree;
  write(tree.top + "/cgroup.controllers", "cpu\n");
  WorkerLimits limits(config_with({.memory_max = 256u << 20, .cpu_weight = 50}), WorkerGroups::open(Cgroup(tree.top)));
  Sleeper process;
  limits.admit(0, process.pid());
  CHECK(limit_of(limits, "cpu_weight")->by == "cgroup");
  CHECK(limit_of(limits, "memory_max")->by == "rlimit");
  CHECK(process.data_limit() == 256u << 20);
}

TEST_CASE("a death for want of memory is told once, with whose memory it was", "[limits]") {
  Tree tree;
  tree.events(4, 4);  // what was before is nobody's
  WorkerLimits limits(config_with({.memory_max = 256u << 20}), WorkerGroups::open(Cgroup(tree.top)));
  Sleeper process;
  limits.admit(0, process.pid());
  CHECK_FALSE(limits.out_of_memory(0));
  tree.events(5, 5);
  auto own = limits.out_of_memory(0);
  REQUIRE(own);
  CHECK(own->find(": its limit, memory_max = 256.0MiB, was reached") == 0);
  CHECK_FALSE(limits.out_of_memory(0));
  tree.events(5, 6);
  auto others = limits.out_of_memory(0);
  REQUIRE(others);
  CHECK(others->find(": the memory of the machine") == 0);
}
