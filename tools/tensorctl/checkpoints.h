// tensorctl checkpoint, checkpoints list, checkpoints verify, restore. The generations themselves are read from the directory, which is
// the same with and without a daemon; the daemon is asked where the directory is, and to act.
#pragma once

#include "tools/tensorctl/verbs.h"

namespace tv::ctl {

// REQUIRES one of these four verbs.
Outcome run_checkpoints(const Options& options, const View& view);

}  // namespace tv::ctl
