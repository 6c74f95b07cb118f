// Where objects lie: classes, cells, units, blocks.
#include "shm/allocator.h"

#include <atomic>
#include <random>
#include <thread>

#include "tests/support/arena_fixture.h"

using namespace tv;
using namespace tv::shm;
using test::bytes_spec;
using test::kMiB;

TEST_CASE("the class of a size is the smallest that holds it", "[shm]") {
  for (std::uint64_t bytes = 0; bytes <= limits::kLargestCellBytes; bytes += bytes < 5000 ? 1 : 61) {
    std::uint32_t found = size_class_for(bytes);
    REQUIRE(found < size_class_count());
    REQUIRE(size_class_bytes(found) >= bytes);
    if (found > 0) REQUIRE(size_class_bytes(found - 1) < bytes);
  }
  CHECK(size_class_bytes(size_class_count() - 1) == limits::kLargestCellBytes);
  for (std::uint32_t c = 0; c < size_class_count(); ++c) CHECK(size_class_bytes(c) % limits::kAlignment == 0);
}

TEST_CASE("free runs of units are found where they are, as a bit by bit search finds them", "[shm]") {
  std::mt19937_64 random(7);
  for (int i = 0; i < 2000; ++i) {
    std::uint64_t taken = random() & random();
    std::uint32_t longest = 0, run = 0;
    for (std::uint32_t b = 0; b < 64; ++b) {
      run = (taken >> b & 1) != 0 ? 0 : run + 1;
      longest = std::max(longest, run);
    }
    REQUIRE(longest_free_run(taken) == longest);
    for (std::uint32_t units = 1; units <= 64; ++units) {
      std::uint32_t expected = 64;
      for (std::uint32_t b = 0; b + units <= 64 && expected == 64; ++b)
        if ((taken & (low_bits(units) << b)) == 0) expected = b;
      REQUIRE(find_free_run(taken, units) == expected);
    }
  }
}

TEST_CASE("a tensor of a power of two takes no more than its size, where there are many of its kind or it is large", "[shm]") {
  test::ArenaFixture fixture(256 * kMiB);
  auto store = fixture.attach(1);
  std::vector<Draft> many;
  for (std::uint64_t bytes = 64; bytes <= 32 * kMiB; bytes *= 2) {
    std::uint64_t count = bytes <= limits::kLargestCellBytes ? Place::kUnitsPerBlock : 1;
    for (std::uint64_t i = 0; i < count; ++i) many.push_back(*store->create(bytes_spec(static_cast<std::int64_t>(bytes))));
    CHECK(fixture.arena->slot(many.back().handle().index()).footprint == bytes);
  }
}

TEST_CASE("a few tensors of many sizes share blocks", "[shm]") {
  test::ArenaFixture fixture(256 * kMiB);
  auto store = fixture.attach(1);
  std::vector<Draft> few;
  for (std::uint32_t c = 0; c < size_class_count(); ++c)
    few.push_back(*store->create(bytes_spec(static_cast<std::int64_t>(size_class_bytes(c)))));
  CHECK(stats(*fixture.arena).blocks_leased <= 2);
  fixture.require_consistent();
  few.clear();
  fixture.arena->header().wanted_bytes.store(1);
  store->make_room();
  fixture.arena->header().wanted_bytes.store(0);
  CHECK(stats(*fixture.arena).blocks_leased == 0);
}

TEST_CASE("an empty tensor has a place of its own", "[shm]") {
  test::ArenaFixture fixture;
  auto store = fixture.attach(1);
  auto first = *store->create(bytes_spec(0));
  auto second = *store->create(bytes_spec(0));
  CHECK(first.data() != second.data());
  fixture.require_consistent();
}

TEST_CASE("the memory freed last serves the next small tensor, and goes back when somebody waits for room", "[shm]") {
  test::ArenaFixture fixture;
  auto store = fixture.attach(1);
  const std::byte* place = nullptr;
  for (int i = 0; i < 3; ++i) {
    auto draft = *store->create(bytes_spec(1000));
    auto* at = static_cast<const std::byte*>(draft.data());
    if (place) CHECK(at == place);
    place = at;
  }
  fixture.require_consistent();
  fixture.arena->header().wanted_bytes.store(1);
  store->make_room();
  fixture.arena->header().wanted_bytes.store(0);
  CHECK(stats(*fixture.arena).blocks_leased == 0);
}

TEST_CASE("the end of a large tensor's last block is used by others", "[shm]") {
  test::ArenaFixture fixture;
  auto store = fixture.attach(1);
  auto large = *store->create(bytes_spec(5 * kMiB));   // two blocks and a half
  auto beside = *store->create(bytes_spec(kMiB));      // the other half
  CHECK(stats(*fixture.arena).blocks_leased == 3);
  fixture.require_consistent();
}

TEST_CASE("a participant that goes on making tensors of one size makes no lease for each", "[shm]") {
  test::ArenaFixture fixture(256 * kMiB);
  auto store = fixture.attach(1);
  std::uint64_t offset = 0;
  for (int i = 0; i < 100; ++i) {
    auto draft = *store->create(bytes_spec(6 * kMiB));
    std::uint64_t here = fixture.arena->slot(draft.handle().index()).offset;
    if (i > 0) CHECK(here == offset);
    offset = here;
  }
  CHECK(stats(*fixture.arena).blocks_kept == 3);
  fixture.arena->header().wanted_bytes.store(1);
  store->make_room();
  fixture.arena->header().wanted_bytes.store(0);
  CHECK(stats(*fixture.arena).blocks_leased == 0);
}

TEST_CASE("what one participant keeps is found by another that needs it", "[shm]") {
  auto arena = *Arena::create({.bytes = 64 * kMiB, .objects = 1024, .patience = 30s});
  DirectoryWriter directory(arena);
  for (ParticipantId p : {1u, 2u}) directory.set_participant(p, ParticipantKind::kWorker, 0, 1, "p");
  auto one = *Store::open(arena, 1);
  auto two = *Store::open(arena, 2);
  { auto draft = *one->create(bytes_spec(4 * kMiB)); }
  CHECK(stats(*arena).blocks_kept == 2);
  // `one` looks at its mail, as it does when the supervisor rings, while `two` waits.
  std::atomic<bool> done{false};
  std::thread relief([&] {
    while (!done) {
      one->make_room();
      std::this_thread::yield();
    }
  });
  auto draft = two->create(bytes_spec(64 * kMiB));
  done = true;
  relief.join();
  CHECK(draft.ok());
}

TEST_CASE("objects that come and go at random never overlap and leave nothing behind", "[shm]") {
  std::uint32_t seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  test::ArenaFixture fixture(128 * kMiB);
  auto one = fixture.attach(1);
  auto two = fixture.attach(2);
  std::vector<Tensor> held;
  for (int i = 0; i < 20'000; ++i) {
    auto& store = random() % 2 == 0 ? one : two;
    std::uint64_t bytes = std::uint64_t{1} << (random() % 23);
    bytes += random() % bytes;
    auto draft = store->create(bytes_spec(static_cast<std::int64_t>(bytes)));
    if (draft) {
      static_cast<std::uint8_t*>(draft->data())[0] = static_cast<std::uint8_t>(draft->handle().index());
      static_cast<std::uint8_t*>(draft->data())[bytes - 1] = static_cast<std::uint8_t>(draft->handle().index());
      held.push_back(std::move(*draft).seal());
      if (random() % 3 == 0) held.back() = *two->get(held.back().handle());
    }
    while (!draft ? !held.empty() : held.size() > 300) {
      std::swap(held[random() % held.size()], held.back());
      const auto* data = static_cast<const std::uint8_t*>(held.back().data());
      REQUIRE(data[0] == static_cast<std::uint8_t>(held.back().handle().index()));
      REQUIRE(data[held.back().bytes() - 1] == data[0]);
      held.pop_back();
      if (held.size() < 150) break;
    }
    if (i % 1000 == 0) fixture.require_consistent();
  }
  held.clear();
  one->collect();
  two->collect();
  fixture.arena->header().wanted_bytes.store(1);
  one->make_room();
  two->make_room();
  CHECK(stats(*fixture.arena).objects == 0);
  CHECK(stats(*fixture.arena).blocks_leased == 0);
  fixture.require_consistent();
}
