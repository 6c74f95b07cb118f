// CheckpointWriter: the process that carries commits to disk and back, a participant of the arena with a number of its own. It is
// tensorvisord executed again; it links no LibTorch and has low priority for processor and disk. Whatever a disk or a file does to it, the
// supervisor starts another.
//
// It holds the commit that it writes (and with it its tensors), so that the actor may commit on meanwhile. One thread, one order at a
// time (checkpoint.capnp).
#pragma once

#include <string>

namespace tv::supervisor {

inline constexpr const char* kWriterOption = "--checkpoint-writer-fd";

// The main function of the process: `fd` is its end of the socket pair. Returns the exit code: 0 when the supervisor has closed its end,
// 1 after an error, which has been logged.
int run_checkpoint_writer(int fd);

}  // namespace tv::supervisor
