#include "config/load.h"
#include "tests/config/loading.h"
#include "tests/support/catch.h"

using namespace tv;
using namespace tv::config;

TEST_CASE("a worker has no limits unless the file says so, and each of its processes has those of the file", "[resources]") {
  auto config = good(
      "[[worker]]\nname = \"a\"\n"
      "[[worker]]\nname = \"b\"\ncount = 2\nmemory_max = \"512MiB\"\nmemory_high = \"400MiB\"\ncpu_weight = 50\n"
      "cpus = \"3,0-1\"\nmems = \"0\"\n");
  CHECK(config.workers[0].resources == Resources{});
  Resources expected{.memory_max = 512u << 20, .memory_high = 400u << 20, .cpu_weight = 50, .cpus = "0-1,3", .mems = "0"};
  CHECK(config.workers[1].resources == expected);
  CHECK(config.workers[2].resources == expected);
}

TEST_CASE("a limit that cannot be meant is a mistake of the file", "[resources]") {
  auto key_of = [](const std::string& line) {
    auto loaded = load("[[worker]]\nname = \"a\"\n" + line + "\n");
    CAPTURE(line);
    REQUIRE(loaded.problems.size() == 1);
    return loaded.problems[0].key + ": " + loaded.problems[0].message;
  };
  CHECK(key_of("memory_max = \"1MiB\"").find("worker[0].memory_max: 1.0MiB is too small") == 0);
  CHECK(key_of("memory_max = 0").find("worker[0].memory_max") == 0);
  CHECK(key_of("memory_max = \"1GiB\"\nmemory_high = \"2GiB\"").find("worker[0].memory_high: 2.0GiB is more than memory_max (1.0GiB)") ==
        0);
  CHECK(key_of("cpu_weight = 0").find("worker[0].cpu_weight") == 0);
  CHECK(key_of("cpu_weight = 10001").find("worker[0].cpu_weight") == 0);
  CHECK(key_of("cpus = \"0-\"").find("worker[0].cpus: \"0-\": expected a number") == 0);
  CHECK(key_of("mems = \"1024\"").find("worker[0].mems: \"1024\"") == 0);
}

TEST_CASE("a share of memory is one of the machine's", "[resources]") {
  auto config = good("[[worker]]\nname = \"a\"\nmemory_max = \"25%\"\n");
  CHECK(config.workers[0].resources.memory_max > 0);
  CHECK(config.workers[0].resources.memory_max % 4096 == 0);
}
