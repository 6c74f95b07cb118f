#include "shm/directory.h"

#include <cstring>

#include "tests/support/arena_fixture.h"

using namespace tv;
using namespace tv::shm;

TEST_CASE("actors and pools are found by name, with where they are", "[shm]") {
  test::ArenaFixture fixture;
  Directory directory(fixture.arena);
  CHECK_FALSE(directory.find_actor("a"));
  auto a = fixture.directory->add_actor("a", "demo.a", 1);
  auto b = fixture.directory->add_actor("p/0", "demo.b", 2, 0);
  REQUIRE(fixture.directory->add_pool("p", "demo.b", *b, 1, 2).ok());
  CHECK(directory.find_actor("a") == *a);
  CHECK(directory.find_pool("p") == 0u);
  CHECK(directory.pool(0).first == *b);
  CHECK(directory.where(*a).state == ActorState::kStarting);
  auto before = directory.version();
  fixture.directory->set_actor(*a, {1, ActorState::kFailed, 0, 3}, "it would not");
  CHECK(directory.version() > before);
  CHECK(directory.where(*a).state == ActorState::kFailed);
  CHECK(directory.where(*a).incarnation == 3);
  CHECK(directory.actor_message(*a) == "it would not");
  CHECK(directory.where(77).state == ActorState::kUnused);
  CHECK(directory.actor_name(77).empty());
}

// Their sizes were believed: a caller reserved memory for four thousand million members, and took names for terminated.
TEST_CASE("a pool whose entry holds nonsense has members within the table, and a name within its field", "[shm]") {
  test::ArenaFixture fixture;
  Directory directory(fixture.arena);
  REQUIRE(fixture.directory->add_pool("p", "demo.b", 0, 1, 2).ok());
  PoolEntry& entry = fixture.arena->pool(0);
  entry.first = limits::kMaxActors - 3;
  entry.size = 0xffff'ffff;
  std::memset(entry.name, 'x', sizeof entry.name);
  CHECK(directory.pool(0).first == limits::kMaxActors - 3);
  CHECK(directory.pool(0).size == 3);
  CHECK(directory.pool(0).name == std::string(sizeof entry.name, 'x'));
  entry.first = 0xffff'fff0;
  CHECK(directory.pool(0).size == 0);
  CHECK(directory.pool(1).size == 0);
  CHECK(directory.pool(0xffff'ffff).name.empty());
}

TEST_CASE("a published name leads to the newest tensor and counts its versions over withdrawals", "[shm]") {
  test::ArenaFixture fixture;
  Directory directory(fixture.arena);
  auto first = fixture.directory->publish("w/a", Handle::make(1, 1));
  REQUIRE(first.ok());
  CHECK(first->version == 1);
  CHECK_FALSE(first->previous);
  auto second = fixture.directory->publish("w/a", Handle::make(2, 1));
  CHECK(second->version == 2);
  CHECK(second->previous == Handle::make(1, 1));
  CHECK(directory.find_name("w/a")->handle == Handle::make(2, 1));
  CHECK(*fixture.directory->withdraw("w/a") == Handle::make(2, 1));
  CHECK_FALSE(directory.find_name("w/a"));
  CHECK(fixture.directory->withdraw("w/a").error().code == Errc::kNotFound);
  CHECK(fixture.directory->publish("w/a", Handle::make(3, 1))->version == 3);
}

TEST_CASE("the table of names fills to its limit, refuses more, and finds every one", "[shm]") {
  test::ArenaFixture fixture;
  Directory directory(fixture.arena);
  // Doorbells of the attached participants are rung by each change; there are none here, so this is fast.
  for (std::uint32_t i = 0; i < limits::kMaxNames; ++i)
    REQUIRE(fixture.directory->publish("name" + std::to_string(i), Handle::make(i, 1)).ok());
  auto more = fixture.directory->publish("one more", Handle::make(1, 1));
  REQUIRE_FALSE(more.ok());
  CHECK(more.error().code == Errc::kLimit);
  for (std::uint32_t i = 0; i < limits::kMaxNames; i += 97)
    CHECK(directory.find_name("name" + std::to_string(i))->handle == Handle::make(i, 1));
  REQUIRE(fixture.directory->withdraw("name5").ok());
  CHECK(fixture.directory->publish("one more", Handle::make(1, 1)).ok());
  CHECK(directory.names().size() == limits::kMaxNames);
  CHECK(fixture.directory->publish(std::string(200, 'x'), Handle::make(1, 1)).error().code == Errc::kInvalidArgument);
}

TEST_CASE("a supervisor that died in the middle of a directory entry keeps no reader waiting", "[shm]") {
  test::ArenaFixture fixture;
  Directory directory(fixture.arena);
  auto actor = *fixture.directory->add_actor("a", "t", 1);
  fixture.directory->set_actor(actor, {1, ActorState::kFailed, 0, 1}, "why");
  REQUIRE(fixture.directory->publish("n", Handle::make(1, 1)).ok());
  fixture.arena->actor(actor).message_sequence.fetch_add(1);
  for (std::uint32_t i = 0; i < limits::kMaxNames; ++i)
    if (fixture.arena->name(i).state.load() != 0) fixture.arena->name(i).sequence.fetch_add(1);
  CHECK(directory.actor_message(actor).empty());
  CHECK_FALSE(directory.find_name("n"));
  // The next write of the entry mends it.
  REQUIRE(fixture.directory->publish("n", Handle::make(2, 1)).ok());
  CHECK(directory.find_name("n")->handle == Handle::make(2, 1));
}
