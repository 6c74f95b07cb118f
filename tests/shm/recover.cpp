#include "shm/recover.h"

#include <cstring>

#include "tests/support/arena_fixture.h"

using namespace tv;
using namespace tv::shm;
using test::make_tensor;

// A participant "dies" here by being forgotten: its Store is leaked, so that nothing is taken back on its behalf.
namespace {

void forget(std::shared_ptr<Store> store) { static auto* leaked = new std::vector<std::shared_ptr<Store>>; leaked->push_back(std::move(store)); }

struct RecoverFixture : test::ArenaFixture {
  std::shared_ptr<Store> supervisor = *Store::open(arena, kSupervisor);
  Custody custody{supervisor};

  Custody::Report bury(ParticipantId dead, std::vector<ActorId> actors = {}) {
    auto report = custody.recover(dead, actors);
    directory->set_participant(dead, ParticipantKind::kNone, 0, 1, "");
    return report;
  }
};

// Leaves tensors alive in the dead one's name.
template <class... T>
void leak(T&&... tensors) {
  static auto* leaked = new std::vector<std::shared_ptr<void>>;  // reachable: no leak of the test's
  leaked->push_back(std::make_shared<std::tuple<std::decay_t<T>...>>(std::forward<T>(tensors)...));
}

}  // namespace

TEST_CASE("everything that only the dead participant held is free after its clean-up", "[shm]") {
  RecoverFixture fixture;
  auto dead = fixture.attach(1);
  for (int i = 0; i < 700; ++i) leak(make_tensor(*dead, 1000));
  leak(make_tensor(*dead, 5 << 20));
  auto draft = dead->create(test::bytes_spec(100));
  leak(std::move(*draft));
  forget(std::move(dead));
  auto report = fixture.bury(1);
  CHECK(report.objects_freed == 702);
  auto s = stats(*fixture.arena);
  CHECK(s.objects == 0);
  CHECK(s.blocks_leased == 0);
  fixture.require_consistent();
}

TEST_CASE("what others hold of the dead one's objects stays whole, and its memory is free when they let go", "[shm]") {
  RecoverFixture fixture;
  auto dead = fixture.attach(1);
  auto other = fixture.attach(2);
  auto kept_small = make_tensor(*dead, 1000, 7);
  auto kept_large = make_tensor(*dead, 5 << 20, 8);
  for (int i = 0; i < 100; ++i) leak(make_tensor(*dead, 1000));
  std::optional<Tensor> small = *other->get(kept_small.handle());
  std::optional<Tensor> large = *other->get(kept_large.handle());
  leak(kept_small, kept_large);
  leak(std::move(kept_small));
  leak(std::move(kept_large));
  forget(std::move(dead));
  auto report = fixture.bury(1);
  CHECK(report.blocks_adopted == 5);  // the first few small ones', the other small ones', and the large one's three
  fixture.require_consistent();
  CHECK(static_cast<const std::uint8_t*>(small->data())[999] == 7);
  CHECK(static_cast<const std::uint8_t*>(large->data())[(5 << 20) - 1] == 8);
  small.reset();
  large.reset();
  fixture.supervisor->collect();
  CHECK(stats(*fixture.arena).objects == 0);
  CHECK(stats(*fixture.arena).blocks_leased == 0);
  fixture.require_consistent();
}

TEST_CASE("cleaning up twice is the same as once", "[shm]") {
  RecoverFixture fixture;
  auto dead = fixture.attach(1);
  auto other = fixture.attach(2);
  auto tensor = make_tensor(*dead, 1000, 7);
  auto held = *other->get(tensor.handle());
  leak(std::move(tensor));
  forget(std::move(dead));
  fixture.custody.recover(1, {});
  auto again = fixture.bury(1);
  CHECK(again.bits_cleared == 0);
  CHECK(static_cast<const std::uint8_t*>(held.data())[0] == 7);
  fixture.require_consistent();
}

TEST_CASE("a tensor in the unread mail of a dead sender waits for its receiver", "[shm]") {
  for (Lane lane : kEveryLane) {
    RecoverFixture fixture;
    auto dead = fixture.attach(1);
    auto receiver = fixture.attach(2);
    auto tensor = make_tensor(*dead, 1000, 7);
    Handle handle = tensor.handle();
    auto writer = *RingWriter::open(fixture.arena, 1, 2, lane);
    REQUIRE(writer.reserve(8, 1, Deadline::in(1s)).ok());
    writer.commit(8, std::span(&handle, 1));
    leak(std::move(tensor));
    forget(std::move(dead));
    CHECK(fixture.bury(1).mail_kept == 1);
    CHECK_FALSE(fixture.custody.outbox_empty(1));
    CHECK(fixture.custody.settle());

    RingReader reader(fixture.arena, 1, 2, lane);
    auto record = *reader.next();
    REQUIRE(record.has_value());
    {
      auto got = receiver->get(Handle::from_bits(record->handles[0]));
      REQUIRE(got.ok());
      CHECK(static_cast<const std::uint8_t*>(got->data())[0] == 7);
      reader.done(record->end);
    }
    CHECK_FALSE(fixture.custody.settle());
    CHECK(fixture.custody.outbox_empty(1));
    fixture.supervisor->collect();
    CHECK(stats(*fixture.arena).objects == 0);
    fixture.require_consistent();
  }
}

TEST_CASE("mail to a participant that never comes back is thrown away, and its tensors are freed", "[shm]") {
  for (Lane lane : kEveryLane) {
    RecoverFixture fixture;
    auto sender = fixture.attach(1);
    fixture.attach(2);
    Handle handle;
    {
      auto tensor = make_tensor(*sender, 1000);
      handle = tensor.handle();
      auto writer = *RingWriter::open(fixture.arena, 1, 2, lane);
      REQUIRE(writer.reserve(8, 1, Deadline::in(1s)).ok());
      writer.commit(8, std::span(&handle, 1));
      leak(std::move(tensor));
    }
    forget(std::move(sender));
    fixture.bury(1);
    CHECK(fixture.custody.settle());
    fixture.bury(2);
    fixture.custody.discard_inbox(2);
    CHECK_FALSE(fixture.custody.settle());
    fixture.supervisor->collect();
    CHECK(stats(*fixture.arena).objects == 0);
    CHECK(fsck(*fixture.arena).unread_bytes == 0);
  }
}

TEST_CASE("an actor's committed state outlives its worker and any number of attempts to restore it", "[shm]") {
  RecoverFixture fixture;
  ActorId actor = *fixture.directory->add_actor("a", "t", 1);
  auto worker = fixture.attach(1);
  {
    State state;
    state.tensors.push_back(make_tensor(*worker, 1000, 3));
    state.opaque.assign(5, std::byte{9});
    auto manifest = *put_manifest(*worker, state, actor);
    CHECK_FALSE(commit(*fixture.arena, actor, manifest.handle(), 1000));
    leak(state);
    leak(manifest);
  }
  forget(std::move(worker));
  ActorId actors[] = {actor};
  for (Incarnation life = 2; life < 5; ++life) {
    fixture.custody.recover(1, actors);
    auto next = fixture.attach(1, life);
    auto manifest = next->get(committed(*fixture.arena, actor));
    REQUIRE(manifest.ok());
    auto state = open_manifest(*next, *manifest);
    REQUIRE(state.ok());
    REQUIRE(state->tensors.size() == 1);
    CHECK(static_cast<const std::uint8_t*>(state->tensors[0].data())[999] == 3);
    CHECK(state->opaque == std::vector<std::byte>(5, std::byte{9}));
    if (life == 4) {
      // Restored: now the worker holds its state itself.
      fixture.custody.release_state(actor);
      fixture.require_consistent();
      CHECK(stats(*fixture.arena).objects == 2);
    }
    leak(std::move(*state));
    leak(std::move(*manifest));
    forget(std::move(next));
  }
  fixture.require_consistent();
}

TEST_CASE("a manifest of nonsense is refused", "[shm]") {
  RecoverFixture fixture;
  auto store = fixture.attach(1);
  CHECK(manifest_handles(make_tensor(*store, 4)).error().code == Errc::kCorrupt);
  CHECK(manifest_handles(make_tensor(*store, 400, 0xff)).error().code == Errc::kCorrupt);
}

// The size that its handles leave wrapped around below zero, and was believed: a million handles were read behind the tensor.
TEST_CASE("a manifest that names more handles than it has room for is refused", "[shm]") {
  RecoverFixture fixture;
  auto store = fixture.attach(1);
  auto manifest = *put_manifest(*store, State{}, 0);
  std::uint32_t tensors = 1u << 20;
  std::uint64_t opaque_bytes = 0 - std::uint64_t{tensors} * 8;
  std::vector<std::byte> bytes(manifest.bytes());
  std::memcpy(bytes.data(), manifest.data(), bytes.size());
  std::memcpy(bytes.data() + 8, &tensors, 4);
  std::memcpy(bytes.data() + 16, &opaque_bytes, 8);
  auto forged = *store->put(manifest.spec(), bytes);
  CHECK(manifest_handles(forged).error().code == Errc::kCorrupt);
  CHECK(open_manifest(*store, forged).error().code == Errc::kCorrupt);
}

TEST_CASE("slots and blocks of participants that come and go can be used for ever", "[shm]") {
  RecoverFixture fixture;
  for (Incarnation life = 1; life < 100; ++life) {
    auto store = fixture.attach(1, life);
    for (int i = 0; i < 600; ++i) leak(make_tensor(*store, 10000));
    forget(std::move(store));
    fixture.bury(1);
  }
  CHECK(stats(*fixture.arena).blocks_leased == 0);
  fixture.require_consistent();
}
