// A supervisor that dies, seen from the arena: its store is leaked, and another one takes its number.
#include <cstring>

#include "shm/cache.h"
#include "shm/leaks.h"
#include "shm/recover.h"
#include "tests/support/arena_fixture.h"

using namespace tv;
using namespace tv::shm;
using test::make_tensor;

namespace {

template <class T>
void leak(T&& what) {
  static auto* leaked = new std::vector<std::shared_ptr<void>>;  // reachable: no leak of the test's
  leaked->push_back(std::make_shared<std::decay_t<T>>(std::forward<T>(what)));
}

struct Next {
  explicit Next(test::ArenaFixture& fixture)
      : store(*Store::open(fixture.arena, kSupervisor)), directory(fixture.arena), custody(store), cache(store, directory, {64 << 20, 0}) {
    directory.take_over();
  }
  Custody::Report go_on(std::vector<ActorId> actors = {}) {
    cache.take_over([](SpillKey) { return std::uint64_t{0}; });
    return custody.take_over(actors);
  }
  std::shared_ptr<Store> store;
  DirectoryWriter directory;
  Custody custody;
  Cache cache;
};

}  // namespace

TEST_CASE("the next supervisor holds what has a name, and frees what the dead one held for no reason that it knows", "[shm]") {
  test::ArenaFixture fixture;
  auto worker = fixture.attach(1);
  auto old = *Store::open(fixture.arena, kSupervisor);
  auto old_cache = std::make_shared<Cache>(old, *fixture.directory, Cache::Limits{64 << 20, 0});
  {
    auto weights = make_tensor(*worker, 100'000, 7), cached = make_tensor(*worker, 1000, 8), pinned = make_tensor(*worker, 1000, 9);
    REQUIRE(old_cache->put("weights", weights.handle(), {}).ok());
    REQUIRE(old_cache->put("cached", cached.handle(), {.cached = true, .pinned = false}).ok());
    REQUIRE(old_cache->put("pinned", pinned.handle(), {.cached = true, .pinned = true}).ok());
    leak(*old->get(make_tensor(*worker, 5 << 20).handle()));
    leak(make_tensor(*old, 3000));
    leak(make_tensor(*old, 3 << 20));
    leak(std::move(*old->create(test::bytes_spec(100))));
  }
  leak(old_cache);
  leak(old);
  Next next(fixture);
  auto report = next.go_on();
  CHECK(report.objects_freed == 4);
  worker->collect();
  CHECK(stats(*fixture.arena).objects == 3);
  CHECK(next.cache.size() == 3);
  CHECK(next.cache.pinned_bytes() > 0);
  CHECK(next.cache.eviction_order() == std::vector<std::string>{"cached"});
  Directory view(fixture.arena);
  auto found = worker->get(view.find_name("weights")->handle);
  REQUIRE(found.ok());
  CHECK(static_cast<const std::uint8_t*>(found->data())[99'999] == 7);
  CHECK(*next.cache.put("weights", make_tensor(*worker, 10).handle(), {}) == 2);
  found = Tensor();
  for (const char* name : {"weights", "cached", "pinned"}) CHECK(next.cache.remove(name).ok());
  worker->collect();
  CHECK(stats(*fixture.arena).objects == 0);
  fixture.require_consistent();
}

TEST_CASE("committed state and unread mail that the dead supervisor had in custody stay, until they are not needed", "[shm]") {
  test::ArenaFixture fixture;
  auto reader = fixture.attach(2);
  auto old = *Store::open(fixture.arena, kSupervisor);
  auto old_custody = std::make_shared<Custody>(old);
  Handle in_mail;
  {
    auto dead = fixture.attach(1);
    State state;
    state.tensors.push_back(make_tensor(*dead, 1000, 3));
    auto manifest = *put_manifest(*dead, state, 0);
    CHECK_FALSE(commit(*fixture.arena, 0, manifest.handle(), 1000));
    auto sent = make_tensor(*dead, 1000, 4);
    in_mail = sent.handle();
    auto writer = *RingWriter::open(fixture.arena, 1, 2);
    REQUIRE(writer.reserve(8, 1, Deadline::in(1s)).ok());
    writer.commit(8, std::span(&in_mail, 1));
    leak(std::move(state));
    leak(std::move(manifest));
    leak(std::move(sent));
    leak(std::move(dead));
  }
  (void)old_custody->recover(1, std::vector<ActorId>{0});
  leak(old_custody);
  leak(old);
  Next next(fixture);
  auto report = next.go_on({0});
  CHECK(report.objects_freed == 0);
  CHECK(next.store->get(in_mail).ok());
  CHECK(next.store->get(committed(*fixture.arena, 0)).ok());
  fixture.require_consistent();
  RingReader incoming(fixture.arena, 1, 2);
  auto record = *incoming.next();
  REQUIRE(record.has_value());
  incoming.done(record->end);
  CHECK_FALSE(next.custody.settle());
  CHECK_FALSE(next.store->get(in_mail).ok());
  next.custody.release_state(0);
  next.store->collect();
  CHECK(stats(*fixture.arena).objects == 0);
  fixture.require_consistent();
}

TEST_CASE("an entry that the dead supervisor was writing is whole afterwards, and a name that leads nowhere is gone", "[shm]") {
  test::ArenaFixture fixture;
  auto worker = fixture.attach(1);
  auto tensor = make_tensor(*worker, 10);
  auto written = fixture.directory->publish("half", tensor.handle());
  auto gone = fixture.directory->publish("gone", tensor.handle());
  fixture.arena->name(written->entry).sequence.fetch_add(1);
  fixture.arena->name(gone->entry).handle.store(0);
  Directory view(fixture.arena);
  CHECK_FALSE(view.find_name("half").has_value());
  DirectoryWriter next(fixture.arena);
  next.take_over();
  CHECK(view.find_name("half").has_value());
  CHECK_FALSE(view.find_name("gone").has_value());
  CHECK(next.publish("gone", tensor.handle())->version > gone->version);
}
