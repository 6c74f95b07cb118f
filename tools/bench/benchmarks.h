// The benchmarks by name. Each takes its figures anew and says them in a Report; throws Failure when it cannot.
#pragma once

#include <span>

#include "tools/bench/report.h"

namespace tv::bench {

Report handoff(const Options& options);
Report call(const Options& options);
Report throughput(const Options& options);
Report alloc(const Options& options);
Report put(const Options& options);
Report fanout(const Options& options);
Report scale(const Options& options);
Report fragmentation(const Options& options);
Report restart(const Options& options);

struct Benchmark {
  const char* name;
  const char* what;  // one line
  Report (*run)(const Options&);
};
std::span<const Benchmark> benchmarks();

}  // namespace tv::bench
