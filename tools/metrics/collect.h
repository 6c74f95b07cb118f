// What a daemon says of itself, as a page of metrics. docs/metrics.md has the list.
#pragma once

#include <string>

#include "config/clock.h"

namespace tv::metrics {

// Asks the daemon of `runtime_dir`, for `timeout` altogether. Where none answers the page says so (tensorvisor_up 0) and has nothing else;
// where it answers some questions only, the page has these.
std::string collect(const std::string& runtime_dir, Nanoseconds timeout);

}  // namespace tv::metrics
