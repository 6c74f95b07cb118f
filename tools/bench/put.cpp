// Copying tensors into the arena, beside memcpy into warm shared memory.
#include <cstring>

#include "tools/bench/bench_arena.h"
#include "tools/bench/benchmarks.h"
#include "tools/bench/local.h"

namespace tv::bench {
namespace {

struct Size {
  const char* name;
  std::uint64_t bytes;
  std::size_t samples, quick_samples;
};
constexpr Size kSizes[] = {{"1MiB", kMiB, 500, 20}, {"100MiB", 100 * kMiB, 20, 2}};

// GB/s; the slowest hundredth is the p99 of a rate.
Summary gigabytes(const std::vector<std::int64_t>& times, std::uint64_t bytes) {
  return summarize_rates(times, static_cast<double>(bytes) / 1e9);
}

}  // namespace

Report put(const Options& options) {
  Report report{"put", "memcpy into warm shared memory"};
  std::size_t rounds = options.quick ? 1 : 5;
  for (const auto& size : kSizes) {
    if (!options.wants("put/" + std::string(size.name))) continue;
    std::size_t samples = options.quick ? size.quick_samples : size.samples;
    auto figures = in_a_process("put", [&](std::vector<double>& out) {
      BenchArena arena(16 * size.bytes + 64 * kMiB, 1);
      auto store = must(shm::Store::open(arena.arena, 1));
      auto spec = bytes_spec(size.bytes);
      std::vector<std::byte> source(size.bytes, std::byte{1});
      SharedMemory target(size.bytes);
      std::vector<std::int64_t> ours, limit;
      for (std::size_t i = 0; i < rounds * samples + 2; ++i) {
        auto before = monotonic_ns();
        must(store->put(spec, source));
        auto between = monotonic_ns();
        std::memcpy(target.as<void>(), source.data(), size.bytes);
        keep(*target.as<volatile char>());
        auto after = monotonic_ns();
        if (i < 2) continue;  // cold
        ours.push_back(between - before);
        limit.push_back(after - between);
      }
      auto a = gigabytes(ours, size.bytes), b = gigabytes(limit, size.bytes);
      out = {a.p50, a.p99, b.p50, b.p99, static_cast<double>(a.samples)};
    });
    auto count = static_cast<std::size_t>(figures[4]);
    report.rows.push_back(
        {"put/" + std::string(size.name), "GB/s", true, {figures[0], figures[1], count}, Summary{figures[2], figures[3], count}});
  }
  return report;
}

}  // namespace tv::bench
