// The end of a worker is seen at once, and its memory is taken down behind it.
//
// The kernel reports an end, closes files and gives up locks only after it has unmapped the process's memory: with LibTorch and all that it
// brings, 3 to 4 ms, a third of a restart. It unmaps when the last process that shares the memory ends. The holder is that process: it
// shares the worker's memory and nothing else, waits for the worker's end, and goes a moment after it, when a restart has had the processor.
//
// What this does not change: nobody writes into that memory after the worker's end, for the holder executes no code of it but a wait. The
// files, sockets and locks are the worker's alone. The arena stays mapped for some milliseconds by a process that does not touch it.
#pragma once

#include <sys/types.h>

#include "config/result.h"

namespace tv::worker {

// Starts the holder of the calling process and gives its number. Once per process. REQUIRES: one thread, the main one. No wait for any child
// sees it (wait(2) has an option, __WCLONE, that would); after the end of its parent it is the subreaper's to reap.
Result<pid_t> start_memory_holder();

}  // namespace tv::worker
