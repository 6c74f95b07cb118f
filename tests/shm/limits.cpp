// What happens at each limit: an error that names it, and the key that moves it.
#include "shm/ring.h"
#include "tests/support/arena_fixture.h"

using namespace tv;
using test::kMiB;

namespace {

bool says(const Error& error, const std::string& part) {
  INFO(error.message);
  return error.message.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("at the limit of objects the error names the key", "[limits]") {
  test::ArenaFixture f(64 * kMiB, 64 << 10, 512);
  auto store = f.attach(1);
  std::vector<shm::Tensor> tensors;
  for (int i = 0; i < 512; ++i) tensors.push_back(test::make_tensor(*store, 8));
  auto refused = store->create(test::bytes_spec(8));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::kLimit);
  CHECK(says(refused.error(), "no object slot left (512); raise [arena] objects"));
  tensors.pop_back();
  CHECK(store->create(test::bytes_spec(8)));
}

TEST_CASE("a full arena's error names the key and who holds the most", "[limits]") {
  test::ArenaFixture f(16 * kMiB);
  auto store = f.attach(1);
  auto most = test::make_tensor(*store, 12 * kMiB);
  auto refused = store->create(test::bytes_spec(8 * kMiB));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::kArenaFull);
  CHECK(says(refused.error(), "([arena] size)"));
  CHECK(says(refused.error(), "held by p1: 12.0MiB"));
  auto never = store->create(test::bytes_spec(17 * kMiB));
  REQUIRE_FALSE(never);
  CHECK(says(never.error(), "larger than the arena; raise [arena] size"));
}

TEST_CASE("a full arena's error counts blocks, which few bytes may keep", "[limits]") {
  test::ArenaFixture f(16 * kMiB, 64 << 10, 16 * limits::kSlotsPerChunk);
  // One small tensor a participant: each has a block of its own then.
  std::vector<std::shared_ptr<shm::Store>> stores;
  std::vector<shm::Tensor> tensors;
  for (ParticipantId p = 1; p <= f.arena->geometry().worker_blocks(); ++p) {
    stores.push_back(f.attach(p));
    tensors.push_back(test::make_tensor(*stores.back(), 512));
  }
  auto refused = f.attach(40)->create(test::bytes_spec(512), kNoActor, 0ns);
  REQUIRE_FALSE(refused);
  CHECK(says(refused.error(), "8 of 8 blocks of 2.0MiB are leased (p1: 1, p2: 1, p3: 1)"));
  CHECK(says(refused.error(), "the tensors in them take 4.0KiB"));
}

TEST_CASE("the room for clients has its own key", "[limits]") {
  auto arena = shm::Arena::create(shm::ArenaOptions{.bytes = 32 * kMiB, .client_bytes = 4 * kMiB});
  REQUIRE(arena);
  shm::DirectoryWriter directory(*arena);
  directory.set_participant(5, shm::ParticipantKind::kClient, 0, 1, "loader");
  auto store = shm::Store::open(*arena, 5);
  REQUIRE(store);
  auto refused = (*store)->create(test::bytes_spec(6 * kMiB));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::kArenaFull);
  CHECK(says(refused.error(), "[arena] clients"));
}

TEST_CASE("a message beyond half a ring is refused with the key", "[limits]") {
  test::ArenaFixture f;
  auto writer = shm::RingWriter::open(f.arena, 1, 2);
  REQUIRE(writer);
  auto refused = writer->reserve(64 << 10, 0, Deadline::in(1s));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::kLimit);
  CHECK(says(refused.error(), "[arena] ring"));
}

TEST_CASE("the table of names is full with a limit that the error names", "[limits]") {
  test::ArenaFixture f;
  auto store = f.attach(1);
  auto tensor = test::make_tensor(*store, 8);
  std::uint32_t published = 0;
  Result<shm::DirectoryWriter::Replaced> last = f.directory->publish("n0", tensor.handle());
  for (; last; last = f.directory->publish("n" + std::to_string(published), tensor.handle())) ++published;
  CHECK(published >= limits::kMaxNames / 2);
  CHECK(last.error().code == Errc::kLimit);
  CHECK(says(last.error(), "more than " + std::to_string(limits::kMaxNames) + " named tensors"));
}

TEST_CASE("participants up to the last bit hold an object, and the last to let go frees it", "[limits]") {
  test::ArenaFixture f;
  auto creator = f.attach(1);
  auto tensor = test::make_tensor(*creator, 8);
  auto handle = tensor.handle();
  std::vector<shm::Tensor> holds;
  for (ParticipantId p = 2; p < limits::kMaxParticipants; ++p) {
    auto held = f.attach(p)->get(handle);
    REQUIRE(held);
    holds.push_back(*std::move(held));
  }
  CHECK(shm::find_object(*f.arena, handle)->holders == ~std::uint64_t{1});
  tensor = {};
  holds.clear();
  creator->collect();
  CHECK(shm::stats(*f.arena).objects == 0);
  f.require_consistent();
}

TEST_CASE("a participant with a limit of objects is told at the limit, whether it makes them or gets them, and goes on when it has let go", "[limits]") {
  test::ArenaFixture f(64 * kMiB);
  auto other = f.attach(2);
  auto theirs = test::make_tensor(*other, 8);
  auto store = f.attach(1);
  store->limit({.objects = 3});
  std::vector<shm::Tensor> tensors;
  for (int i = 0; i < 3; ++i) tensors.push_back(test::make_tensor(*store, 8));
  auto refused = store->create(test::bytes_spec(8));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::kOverloaded);
  CHECK(says(refused.error(), "holds 3 tensors, which is what [clients] objects allows"));
  auto not_held = store->get(theirs.handle());
  REQUIRE_FALSE(not_held);
  CHECK(not_held.error().code == Errc::kOverloaded);
  CHECK(store->get(tensors[0].handle()));  // what it has already costs nothing
  CHECK(test::make_tensor(*other, 8));     // nobody else is limited
  tensors.pop_back();
  CHECK(store->get(theirs.handle()));
  tensors.push_back(test::make_tensor(*store, 8));
  // What fails for another reason, or ends in another way, leaves the count right.
  CHECK_FALSE(store->get(shm::Handle::make(0, 77)));
  tensors.clear();
  for (int i = 0; i < 10; ++i) CHECK_FALSE(store->create(test::bytes_spec(1000 * kMiB)));
  for (int i = 0; i < 10; ++i) (void)store->create(test::bytes_spec(8));
  for (int i = 0; i < 3; ++i) tensors.push_back(test::make_tensor(*store, 8));
  CHECK_FALSE(store->create(test::bytes_spec(8)));
}

TEST_CASE("a participant with a limit of blocks is told at the limit, at once, and goes on when others have let go of what it made", "[limits]") {
  test::ArenaFixture f(64 * kMiB);
  auto other = f.attach(2);
  auto store = f.attach(1);
  store->limit({.blocks = 3});
  auto tensor = test::make_tensor(*store, 6 * kMiB);
  auto elsewhere = *other->get(tensor.handle());
  tensor = {};
  auto refused = store->create(test::bytes_spec(1 * kMiB), kNoActor, 1h);  // no waiting for room
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::kOverloaded);
  CHECK(says(refused.error(), "has 6 MiB of the arena"));
  CHECK(says(refused.error(), "[clients] bytes"));
  CHECK(test::make_tensor(*other, 8 * kMiB));
  elsewhere = {};
  tensor = test::make_tensor(*store, 4 * kMiB);
  // What is kept of earlier tensors makes room for others.
  for (int i = 0; i < 20; ++i) {
    tensor = {};
    tensor = test::make_tensor(*store, (1 + i % 3) * 2 * kMiB);
  }
  CHECK(shm::use_by_participant(*f.arena)[1].blocks_leased <= 3);
}
