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
  const auto& options = *parsed.options;
  bool list = options.json && options.names.size() > 1;
  bool any = false;
  for (const auto* benchmark : chosen(options)) {
    try {
      auto report = benchmark->run(options);
      if (report.rows.empty() && !options.only.empty()) continue;
      std::fputs(any ? options.json ? "," : "\n" : list ? "[\n" : "", stdout);
      std::fputs((options.json ? json(report) : table(report)).c_str(), stdout);
      std::fflush(stdout);
      any = true;
    } catch (const std::exception& e) {
      std::fprintf(stderr, "tv-bench: %s: %s\n", benchmark->name, e.what());
      return 1;
    }
  }
  if (!any) {
    std::fputs(no_such_row(options).c_str(), stderr);
    return kMisuse;
  }
  if (list) std::fputs("]\n", stdout);
  return 0;
}
