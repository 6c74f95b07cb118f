#include "supervisor/names.h"

#include "tests/support/arena_fixture.h"

using namespace tv;
using supervisor::Names;

namespace {

struct SlowDisk : shm::SpillPort {
  bool write(shm::SpillKey key, const std::string&, shm::Tensor tensor) override {
    begun.emplace_back(key, std::move(tensor));
    return true;
  }
  void remove(shm::SpillKey) override {}
  void set_aside(shm::SpillKey) override {}
  std::vector<std::pair<shm::SpillKey, shm::Tensor>> begun;
};

struct Fixture : test::ArenaFixture {
  std::shared_ptr<shm::Store> own = *shm::Store::open(arena, kSupervisor);
  std::shared_ptr<shm::Store> worker = attach(1);
  Names names{own, *directory};
  shm::Directory view{arena};
};

}  // namespace

TEST_CASE("a published tensor outlives its publisher's hold and goes when the name is withdrawn", "[names]") {
  Fixture f;
  shm::Handle handle;
  {
    auto tensor = test::make_tensor(*f.worker, 100, 7);
    handle = tensor.handle();
    auto version = f.names.publish("weights", handle);
    REQUIRE(version);
    CHECK(*version == 1);
  }
  CHECK(f.worker->get(handle));
  REQUIRE(f.names.withdraw("weights"));
  CHECK_FALSE(f.worker->get(handle));
  CHECK_FALSE(f.view.find_name("weights"));
  CHECK(f.names.withdraw("weights").error().code == Errc::kNotFound);
}

TEST_CASE("a new publication replaces the old tensor and counts the version up", "[names]") {
  Fixture f;
  auto first = test::make_tensor(*f.worker, 10);
  auto first_handle = first.handle();
  auto second = test::make_tensor(*f.worker, 10);
  REQUIRE(f.names.publish("weights", first.handle()));
  first = {};
  auto version = f.names.publish("weights", second.handle());
  REQUIRE(version);
  CHECK(*version == 2);
  CHECK_FALSE(f.worker->get(first_handle));
  CHECK(f.view.find_name("weights")->handle == second.handle());
  CHECK(f.names.size() == 1);
}

TEST_CASE("the same tensor published again stays held", "[names]") {
  Fixture f;
  auto tensor = test::make_tensor(*f.worker, 10);
  auto handle = tensor.handle();
  REQUIRE(f.names.publish("a", handle));
  REQUIRE(f.names.publish("a", handle));
  tensor = {};
  CHECK(f.worker->get(handle));
}

TEST_CASE("what cannot be published is refused and the earlier tensor keeps the name", "[names]") {
  Fixture f;
  auto tensor = test::make_tensor(*f.worker, 10);
  REQUIRE(f.names.publish("weights", tensor.handle()));
  auto stale = [&] { return test::make_tensor(*f.worker, 10).handle(); }();
  CHECK(f.names.publish("weights", stale).error().code == Errc::kStaleHandle);
  CHECK_FALSE(f.names.publish("weights", shm::Handle::from_bits(0xdeadbeefdeadbeef)));
  CHECK_FALSE(f.names.publish("weights", {}));
  auto draft = f.worker->create(test::bytes_spec(10));
  REQUIRE(draft);
  CHECK(f.names.publish("weights", draft->handle()).error().code == Errc::kUnavailable);
  CHECK(f.names.publish("", tensor.handle()).error().code == Errc::kInvalidArgument);
  CHECK(f.names.publish(std::string(200, 'x'), tensor.handle()).error().code == Errc::kInvalidArgument);
  CHECK(f.names.publish("two\nlines", tensor.handle()).error().code == Errc::kInvalidArgument);
  CHECK(f.view.find_name("weights")->handle == tensor.handle());
  f.require_consistent();
}

TEST_CASE("the list of names tells when each was used last, whatever readers may have written", "[names]") {
  Fixture f;
  auto tensor = test::make_tensor(*f.worker, 10);
  auto before = monotonic_ns();
  REQUIRE(f.names.publish("weights", tensor.handle()));
  auto last_use = [&] { return f.names.cache().list().at(0).last_used_ns; };
  auto put = last_use();
  CHECK(put >= before);
  CHECK(put <= monotonic_ns());
  auto entry = f.view.find_name("weights")->entry;
  f.view.note_use(entry);
  auto used = last_use();
  CHECK(used == static_cast<std::int64_t>(f.arena->name(entry).last_used_ns.load()));
  CHECK(used >= put);
  for (std::uint64_t nonsense : {std::uint64_t{0}, ~std::uint64_t{0}, std::uint64_t{1} << 62}) {
    f.arena->name(entry).last_used_ns.store(nonsense);
    CHECK(last_use() == put);
  }
  REQUIRE(f.names.withdraw("weights"));
  CHECK(f.names.cache().list().empty());
}

TEST_CASE("the list of names tells an entry whose file is being written from one that is in its file", "[names]") {
  Fixture f;
  SlowDisk disk;
  Names names(f.own, *f.directory, {test::kMiB, 8 * test::kMiB}, &disk);
  auto put = [&](const char* name, std::int64_t bytes) {
    return names.cache().put(name, test::make_tensor(*f.worker, bytes).handle(), {.cached = true});
  };
  auto first = [&] { return names.cache().list().at(0); };
  REQUIRE(put("a", 600 << 10));
  CHECK_FALSE(first().spilling);
  CHECK(first().file_bytes == 0);
  CHECK(put("b", 600 << 10).error().code == Errc::kOverloaded);
  REQUIRE(disk.begun.size() == 1);
  CHECK(first().spilling);
  CHECK_FALSE(first().spilled);
  CHECK(first().handle);
  CHECK(first().file_bytes > 600 << 10);
  auto key = disk.begun.front().first;
  disk.begun.clear();
  names.spill_ended(key, true);
  CHECK_FALSE(first().spilling);
  CHECK(first().spilled);
  CHECK_FALSE(first().handle);
  CHECK(first().file_bytes == names.cache().spilled_bytes());
}
