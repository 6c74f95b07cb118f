// Readers of the cache in threads instead of processes, so that ThreadSanitizer sees both sides.
#include <atomic>
#include <cstring>
#include <random>
#include <thread>

#include "shm/cache.h"
#include "tests/support/arena_fixture.h"

using namespace tv;
using namespace tv::shm;

TEST_CASE("a reader that races with evictions gets the whole tensor of the name or none", "[cache][threads]") {
  constexpr int kReaders = 3, kNames = 12, kPuts = 4000;
  constexpr std::int64_t kBytes = 5 * limits::kUnitBytes;  // what it takes is what it is
  unsigned seed = std::random_device{}();
  INFO("seed " << seed);
  test::ArenaFixture fixture;
  auto own = *Store::open(fixture.arena, kSupervisor);
  auto writer = fixture.attach(1);
  std::vector<std::shared_ptr<Store>> stores;
  for (int i = 0; i < kReaders; ++i) stores.push_back(fixture.attach(static_cast<ParticipantId>(2 + i)));
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> got{0}, wrong{0};

  std::vector<std::thread> readers;
  for (int i = 0; i < kReaders; ++i)
    readers.emplace_back([&, i] {
      Directory view(fixture.arena);
      std::mt19937 random(seed + 1 + static_cast<unsigned>(i));
      while (!done.load()) {
        auto index = random() % kNames;
        auto named = view.find_name("n" + std::to_string(index));
        if (!named) continue;
        auto tensor = stores[static_cast<std::size_t>(i)]->get(named->handle);
        if (!tensor) {
          wrong += tensor.error().code != Errc::kStaleHandle;  // evicted between the two
          continue;
        }
        view.note_use(named->entry);
        ++got;
        auto* bytes = static_cast<const unsigned char*>(tensor->data());
        wrong += bytes[0] != index || std::memcmp(bytes, bytes + 1, kBytes - 1) != 0;
      }
    });

  {
    Cache cache(own, *fixture.directory, {6 * kBytes, 0});
    std::mt19937 random(seed);
    std::uint64_t put = 0;
    for (int i = 0; i < kPuts || (got.load() < 100 && i < 100 * kPuts); ++i) {
      auto index = random() % kNames;
      auto tensor = test::make_tensor(*writer, kBytes, static_cast<std::uint8_t>(index));
      put += cache.put("n" + std::to_string(index), tensor.handle(), {true, false}).ok();
      if (cache.bytes() > 6 * kBytes) ++wrong;
    }
    done.store(true);
    for (auto& reader : readers) reader.join();
    CHECK(put > 0);
    CHECK(cache.counts().evicted > 0);
  }
  CHECK(got.load() > 0);
  CHECK(wrong.load() == 0);
  stores.clear();
  fixture.require_consistent();
}
