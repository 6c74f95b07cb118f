#include "supervisor/cgroup.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "supervisor/process_limits.h"
#include "supervisor/worker_groups.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

using namespace tv;
using namespace tv::supervisor;

namespace {

// A directory with the files that the kernel would have there. What is written to them stays as it was written.
Cgroup group_of_files(const std::string& path, std::initializer_list<std::pair<const char*, const char*>> files) {
  std::filesystem::create_directories(path);
  for (const auto& [name, content] : files) std::ofstream(path + "/" + name) << content;
  return Cgroup(path);
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("each worker's group has a directory of its own, and none of the names of the kernel's files", "[cgroup]") {
  CHECK(group_directory("cpu0") == "cpu0");
  CHECK(group_directory("cpu/0") == "cpu:0");
  CHECK(group_directory("memory.max") == "_memory.max");
  CHECK(group_directory("_memory.max") == "__memory.max");
  CHECK(group_directory("_x") == "__x");
  CHECK(group_directory("..") == "_..");
}

TEST_CASE("the group that is ours is the one that we are in, or the one above our leaf", "[cgroup]") {
  auto own = [](const char* text) { return own_cgroup(text, "/mnt"); };
  CHECK(own("0::/system.slice/x.service\n")->path() == "/mnt/system.slice/x.service");
  CHECK(own("0::/system.slice/x.service/supervisor\n")->path() == "/mnt/system.slice/x.service");
  CHECK(own("4:memory:/y\n0::/system.slice/x.service/.control\n")->path() == "/mnt/system.slice/x.service");
  CHECK(own("0::/a/mysupervisor\n")->path() == "/mnt/a/mysupervisor");
  // Nobody divides the whole machine's.
  CHECK(own("0::/\n").error().code == Errc::kUnsupported);
  CHECK(own("0::/supervisor\n").error().code == Errc::kUnsupported);
  CHECK(own("4:memory:/y\n").error().code == Errc::kUnsupported);
  CHECK(own_cgroup("0::/x\n", "").error().code == Errc::kUnsupported);
}

TEST_CASE("a group's files are read: numbers, lines of a word and a number, and what is not there", "[cgroup]") {
  test::TempDir dir;
  auto group = group_of_files(dir.path() + "/g", {{"memory.current", "4096\n"},
                                                  {"memory.max", "max\n"},
                                                  {"memory.events", "low 0\nhigh 2\noom 1\noom_kill 3\n"},
                                                  {"cgroup.controllers", "cpuset cpu memory\n"}});
  CHECK(group.number("memory.current") == std::optional<std::uint64_t>(4096));
  CHECK_FALSE(group.number("memory.max"));
  CHECK_FALSE(group.number("memory.peak"));
  CHECK(group.entry("memory.events", "oom") == std::optional<std::uint64_t>(1));
  CHECK(group.entry("memory.events", "oom_kill") == std::optional<std::uint64_t>(3));
  CHECK_FALSE(group.entry("memory.events", "oom_k"));
  CHECK(group.controllers() == std::set<std::string>{"cpuset", "cpu", "memory"});
  CHECK(group.passed_on().empty());
  auto written = group.write("memory.low", "1");
  REQUIRE_FALSE(written.ok());
  CHECK(written.error().message.find(dir.path() + "/g/memory.low") != std::string::npos);
}

TEST_CASE("groups are made once and removed once, and one with something below it is not", "[cgroup]") {
  test::TempDir dir;
  Cgroup group(dir.path() + "/g");
  REQUIRE(group.make().ok());
  REQUIRE(group.make().ok());
  REQUIRE(group.below("x").make().ok());
  CHECK_FALSE(group.remove().ok());
  REQUIRE(group.below("x").remove().ok());
  REQUIRE(group.remove().ok());
  CHECK(group.remove().ok());
  CHECK_FALSE(Cgroup(dir.path() + "/none/g").make().ok());
}

TEST_CASE("controllers are taken back from below first, and only those that are passed on", "[cgroup]") {
  test::TempDir dir;
  auto top = group_of_files(dir.path() + "/top", {{"cgroup.subtree_control", "memory\n"}});
  group_of_files(dir.path() + "/top/workers", {{"cgroup.subtree_control", ""}});
  REQUIRE(release(top).ok());
  CHECK(text_of(dir.path() + "/top/cgroup.subtree_control").substr(0, 7) == "-memory");
  CHECK(text_of(dir.path() + "/top/workers/cgroup.subtree_control").empty());
}

TEST_CASE("what a worker's group has used is read, with or without controllers", "[cgroup]") {
  test::TempDir dir;
  auto top = group_of_files(dir.path() + "/top", {{"cgroup.procs", ""}, {"cgroup.controllers", ""}, {"cgroup.subtree_control", ""}});
  group_of_files(dir.path() + "/top/workers", {{"cgroup.subtree_control", ""}});
  auto groups = WorkerGroups::open(top);
  REQUIRE(groups.ok());
  CHECK(groups->controllers().empty());
  CHECK_FALSE(groups->newly_controlled());
  CHECK_FALSE(groups->usage("cpu/0"));
  auto path = dir.path() + "/top/workers/cpu:0";
  group_of_files(path, {{"cpu.stat", "usage_usec 1500\nuser_usec 1000\nthrottled_usec 20\n"}});
  auto usage = groups->usage("cpu/0");
  REQUIRE(usage);
  CHECK(usage->path == path);
  CHECK(usage->cpu_ns == 1'500'000);
  CHECK(usage->throttled_ns == 20'000);
  CHECK(usage->memory_bytes == 0);
  CHECK_FALSE(groups->oom_count("cpu/0"));
  group_of_files(path,
                 {{"memory.current", "10\n"}, {"memory.peak", "20\n"}, {"memory.events", "low 0\nhigh 5\nmax 6\noom 7\noom_kill 8\n"}});
  usage = groups->usage("cpu/0");
  CHECK(usage->memory_bytes == 10);
  CHECK(usage->memory_peak_bytes == 20);
  CHECK(usage->memory_high == 5);
  CHECK(usage->memory_max == 6);
  CHECK(usage->oom_kills == 8);
  CHECK(groups->oom_count("cpu/0")->own_limit == 7);
}

TEST_CASE("a weight is the nice value that the scheduler gives the same share", "[cgroup]") {
  CHECK(nice_of_weight(100) == 0);
  CHECK(nice_of_weight(80) == 1);
  CHECK(nice_of_weight(50) == 3);
  CHECK(nice_of_weight(1) == 19);
  CHECK(nice_of_weight(125) == -1);
  CHECK(nice_of_weight(10'000) == -20);
}
