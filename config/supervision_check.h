// What groups, their children and `after` must hold together: names that exist, one group for each child, no cycles. Private to config/.
#pragma once

#include "config/config.h"
#include "config/problems.h"

namespace tv::config {

// REQUIRES: entry i of actors, pools and groups is the i-th section of its kind.
void check_supervision(const Config& config, Problems& problems);

// `own`, and what it does not say from `common`.
Causes merged(Causes own, const Causes& common);

}  // namespace tv::config
