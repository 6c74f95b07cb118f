// What the sections of a file must be together: names, references, devices, totals; and the last defaults that follow from them.
// Knows nothing of TOML. Private to config/.
#pragma once

#include "config/config.h"
#include "config/problems.h"
#include "config/sections.h"

namespace tv::config {

// The configuration that `draft` means. What a section has a problem with is not reported again where others refer to it.
Config checked(Draft draft, Problems& problems);

}  // namespace tv::config
