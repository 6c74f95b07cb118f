#include "supervisor/placement.h"

#include "tests/support/catch.h"

using namespace tv;
using namespace tv::supervisor;

namespace {

config::Worker worker(const std::string& name, const std::string& group, config::Device device = {}) {
  config::Worker worker;
  worker.name = name;
  worker.group = group;
  worker.device = device;
  return worker;
}

config::Actor actor(const std::string& name, const std::string& home) {
  config::Actor actor;
  actor.name = name;
  actor.type = "demo.counter";
  actor.worker = home;
  return actor;
}

config::Pool pool(const std::string& name, std::uint32_t size, std::vector<std::string> homes) {
  config::Pool pool;
  pool.name = name;
  pool.type = "demo.counter";
  pool.size = size;
  pool.workers = std::move(homes);
  return pool;
}

config::Config two_and_a_gpu() {
  config::Config config;
  config.workers = {worker("cpu/0", "cpu"), worker("cpu/1", "cpu"), worker("gpu", "gpu", {config::DeviceKind::kCuda, 0})};
  return config;
}

std::vector<std::size_t> homes(const Placement& placement) {
  std::vector<std::size_t> homes;
  for (const auto& actor : placement.actors) homes.push_back(actor.worker);
  return homes;
}

}  // namespace

TEST_CASE("an actor lives on the process that it names, or on the first of a group", "[placement]") {
  auto config = two_and_a_gpu();
  config.actors = {actor("a", "cpu/1"), actor("b", "cpu"), actor("c", "gpu")};
  auto placement = place(config);
  REQUIRE(placement);
  CHECK(homes(*placement) == std::vector<std::size_t>{1, 0, 2});
}

TEST_CASE("an actor without a worker lives on the first one with its device", "[placement]") {
  auto config = two_and_a_gpu();
  config.actors = {actor("a", "")};
  config.actors[0].device = config::Device{config::DeviceKind::kCuda, 0};
  auto placement = place(config);
  REQUIRE(placement);
  CHECK(homes(*placement) == std::vector<std::size_t>{2});
}

TEST_CASE("a pool goes round-robin over its processes, and its members follow each other behind the actors", "[placement]") {
  auto config = two_and_a_gpu();
  config.actors = {actor("a", "gpu")};
  config.pools = {pool("p", 3, {"cpu"}), pool("q", 4, {"gpu", "cpu/1", "gpu"})};
  auto placement = place(config);
  REQUIRE(placement);
  CHECK(homes(*placement) == std::vector<std::size_t>{2, 0, 1, 0, 2, 1, 2, 1});
  CHECK(placement->first_member == std::vector<ActorId>{1, 4});
  CHECK(placement->actors[1].name == "p/0");
  CHECK(placement->actors[7].name == "q/3");
  CHECK(placement->actors[7].pool == std::optional<std::size_t>(1));
  CHECK_FALSE(placement->actors[0].pool);
}

TEST_CASE("an actor or pool that has nowhere to live is an error that names it", "[placement]") {
  auto config = two_and_a_gpu();
  SECTION("actor") { config.actors = {actor("lost", "nowhere")}; }
  SECTION("pool") { config.pools = {pool("lost", 2, {"nowhere"})}; }
  SECTION("device") {
    config.actors = {actor("lost", "")};
    config.actors[0].device = config::Device{config::DeviceKind::kMps, 0};
  }
  auto placement = place(config);
  REQUIRE_FALSE(placement);
  CHECK(placement.error().message.find("\"lost\"") != std::string::npos);
}

TEST_CASE("more actors than the directory takes are refused", "[placement]") {
  auto config = two_and_a_gpu();
  config.pools = {pool("p", limits::kMaxActors, {"cpu"})};
  CHECK(place(config));
  config.actors = {actor("one too many", "cpu")};
  auto placement = place(config);
  REQUIRE_FALSE(placement);
  CHECK(placement.error().code == Errc::kLimit);
}

TEST_CASE("an actor may move to the other processes that its worker or device names, unless it says that it stays", "[placement]") {
  config::Config config;
  config.workers.resize(3);
  for (std::size_t i = 0; i < 3; ++i) {
    config.workers[i].group = i < 2 ? "cpu" : "other";
    config.workers[i].name = i < 2 ? "cpu/" + std::to_string(i) : "other";
  }
  for (const char* worker : {"cpu", "cpu/1", "", "cpu"}) {
    config::Actor actor;
    actor.name = "a" + std::to_string(config.actors.size());
    actor.worker = worker;
    if (actor.worker.empty()) actor.device = config::Device{};
    actor.migrate = config.actors.size() < 3;
    config.actors.push_back(actor);
  }
  auto placement = supervisor::place(config);
  REQUIRE(placement.ok());
  CHECK(placement->actors[0].may_live_on == std::vector<std::size_t>{1});
  CHECK(placement->actors[1].may_live_on.empty());
  CHECK(placement->actors[2].may_live_on == std::vector<std::size_t>{1, 2});
  CHECK(placement->actors[3].may_live_on.empty());
}
