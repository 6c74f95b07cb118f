#include <atomic>
#include <cstring>
#include <random>
#include <thread>

#include "tests/support/arena_fixture.h"

using namespace tv;
using namespace tv::shm;

// Threads stand for processes: each has a Store of its own over the same mapping. Handles go through a board of words that anybody
// overwrites, so that holds race with last drops and with new lives of the same slots.
TEST_CASE("participants that race for the same objects see whole ones or a stale handle", "[shm]") {
  std::uint32_t seed = std::random_device{}();
  INFO("seed " << seed);
  test::ArenaFixture fixture(64 * test::kMiB, 16 << 10, 2048);
  constexpr int kThreads = 4;
  constexpr int kSteps = 4000;
  std::array<std::atomic<std::uint64_t>, 16> board{};
  std::atomic<int> wrong{0};
  std::atomic<int> got{0};
  std::vector<std::shared_ptr<Store>> stores;
  for (int t = 0; t < kThreads; ++t) stores.push_back(fixture.attach(1 + t));
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(seed + t);
      std::array<Tensor, 8> mine;
      for (int step = 0; step < kSteps; ++step) {
        if (random() % 2 == 0) {
          auto draft = stores[t]->create(*TensorSpec::contiguous(DType::kUInt64, {64}));
          if (!draft) continue;
          std::uint64_t stamp = draft->handle().bits();
          for (int i = 0; i < 64; ++i) std::memcpy(draft->span().data() + i * 8, &stamp, 8);
          auto handle = draft->handle();
          mine[random() % mine.size()] = std::move(*draft).seal();
          board[random() % board.size()].store(handle.bits());
        } else {
          auto handle = Handle::from_bits(board[random() % board.size()].load());
          if (!handle) continue;
          auto tensor = stores[t]->get(handle);
          if (!tensor) {
            wrong += tensor.error().code != Errc::kStaleHandle && tensor.error().code != Errc::kUnavailable;
            continue;
          }
          ++got;
          for (int i = 0; i < 64; ++i)
            wrong += std::memcmp(static_cast<const std::byte*>(tensor->data()) + i * 8, &handle, 8) != 0;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(got > 0);
  for (auto& store : stores) store->collect();
  CHECK(stats(*fixture.arena).objects == 0);
  fixture.require_consistent();
}
