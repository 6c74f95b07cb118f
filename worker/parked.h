// What a forked child does until it is given a worker to be: wait on its socket.
#pragma once

#include "config/fd.h"
#include "ipc/message.h"
#include "ipc/spawn.capnp.h"
#include "shm/arena.h"

namespace tv::worker {

struct Assigned {
  ipc::Message message;  // root: wire::Assignment, of our version
  shm::ArenaFds arena;
};

// As long as it takes. kUnavailable when the supervisor closes the socket: a spare that is not needed any more.
Result<Assigned> wait_for_assignment(int socket);

}  // namespace tv::worker
