#include "tests/config/loading.h"

using namespace tv;
using namespace tv::config;

TEST_CASE("[access] names users, groups and everybody for each role") {
  auto config = good(
      kWorker +
      "[access]\nobserve = [\"*\"]\noperate = [\"alice\", \"1000\", \"@video\", \"@44\"]\nadminister = [\"DOMAIN\\\\bob\", \"host$\"]\n");
  CHECK(config.access.observe == std::vector<std::string>{"*"});
  CHECK(config.access.operate == std::vector<std::string>{"alice", "1000", "@video", "@44"});
  CHECK(config.access.administer == std::vector<std::string>{"DOMAIN\\bob", "host$"});
}

TEST_CASE("without [access] nobody is named, and without [clients] nothing is limited") {
  auto config = good(kWorker);
  CHECK(config.access.observe.empty());
  CHECK(config.access.operate.empty());
  CHECK(config.access.administer.empty());
  CHECK(config.clients.bytes == 0);
  CHECK(config.clients.objects == 0);
  CHECK(config.clients.calls_per_second == 0);
}

TEST_CASE("what is no name of a user or group is refused where it stands") {
  auto access = [](const std::string& line) { return kWorker + "[access]\n" + line + "\n"; };
  check_only(access("observe = [\"a b\"]"), 5, 12, "access.observe[0]", "is no name of a user");
  check_only(access("observe = [\"@\"]"), 5, 12, "access.observe[0]", "names no group");
  check_only(access("operate = [\"x\", \"@a:b\"]"), 5, 17, "access.operate[1]", "is no name of a group");
  check_only(access("operate = [\"all*\"]"), 5, 12, "access.operate[0]", "write \"*\" alone for everybody");
  check_only(access("administer = [1000]"), 5, 15, "access.administer[0]", "expected a user");
  check_only(access("administer = \"alice\""), 5, 14, "access.administer", "expected a list of users and groups");
  check_only(access("owner = [\"alice\"]"), 5, 1, "access.owner", "unknown key");
}

TEST_CASE("[clients] has a size and two counts") {
  auto config = good(kWorker + "[clients]\nbytes = \"512MiB\"\nobjects = 1000\ncalls_per_second = 50\n");
  CHECK(config.clients.bytes == std::uint64_t{512} << 20);
  CHECK(config.clients.objects == 1000);
  CHECK(config.clients.calls_per_second == 50);
  check_only(kWorker + "[clients]\nobjects = -1\n", 5, 11, "clients.objects", "");
  check_only(kWorker + "[clients]\ncalls_per_second = \"many\"\n", 5, 20, "clients.calls_per_second", "");
}

TEST_CASE("[log] keeps 4 MiB by default, nothing or a size within limits, and [inject] is off unless it is turned on") {
  CHECK(good(kWorker).log.keep_bytes == std::uint64_t{4} << 20);
  CHECK_FALSE(good(kWorker).inject.enabled);
  CHECK(good(kWorker + "[log]\nkeep = 0\n").log.keep_bytes == 0);
  CHECK(good(kWorker + "[log]\nkeep = \"64KiB\"\n").log.keep_bytes == 64u << 10);
  check_only(kWorker + "[log]\nkeep = \"1KiB\"\n", 5, 8, "log.keep", "a size from 64");
  check_only(kWorker + "[log]\nkeep = \"1GiB\"\n", 5, 8, "log.keep", "a size from 64");
  check_only(kWorker + "[log]\nkept = 0\n", 5, 1, "log.kept", "unknown key");
  CHECK(good(kWorker + "[inject]\nenabled = true\n").inject.enabled);
  check_only(kWorker + "[inject]\nenabled = \"yes\"\n", 5, 11, "inject.enabled", "");
}
