// Starts the zygote's program: one descriptor passed, default signals, /dev/null for input.
#pragma once

#include <sys/types.h>

#include <string>

#include "config/result.h"

namespace tv::supervisor {

// Executes `program --zygote --zygote-fd=N`, where N is a copy of `fd`. Our environment is inherited but for what the service manager
// meant for us alone.
Result<pid_t> spawn_with_descriptor(const std::string& program, int fd);

}  // namespace tv::supervisor
