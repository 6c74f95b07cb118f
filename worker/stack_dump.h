// Stack dumps: what a worker writes to its log (standard error) before it dies of a signal: the stack of the thread that crashed, or, when
// somebody else sends SIGABRT (the supervisor, to a worker that hangs), of every thread.
//
// The handlers write, and hand on: to what was there before, or to the kernel's default, so that the process dies of the signal and its
// core shows the place. They use no memory but their own and take no locks; a thread that does not answer is passed over after a moment.
#pragma once

#include <string>

namespace tv::worker {

// Once a process, before it forks: loads what unwinding needs.
void prepare_stack_dumps();
// From now on. `who` stands in the first line. The calling thread gets a signal stack.
void dump_stacks_on_crash(const std::string& who);

}  // namespace tv::worker
