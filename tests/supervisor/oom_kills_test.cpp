#include "supervisor/oom_kills.h"

#include <fstream>

#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

using namespace tv::supervisor;

TEST_CASE("the count of OOM kills is read from among other lines, and from nothing else", "[oom]") {
  CHECK(oom_kills_in("low 0\nhigh 3\noom 2\noom_kill 7\noom_group_kill 0\n") == std::optional<std::uint64_t>(7));
  CHECK(oom_kills_in("oom_kill 1") == std::optional<std::uint64_t>(1));
  CHECK_FALSE(oom_kills_in("low 0\noom 2\n"));
  CHECK_FALSE(oom_kills_in("oom_kill many\n"));
  CHECK_FALSE(oom_kills_in(""));
}

TEST_CASE("the cgroup of version 2 is found, that of version 1 is not taken for it", "[oom]") {
  CHECK(cgroup_in("1:name=systemd:/init\n0::/system.slice/tensorvisor.service\n") == "/system.slice/tensorvisor.service");
  CHECK(cgroup_in("4:memory:/user\n").empty());
}

TEST_CASE("the memory cgroup of version 1 is found, also beside other controllers, and its count is read", "[oom]") {
  CHECK(memory_cgroup_v1_in("9:name=systemd:/\n4:memory:/user/a:b\n0::/\n") == "/user/a:b");
  CHECK(memory_cgroup_v1_in("4:cpu,memory:/m") == "/m");
  CHECK(memory_cgroup_v1_in("4:memory2:/m\n0::/x\n").empty());
  CHECK(memory_cgroup_v1_in("nonsense\n").empty());
  CHECK(oom_kills_in("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n") == std::optional<std::uint64_t>(2));
}

TEST_CASE("each OOM kill is told once, and what was before is nobody's", "[oom]") {
  tv::test::TempDir dir;
  std::string path = dir.path() + "/memory.events";
  std::ofstream(path) << "oom_kill 5\n";
  OomKills kills(path);
  CHECK_FALSE(kills.another());
  std::ofstream(path) << "oom_kill 7\n";
  CHECK(kills.another());
  CHECK(kills.another());
  CHECK_FALSE(kills.another());
  OomKills none(dir.path() + "/none");
  CHECK_FALSE(none.another());
}
