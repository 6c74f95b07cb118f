#include "tools/tensorctl/watch.h"

#include <time.h>

#include <algorithm>

namespace tv::ctl {
namespace {

void pause(Nanoseconds time) {
  timespec rest{time.count() / 1'000'000'000, time.count() % 1'000'000'000};
  while (::nanosleep(&rest, &rest) != 0) continue;  // interrupted
}

// Home, each line with what stood behind it erased, and what stood below.
std::string drawn(const std::string& text, std::size_t rows) {
  std::string screen = "\033[H";
  std::size_t line = 0;
  for (std::size_t at = 0; at < text.size() && line + 1 < rows; ++line) {
    auto end = std::min(text.find('\n', at), text.size());
    screen.append(text, at, end - at).append("\033[K\n");
    at = end + 1;
  }
  return screen + "\033[J";
}

}  // namespace

Outcome run_watch(const Options& options, const View& view, std::size_t rows, const std::function<bool(const std::string&)>& show) {
  Options once = options;
  once.watch = false;
  once.timeout.reset();
  auto deadline = Deadline::in(options.timeout.value_or(Nanoseconds::max() / 4));
  std::string last;
  if (rows > 0 && !show("\033[2J")) return {};
  for (;;) {
    View now = view;
    // By the clock of the beginning, which does not go: what differs then has changed.
    auto outcome = run(once, view);
    bool refused = outcome.exit_code != kDone && outcome.out.empty();
    if (refused) return outcome;
    if (rows > 0 || outcome.out != last) {
      bool first = last.empty();
      last = outcome.out;
      now.now = Now::read();
      if (!view.structured()) outcome = run(once, now);
      if (!outcome.out.empty() && !show(rows > 0 ? drawn(outcome.out, rows)
                                                 : (first                          ? ""
                                                    : view.output == Output::kYaml ? "---\n"
                                                                                   : "\n") +
                                                       outcome.out))
        return {};
    }
    if (deadline.left() <= options.interval) {
      pause(std::max(deadline.left(), Nanoseconds{0}));
      return {};
    }
    pause(options.interval);
  }
}

}  // namespace tv::ctl
