// Percentiles of measured values. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tv::bench {

struct Summary {
  double p50 = 0;
  double p99 = 0;
  std::size_t samples = 0;
};

// The smallest value that at least `fraction` of all are not above (nearest rank). REQUIRES sorted, not empty, 0 < fraction <= 1.
double percentile(std::span<const double> sorted, double fraction);

// REQUIRES: not empty. Sorts a copy.
Summary summarize(std::span<const double> values);
// Nanoseconds, divided by `ns_per_unit`: 1000 for microseconds.
Summary summarize_ns(std::span<const std::int64_t> nanoseconds, double ns_per_unit);

// `count` things done in each of these times, as things a second. p99 is what 99% of the rounds reached.
Summary summarize_rates(std::span<const std::int64_t> nanoseconds, double count);

}  // namespace tv::bench
