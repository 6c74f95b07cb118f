// The command line of tv-bench, from words to Options.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/bench/benchmarks.h"

namespace tv::bench {

inline constexpr int kMisuse = 2;  // exit code

struct Parsed {
  std::optional<Options> options;  // nothing: print, and leave with exit_code
  int exit_code = 0;               // 0 for --help and list, or kMisuse
  std::string out;
  std::string err;
};
Parsed parse_command_line(int argc, const char* const* argv);

// For standard error, after all have run and none has had a row that is wanted: the rows that there are.
std::string no_such_row(const Options& options);

std::vector<const Benchmark*> chosen(const Options& options);

}  // namespace tv::bench
