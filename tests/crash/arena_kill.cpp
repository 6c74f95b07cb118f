#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <deque>
#include <random>

#include "shm/doorbell.h"
#include "shm/recover.h"
#include "tests/support/arena_fixture.h"

using namespace tv;
using namespace tv::shm;

namespace {

constexpr ParticipantId kVictim = 1;
constexpr ParticipantId kWitness = 2;
constexpr ActorId kActor = 0;

// Everything that touches shared words, for ever: whatever it is doing is what the kill meets.
[[noreturn]] void work_until_killed(const std::shared_ptr<Arena>& arena, std::uint32_t seed) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a failed check of the parent must not leave us behind
  std::mt19937 random(seed);
  auto store = Store::open(arena, kVictim);
  auto writer = RingWriter::open(arena, kVictim, kWitness);
  if (!store || !writer) ::_exit(1);
  std::vector<Tensor> held;
  std::deque<std::pair<RingPosition, Tensor>> in_flight;
  State state;  // of the last commit: an actor holds what it has committed
  Tensor manifest;
  for (;;) {
    auto draft = (*store)->create(test::bytes_spec(random() % 50 == 0 ? 3 << 20 : 1 + random() % 3000));
    if (!draft) {
      held.clear();
      continue;
    }
    std::memset(draft->data(), 0x5a, draft->bytes());
    held.push_back(std::move(*draft).seal());
    if (random() % 4 == 0) {
      Handle handle = held.back().handle();
      if (writer->reserve(8, 1, Deadline::at(0))) {
        in_flight.emplace_back(writer->commit(8, std::span(&handle, 1)).end, held.back());
        ring_doorbell(*arena, kWitness, kVictim);
      }
    }
    while (!in_flight.empty() && in_flight.front().first <= writer->read_position()) in_flight.pop_front();
    if (random() % 8 == 0) {
      State next;
      next.tensors.push_back(held[random() % held.size()]);
      auto fresh = put_manifest(**store, next, kActor);
      if (fresh) {
        commit(*arena, kActor, fresh->handle(), 1);
        manifest = *fresh;
        state = std::move(next);
      }
    }
    if (held.size() > 20) held.erase(held.begin(), held.begin() + static_cast<long>(random() % 20));
  }
}

}  // namespace

TEST_CASE("a participant killed at any moment leaves an arena whose books balance, its mail and its last commit", "[crash]") {
  std::uint32_t seed = std::random_device{}();
  UNSCOPED_INFO("seed " << seed);
  std::mt19937 random(seed);
  test::ArenaFixture fixture(64 * test::kMiB, 64 << 10, 4096);
  auto supervisor = *Store::open(fixture.arena, kSupervisor);
  Custody custody(supervisor);
  REQUIRE(*fixture.directory->add_actor("a", "t", kVictim) == kActor);
  auto witness = fixture.attach(kWitness);
  RingReader reader(fixture.arena, kVictim, kWitness);
  ActorId actors[] = {kActor};
  int mail = 0;
  for (Incarnation life = 1; life <= 200; ++life) {
    fixture.directory->set_participant(kVictim, ParticipantKind::kWorker, 0, life, "victim");
    pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) work_until_killed(fixture.arena, seed + life);
    // The witness reads while the victim works; after a random number of its messages the victim dies.
    for (int left = static_cast<int>(random() % 50); left >= 0;) {
      auto record = reader.next();
      REQUIRE(record.ok());
      if (!record->has_value()) {
        REQUIRE(wait_doorbell(*fixture.arena, kWitness, Deadline::in(30s)) != 0);
        continue;
      }
      auto tensor = witness->get(Handle::from_bits((*record)->handles[0]));
      REQUIRE(tensor.ok());
      REQUIRE(static_cast<const std::uint8_t*>(tensor->data())[tensor->bytes() - 1] == 0x5a);
      reader.done((*record)->end);
      ++mail;
      --left;
    }
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WTERMSIG(status) == SIGKILL);
    custody.recover(kVictim, actors);
    fixture.require_consistent();
    // What it had sent arrives, with its tensors.
    while (auto record = *reader.next()) {
      auto tensor = witness->get(Handle::from_bits(record->handles[0]));
      REQUIRE(tensor.ok());
      REQUIRE(static_cast<const std::uint8_t*>(tensor->data())[0] == 0x5a);
      reader.done(record->end);
      ++mail;
    }
    CHECK_FALSE(custody.settle());
    if (Handle handle = committed(*fixture.arena, kActor)) {
      auto manifest = supervisor->get(handle);
      REQUIRE(manifest.ok());
      REQUIRE(open_manifest(*supervisor, *manifest).ok());
    }
  }
  CHECK(mail > 200);
  custody.release_state(kActor);
  fixture.directory->set_participant(kVictim, ParticipantKind::kNone, 0, 0, "");
  supervisor->collect();
  fixture.require_consistent();
  CHECK(stats(*fixture.arena).objects == 0);
  CHECK(stats(*fixture.arena).blocks_leased == 0);
}
