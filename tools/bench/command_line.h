// The command line of tv-bench, from words to Options.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/bench/benchmarks.h"

namespace tv::bench {

struct Parsed {
  std::optional<Options> options;  // nothing: print, and leave with exit_code
  int exit_code = 0;               // 0 for --help and list, 2 for misuse
  std::string out;
  std::string err;
};
Parsed parse_command_line(int argc, const char* const* argv);

std::vector<const Benchmark*> chosen(const Options& options);

}  // namespace tv::bench
