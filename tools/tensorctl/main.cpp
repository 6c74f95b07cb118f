// tensorctl: looks at and steers a running daemon. Parses, dispatches, prints; the exit codes are in cli.h.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <span>

#include "config/fd.h"
#include "tools/tensorctl/cli.h"
#include "tools/tensorctl/verbs.h"
#include "tools/tensorctl/watch.h"

namespace {

using namespace tv;

Result<void> print(int fd, const std::string& text) { return write_all(fd, std::as_bytes(std::span(text))); }

// Messages of libraries may have several lines; scripts and logs want one.
std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return ctl::printable(text);
}

int finish(int exit_code, const std::string& out, const std::string& err) {
  auto printed = print(STDOUT_FILENO, out);
  if (!printed && exit_code == ctl::kDone) {
    (void)print(STDERR_FILENO, "tensorctl: standard output: " + printed.error().message + "\n");
    return ctl::kFailed;
  }
  (void)print(STDERR_FILENO, err);  // nowhere left to say that it failed
  return exit_code;
}

int tensorctl(int argc, char** argv) {
  auto parsed = ctl::parse_command_line(argc, argv);
  if (!parsed.options) return finish(parsed.exit_code, parsed.out, parsed.err);
  ctl::View view{parsed.options->output, ctl::Screen::of(STDOUT_FILENO), ctl::Now::read()};
  view.progress = [](const std::string& line) { (void)print(STDERR_FILENO, one_line(line) + "\n"); };
  std::string trouble;
  view.print = [&trouble](const std::string& text) {
    auto printed = print(STDOUT_FILENO, text);
    if (!printed && errno != EPIPE) trouble = printed.error().message;  // a reader that has gone has seen enough
    return printed.ok();
  };
  auto outcome = parsed.options->watch ? ctl::run_watch(*parsed.options, view, view.screen.cursor ? view.screen.rows : 0, view.print) : ctl::run(*parsed.options, view);
  if (!trouble.empty()) outcome = {ctl::kFailed, "", "standard output: " + trouble};
  return finish(outcome.exit_code, outcome.out, outcome.error.empty() ? "" : "tensorctl: " + one_line(outcome.error) + "\n");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return tensorctl(argc, argv);
  } catch (const std::exception& e) {  // out of memory, most likely: a file may be larger than the machine
    return finish(ctl::kFailed, "", std::string("tensorctl: ") + e.what() + "\n");
  }
}
