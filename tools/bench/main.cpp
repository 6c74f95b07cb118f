// tv-bench: measures this build on this machine, beside what the machine and its neighbours can do.
#include <cstdio>
#include <exception>

#include "tools/bench/command_line.h"

int main(int argc, char** argv) {
  using namespace tv::bench;
  auto parsed = parse_command_line(argc, argv);
  std::fputs(parsed.out.c_str(), stdout);
  std::fputs(parsed.err.c_str(), stderr);
  if (!parsed.options) return parsed.exit_code;
  bool first = true;
  const auto& options = *parsed.options;
  if (options.json && options.names.size() > 1) std::fputs("[\n", stdout);
  for (const auto* benchmark : chosen(options)) {
    try {
      auto report = benchmark->run(options);
      if (!first) std::fputs(options.json ? "," : "\n", stdout);
      std::fputs((options.json ? json(report) : table(report)).c_str(), stdout);
      std::fflush(stdout);
      first = false;
    } catch (const std::exception& e) {
      std::fprintf(stderr, "tv-bench: %s: %s\n", benchmark->name, e.what());
      return 1;
    }
  }
  if (options.json && options.names.size() > 1) std::fputs("]\n", stdout);
  return 0;
}
