#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "shm/ring.h"
#include "shm/running.h"
#include "supervisor/hang_report.h"
#include "tests/support/arena_fixture.h"

using namespace tv;
using namespace tv::supervisor;

namespace {

// A directory with one actor, 0, that lives on participant 1.
struct Fixture : test::ArenaFixture {
  Fixture() {
    REQUIRE(directory->add_actor("a", "test.type", 1).ok());
    REQUIRE(directory->add_actor("b", "test.type", 1).ok());
  }
  shm::Directory view{arena};
  std::vector<ActorId> actors{0, 1};
};

}  // namespace

TEST_CASE("whose code runs is read from the actors' cells", "[hang]") {
  Fixture f;
  CHECK(busy_actor(*f.arena, f.actors).actor == kNoActor);
  CHECK(place_of(f.view, 1, busy_actor(*f.arena, f.actors)) == "in no actor's code");
  f.arena->cell(1).running.store(pack(shm::Running{shm::Doing::kHealth, 4096}));
  auto busy = busy_actor(*f.arena, f.actors);
  CHECK(busy.actor == 1);
  CHECK(busy.running == shm::Running{shm::Doing::kHealth, 4096});
  CHECK(place_of(f.view, 1, busy) == "in actor \"b\", on_health");
  CHECK(place_of(f.view, 1, {0, {shm::Doing::kStart, 0}}) == "in actor \"a\", on_start");
  CHECK(place_of(f.view, 1, {0, {shm::Doing::kStop, 0}}) == "in actor \"a\", on_stop");
}

TEST_CASE("a method whose message is not there, or is nonsense, is left out", "[hang]") {
  Fixture f;
  Busy busy{0, {shm::Doing::kMethod, 0}};
  CHECK(place_of(f.view, 1, busy) == "in actor \"a\"");
  auto& at_hand = f.arena->cell(0).at_hand;
  for (std::uint64_t word : {~std::uint64_t{0}, std::uint64_t{1} << 47, std::uint64_t{0x4001'0000'0000'1234}}) {
    at_hand.store(word);
    CHECK(place_of(f.view, 1, busy) == "in actor \"a\"");
  }
  auto writer = *shm::RingWriter::open(f.arena, 2, 1);
  auto room = writer.reserve(64, 0, Deadline::in(1s));
  REQUIRE(room);
  std::fill(room->begin(), room->end(), std::byte{0xff});
  auto end = writer.commit(64, {}).end;
  at_hand.store(shm::pack(shm::AtHand{2, 1, end}));
  CHECK(place_of(f.view, 1, busy) == "in actor \"a\"");
}

TEST_CASE("a process that is stopped is said to be, and one that is not there has no state", "[hang]") {
  pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0)
    for (;;) ::pause();
  REQUIRE(::kill(child, SIGSTOP) == 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, WUNTRACED) == child);
  CHECK(process_state(child) == "stopped (SIGSTOP)");
  REQUIRE(::kill(child, SIGKILL) == 0);
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(process_state(child).empty());
  CHECK(kernel_stack(child).empty());
}
