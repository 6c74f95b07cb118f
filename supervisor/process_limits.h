// What can be limited of a process without a cgroup: by its number, of all threads that it has. Those that it starts later take after the
// thread that starts them.
//
// No state. Errors: kNotFound where the process is gone, kPermission where we may not.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "config/result.h"

namespace tv::supervisor {

// RLIMIT_DATA: private memory that it has mapped for writing, touched or not; what is beyond it fails to be allocated. Address space
// reserved by CUDA, and mappings of the arena and of files, do not count. 0: as far as its hard limit allows.
Result<void> limit_private_memory(pid_t pid, std::uint64_t bytes);

// sched_setaffinity of each thread. Sorted numbers; none: all that there are.
Result<void> limit_processors(pid_t pid, const std::vector<std::uint32_t>& cpus);

// Nice, of each thread: 1.25 times less with each step, as the scheduler's weights are. The priority is never raised where the kernel does
// not let us.
Result<void> set_weight(pid_t pid, std::uint32_t weight);
// -20 to 19; 0 for a weight of 100.
int nice_of_weight(std::uint32_t weight);

}  // namespace tv::supervisor
