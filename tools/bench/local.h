// What is measured within one process, with no other to wait for.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tools/bench/report.h"

namespace tv::bench {

// Times of `body` in nanoseconds, `batch` runs between two looks at the clock, each sample the mean of its batch.
std::vector<double> time_batches(std::size_t samples, std::size_t batch, const std::function<void()>& body);

// A thing and what it is held against, in turns. Summaries in ns.
struct Compared {
  Summary ours;
  Summary limit;
};
Compared compare(std::size_t rounds, std::size_t samples, std::size_t batch, const std::function<void()>& ours,
                 const std::function<void()>& limit);

// Runs `body` in a process of its own, pinned to the first processor, and returns what it puts into `figures` (at most 4096 numbers).
std::vector<double> in_a_process(const std::string& name, const std::function<void(std::vector<double>& figures)>& body);

}  // namespace tv::bench
