#include "tools/bench/local.h"

#include <algorithm>
#include <bit>

#include "tools/bench/processes.h"

namespace tv::bench {

std::vector<double> time_batches(std::size_t samples, std::size_t batch, const std::function<void()>& body) {
  std::vector<double> times(samples);
  auto before = monotonic_ns();
  for (auto& time : times) {
    for (std::size_t i = 0; i < batch; ++i) body();
    auto after = monotonic_ns();
    time = static_cast<double>(after - before) / static_cast<double>(batch);
    before = after;
  }
  return times;
}

Compared compare(std::size_t rounds, std::size_t samples, std::size_t batch, const std::function<void()>& ours,
                 const std::function<void()>& limit) {
  std::vector<double> our_times, limit_times;
  for (std::size_t round = 0; round <= rounds; ++round) {
    auto one = time_batches(samples, batch, ours);
    auto other = time_batches(samples, batch, limit);
    if (round == 0) continue;
    our_times.insert(our_times.end(), one.begin(), one.end());
    limit_times.insert(limit_times.end(), other.begin(), other.end());
  }
  return {summarize(our_times), summarize(limit_times)};
}

std::vector<double> in_a_process(const std::string& name, const std::function<void(std::vector<double>&)>& body) {
  constexpr std::size_t kMost = 4096;
  std::vector<Side> sides(1);
  sides[0].cpu = allowed_cpus()[0];
  sides[0].round = [&body](Turn turn) {
    std::vector<double> figures;
    body(figures);
    TV_ASSERT(figures.size() < turn.samples.size());
    turn.samples[0] = static_cast<std::int64_t>(figures.size());
    for (std::size_t i = 0; i < figures.size(); ++i) turn.samples[i + 1] = std::bit_cast<std::int64_t>(figures[i]);
  };
  Crew crew(name, std::move(sides), kMost + 1);
  auto raw = crew.round(1, kMost + 1, 3600s);
  std::vector<double> figures;
  for (std::int64_t i = 1; i <= raw[0]; ++i) figures.push_back(std::bit_cast<double>(raw[static_cast<std::size_t>(i)]));
  return figures;
}

}  // namespace tv::bench
