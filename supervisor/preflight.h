// What a right configuration may still ask of a machine that does not have it. For `tensorvisord --check-config`; the daemon itself finds
// out when it starts. Changes nothing: looks only. As the process's user, who should be the daemon's.
#pragma once

#include <vector>

#include "config/load.h"

namespace tv::supervisor {

// [arena] huge_pages = "on" where the kernel has none, a spill directory that cannot be used or made. Without places in the file.
std::vector<config::Problem> missing_on_this_machine(const config::Config& config);

}  // namespace tv::supervisor
