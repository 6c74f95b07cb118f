#include "shm/store.h"

#include <cstring>
#include <random>

#include "tests/support/arena_fixture.h"

using namespace tv;
using namespace tv::shm;
using test::bytes_spec;
using test::kMiB;
using test::make_tensor;

TEST_CASE("a tensor put by one participant is the same bytes at the same offset for another", "[shm]") {
  test::ArenaFixture fixture;
  auto one = fixture.attach(1);
  auto two = fixture.attach(2);
  float values[6] = {1, 2, 3, 4, 5, 6};
  auto spec = *TensorSpec::contiguous(DType::kFloat32, {2, 3});
  auto put = one->put(spec, std::as_bytes(std::span(values)));
  REQUIRE(put.ok());
  auto got = two->get(put->handle());
  REQUIRE(got.ok());
  CHECK(got->offset() == put->offset());
  CHECK(got->spec().dims == 2);
  CHECK(got->spec().dtype == DType::kFloat32);
  CHECK(std::memcmp(got->data(), values, sizeof values) == 0);
  CHECK(reinterpret_cast<std::uintptr_t>(got->data()) % limits::kAlignment == 0);
  CHECK(stats(*fixture.arena).objects == 1);
}

TEST_CASE("a tensor lives as long as anybody holds it, and its handle is stale afterwards", "[shm]") {
  test::ArenaFixture fixture;
  auto one = fixture.attach(1);
  auto two = fixture.attach(2);
  std::optional<Tensor> first = make_tensor(*one, 1000, 5);
  Handle handle = first->handle();
  std::optional<Tensor> second = *two->get(handle);
  first.reset();
  CHECK(static_cast<const std::uint8_t*>(second->data())[999] == 5);
  CHECK(two->get(handle).ok());
  second.reset();
  auto gone = two->get(handle);
  REQUIRE_FALSE(gone.ok());
  CHECK(gone.error().code == Errc::kStaleHandle);
  CHECK(gone.error().message.find(to_string(handle)) != std::string::npos);
}

TEST_CASE("the handle of an earlier life of a slot never reaches the later one", "[shm]") {
  test::ArenaFixture fixture;
  auto one = fixture.attach(1);
  auto two = fixture.attach(2);
  Handle old;
  {
    auto tensor = make_tensor(*one, 100);
    old = tensor.handle();
  }
  // Slots are used again soon: hold each new tensor until one has the slot.
  std::vector<Tensor> fresh;
  while (fresh.empty() || fresh.back().handle().index() != old.index()) {
    REQUIRE(fresh.size() < 600);
    fresh.push_back(make_tensor(*one, 100));
  }
  CHECK(fresh.back().handle().generation() > old.generation());
  CHECK(two->get(old).error().code == Errc::kStaleHandle);
  CHECK(one->get(old).error().code == Errc::kStaleHandle);
  CHECK(two->get(fresh.back().handle()).ok());
  fixture.require_consistent();
}

TEST_CASE("a draft is not readable before it is sealed, and leaves nothing behind when it is dropped", "[shm]") {
  test::ArenaFixture fixture;
  auto one = fixture.attach(1);
  auto two = fixture.attach(2);
  {
    auto draft = one->create(bytes_spec(100));
    REQUIRE(draft.ok());
    CHECK(two->get(draft->handle()).error().code == Errc::kUnavailable);
  }
  CHECK(stats(*fixture.arena).objects == 0);
  fixture.require_consistent();
}

TEST_CASE("a full arena says so, names the key, and works again when something is freed", "[shm]") {
  test::ArenaFixture fixture(16 * kMiB);
  auto store = fixture.attach(1);
  std::vector<Tensor> tensors;
  Result<Tensor> last = Error{};
  for (;;) {
    auto draft = store->create(bytes_spec(1900000));
    if (!draft) {
      last = draft.error();
      break;
    }
    tensors.push_back(std::move(*draft).seal());
    REQUIRE(tensors.size() < 20);
  }
  CHECK(last.error().code == Errc::kArenaFull);
  CHECK(last.error().message.find("[arena] size") != std::string::npos);
  CHECK(tensors.size() == 8);
  tensors.pop_back();
  CHECK(store->create(bytes_spec(1900000)).ok());
  fixture.require_consistent();
}

TEST_CASE("more objects than slots is an error that names its key", "[shm]") {
  test::ArenaFixture fixture(64 * kMiB, 64 << 10, 512);
  auto store = fixture.attach(1);
  std::vector<Tensor> tensors;
  for (int i = 0; i < 512; ++i) tensors.push_back(make_tensor(*store, 8));
  auto more = store->create(bytes_spec(8));
  REQUIRE_FALSE(more.ok());
  CHECK(more.error().code == Errc::kLimit);
  CHECK(more.error().message.find("[arena] objects") != std::string::npos);
  tensors.clear();
  CHECK(store->create(bytes_spec(8)).ok());
}

TEST_CASE("a tensor larger than the arena is refused", "[shm]") {
  test::ArenaFixture fixture(16 * kMiB);
  auto store = fixture.attach(1);
  CHECK(store->create(bytes_spec(17 << 20)).error().code == Errc::kArenaFull);
}

TEST_CASE("put refuses bytes that are not the tensor's", "[shm]") {
  test::ArenaFixture fixture;
  auto store = fixture.attach(1);
  std::vector<std::byte> bytes(10);
  CHECK(store->put(bytes_spec(11), bytes).error().code == Errc::kInvalidArgument);
  CHECK(stats(*fixture.arena).objects == 0);
}

TEST_CASE("handles that no arena has given out are refused", "[shm]") {
  test::ArenaFixture fixture;
  auto store = fixture.attach(1);
  CHECK_FALSE(store->get(Handle{}).ok());
  CHECK_FALSE(store->get(Handle::make(limits::kMaxObjects - 1, 1)).ok());
  CHECK_FALSE(store->get(Handle::from_bits(~std::uint64_t{0})).ok());
  CHECK(parse_handle("17.3")->index() == 17);
  CHECK_FALSE(parse_handle("17").ok());
  CHECK_FALSE(parse_handle("99999999999.1").ok());
  CHECK_FALSE(parse_handle("1.0").ok());
}

TEST_CASE("random creation and dropping leaves no byte behind and never overlaps", "[shm]") {
  std::uint32_t seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  test::ArenaFixture fixture;
  std::vector<std::shared_ptr<Store>> stores = {fixture.attach(1), fixture.attach(2), fixture.attach(3)};
  struct Held {
    Tensor tensor;
    std::uint8_t value;
  };
  std::vector<Held> held;
  for (int step = 0; step < 5000; ++step) {
    auto& store = *stores[random() % stores.size()];
    auto what = random() % 3;
    if (what == 0 || held.empty()) {
      std::int64_t size = random() % 20 == 0 ? random() % (5 << 20) : random() % 5000;
      auto value = static_cast<std::uint8_t>(random());
      auto draft = store.create(bytes_spec(size));
      if (!draft) {
        REQUIRE(draft.error().code == Errc::kArenaFull);
        held.clear();
        continue;
      }
      std::memset(draft->data(), value, draft->bytes());
      held.push_back({std::move(*draft).seal(), value});
    } else if (what == 1) {
      const Held& other = held[random() % held.size()];
      auto again = store.get(other.tensor.handle());
      REQUIRE(again.ok());
      held.push_back({*again, other.value});
    } else {
      std::size_t victim = random() % held.size();
      auto* bytes = static_cast<const std::uint8_t*>(held[victim].tensor.data());
      for (std::uint64_t i = 0; i < held[victim].tensor.bytes(); i += 997) REQUIRE(bytes[i] == held[victim].value);
      std::swap(held[victim], held.back());
      held.pop_back();
    }
  }
  fixture.require_consistent();
  held.clear();
  for (auto& store : stores) {
    store->collect();
    CHECK(store->held() == 0);
  }
  CHECK(stats(*fixture.arena).objects == 0);
  fixture.require_consistent();
}
