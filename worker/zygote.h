// Zygote: a process that has loaded everything a worker needs and forks workers on request (spawn.capnp).
//
// It stays single-threaded, opens no GPU and no ZeroMQ socket, and looks before each fork that this is so: a child of a process with
// threads inherits their locks in whatever state they were. Workers are forked twice, so that they become children of the supervisor (a
// child subreaper): the zygote's own child reports the worker's number and leaves.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "config/fd.h"
#include "config/result.h"

namespace tv::worker {

class Zygote {
 public:
  // `child` runs in each forked worker, with the end of the pair that came with the request, and returns the exit code.
  using Child = std::function<int(Fd socket)>;
  Zygote(Fd socket, Child child) : socket_(std::move(socket)), child_(std::move(child)) {}

  // Says that it is ready, then serves until the supervisor closes the socket. Never returns in a child.
  Result<void> serve();

 private:
  struct Request {
    std::uint64_t token = 0;
    Fd socket;
    Fd output;  // what the worker prints to; empty: where we do
    std::optional<Error> refused;
  };
  Result<Request> receive(Deadline deadline);
  Result<void> serve_waiting();
  // Of each: the worker's number, or why there is none. One process in between forks them all: each fork of ours copies all of our page tables.
  Result<std::vector<Result<pid_t>>> fork_workers(std::vector<Request> requests);
  [[noreturn]] void run_child(Fd socket, Fd output);

  Fd socket_;
  Child child_;
};

// Default dispositions and an empty mask, whatever the parent had; interrupts of the terminal are the supervisor's business.
void reset_signals();

// Threads of this process, by the kernel's word.
Result<int> thread_count();
// Why this process must not be forked now; nothing when it may.
Result<void> check_forkable();

}  // namespace tv::worker
