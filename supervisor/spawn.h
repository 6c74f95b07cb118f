// Starts a program: descriptors passed, default signals, /dev/null for input.
#pragma once

#include <sys/types.h>

#include <span>
#include <string>
#include <vector>

#include "config/result.h"

namespace tv::supervisor {

// Executes `program --zygote --zygote-fd=N`, where N is a copy of `fd`. Our environment is inherited but for what the service manager
// meant for us alone.
// `output`: becomes its standard output and error; kOwnOutput: ours.
inline constexpr int kOwnOutput = -1;
Result<pid_t> spawn_with_descriptor(const std::string& program, int fd, int output = kOwnOutput);

// Executes `program arguments...` with copies of `fds` as kFirstPassedFd and the ones behind it.
inline constexpr int kFirstPassedFd = 3;
Result<pid_t> spawn_with_descriptors(const std::string& program, const std::vector<std::string>& arguments, std::span<const int> fds, int output = kOwnOutput);

}  // namespace tv::supervisor
