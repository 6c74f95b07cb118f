// What tensorctl does, a function a verb. Nothing here prints or ends the process: main.cpp does.
#pragma once

#include <string>

#include "config/result.h"
#include "tools/tensorctl/cli.h"
#include "tools/tensorctl/fields.h"

namespace tv::ctl {

struct Outcome {
  int exit_code = kDone;
  std::string out;
  std::string error;  // one line, for stderr, without "tensorctl: "; empty: none
};

// The exit code that an error of the daemon means.
Outcome failed(const Error& error, std::string out = {});
// What a failed connection means: exit code 3 when no daemon is there.
Outcome not_connected(const Error& error);

Outcome run(const Options& options, const View& view);
Outcome run_call(const Options& options);  // attaches to the arena; everything else only asks over the admin socket
// Looks again and again until all of options.names are as they should be, or the timeout is over.
Outcome run_health(const Options& options, const View& view);
Outcome run_wait(const Options& options, const View& view);
// Orders a drain, rolling restart, suspension or size, and tells view.progress how it goes until it is done or the timeout is over.
Outcome run_upkeep(const Options& options, const View& view);

// Has the daemon replaced by another program, and waits until that has gone on in its place, or was refused.
Outcome run_upgrade(const Options& options, const View& view);

// Checks, compares, shows and reloads configurations.
Outcome run_config(const Options& options, const View& view);

std::string runtime_dir_of(const Options& options);

}  // namespace tv::ctl
