#include "tools/bench/statistics.h"

#include <algorithm>
#include <cmath>

#include "config/result.h"

namespace tv::bench {

double percentile(std::span<const double> sorted, double fraction) {
  TV_ASSERT(!sorted.empty() && fraction > 0 && fraction <= 1);
  // A hair less, so that 0.99 of 100 values is the 99th although 0.99 is no binary fraction.
  auto rank = static_cast<std::size_t>(std::ceil(fraction * static_cast<double>(sorted.size()) - 1e-9));
  return sorted[std::clamp<std::size_t>(rank, 1, sorted.size()) - 1];
}

Summary summarize(std::span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  return {percentile(sorted, 0.50), percentile(sorted, 0.99), sorted.size()};
}

Summary summarize_ns(std::span<const std::int64_t> nanoseconds, double ns_per_unit) {
  std::vector<double> values;
  values.reserve(nanoseconds.size());
  for (auto ns : nanoseconds) values.push_back(static_cast<double>(ns) / ns_per_unit);
  return summarize(values);
}

Summary summarize_rates(std::span<const std::int64_t> nanoseconds, double count) {
  Summary times = summarize_ns(nanoseconds, 1);
  return {count * 1e9 / times.p50, count * 1e9 / times.p99, times.samples};
}

}  // namespace tv::bench
