// Orders about several things, orders that are waited for, and orders that are only talked about.
#pragma once

#include <functional>

#include "tools/tensorctl/verbs.h"

namespace tv::ctl {

// One order about options.name, sent, without waiting.
using One = std::function<Outcome(const Options&, const View&)>;

// The names that -l and --field pick, in place of them; kNoSuchThing where there is none, kMisuse for a field that does not exist.
Result<std::vector<std::string>> picked_names(const Options& options, const View& view);

// One after the other, whatever becomes of those before. The exit code is that of the first that failed; several errors are one line. In
// JSON each answer has the name it is about: {"orders": [...]}.
Outcome run_each(const Options& options, const View& view, const One& one);

// The order, and then until what it touches is ready in a new life (restart, kill), ready (start, reset-failed) or stopped (stop).
// kFailed when that fails for good, or is not so within the timeout (30s); then it goes on.
Outcome run_and_wait(const Options& options, const View& view, const One& one);

// What would be done to whom, by the daemon's lists as they are now. Nothing is sent but questions.
Outcome run_dry(const Options& options, const View& view);

}  // namespace tv::ctl
