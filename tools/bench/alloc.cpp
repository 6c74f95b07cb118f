// Making and freeing objects within one participant, beside malloc and free of as many bytes.
#include <algorithm>
#include <cstdlib>

#include "tools/bench/bench_arena.h"
#include "tools/bench/benchmarks.h"
#include "tools/bench/local.h"

namespace tv::bench {
namespace {

constexpr std::size_t kBatch = 16;
constexpr std::size_t kAlive = 64;

struct Case {
  std::string name;
  std::function<void()> ours;
  std::function<void()> limit;
};

void malloc_and_free(std::size_t bytes) {
  void* memory = std::malloc(bytes);
  keep(memory);
  std::free(memory);
}

// The oldest of several makes place for the newest: what a pipeline does.
template <class T>
class Queue {
 public:
  explicit Queue(std::size_t size) : kept_(size) {}
  void put(T value) { kept_[at_++ % kept_.size()].emplace(std::move(value)); }

 private:
  std::vector<std::optional<T>> kept_;
  std::size_t at_ = 0;
};

struct FreeMalloc {
  void operator()(void* memory) const { std::free(memory); }
};

}  // namespace

Report alloc(const Options& options) {
  Report report{"alloc", "malloc and free"};
  report.notes.push_back("each sample is the mean of " + std::to_string(kBatch) + " in a row");
  std::size_t rounds = options.quick ? 1 : 5, samples = options.quick ? 200 : 5000;
  std::vector<std::string> names{"alloc/1KiB/create+free", "alloc/1KiB/create+seal+free", "alloc/1KiB/64-alive",
                                 "alloc/1MiB/create+seal+hold+drop"};

  std::vector<std::string> wanted;
  for (const auto& name : names)
    if (options.wants(name)) wanted.push_back(name);
  if (wanted.empty()) return report;

  auto figures = in_a_process("alloc", [&](std::vector<double>& out) {
    BenchArena arena(512 * kMiB, 1);
    auto store = must(shm::Store::open(arena.arena, 1));
    auto small = bytes_spec(1024), large = bytes_spec(kMiB);
    Queue<shm::Draft> drafts(kAlive);
    Queue<std::unique_ptr<void, FreeMalloc>> mallocs(kAlive);
    Case cases[] = {
        {names[0], [&] { must(store->create(small)); }, [] { malloc_and_free(1024); }},
        {names[1], [&] { (void)must(store->create(small)).seal(); }, [] { malloc_and_free(1024); }},
        {names[2], [&] { drafts.put(must(store->create(small))); },
         [&] { mallocs.put(std::unique_ptr<void, FreeMalloc>(std::malloc(1024))); }},
        {names[3],
         [&] {
           auto tensor = must(store->create(large)).seal();
           must(store->hold(tensor.handle()));
           store->drop(tensor.handle());
         },
         [] { malloc_and_free(kMiB); }},
    };
    for (const auto& each : cases) {
      if (std::find(wanted.begin(), wanted.end(), each.name) == wanted.end()) continue;
      auto both = compare(rounds, samples, kBatch, each.ours, each.limit);
      out.insert(out.end(), {both.ours.p50, both.ours.p99, both.limit.p50, both.limit.p99, static_cast<double>(both.ours.samples)});
    }
  });
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const double* f = &figures[i * 5];
    auto count = static_cast<std::size_t>(f[4]);
    report.rows.push_back({wanted[i], "ns", false, {f[0], f[1], count}, Summary{f[2], f[3], count}});
  }
  return report;
}

}  // namespace tv::bench
