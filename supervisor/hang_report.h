// What is known of a worker that makes no progress, for people: from the arena, and from /proc.
#pragma once

#include <sys/types.h>

#include <optional>
#include <span>
#include <string>

#include "shm/directory.h"
#include "shm/running.h"

namespace tv::supervisor {

struct Busy {
  ActorId actor = kNoActor;
  shm::Running running;
};
// Whose code runs, of these; nobody's: kNoActor.
Busy busy_actor(const shm::Arena& arena, std::span<const ActorId> actors);

// The method whose message the actor has at hand, read where its sender put it; empty when it is not there any more, or nonsense. `mailbox` is the
// participant in whose rings the actor's mail is: not the one on which it lives, once it has been moved.
std::string method_at_hand(const shm::Arena& arena, ParticipantId mailbox, ActorId actor);

// "in actor "scorer", method forward"; "in no actor's code". `mailbox` is the busy one's.
std::string place_of(const shm::Directory& directory, ParticipantId mailbox, const Busy& busy);

// "stopped (SIGSTOP)", "asleep, in the kernel at futex_wait_queue", "running"; empty when there is no such process.
std::string process_state(pid_t pid);

// The kernel's part of its first thread's stack, "futex_wait < do_futex < ..."; empty where we may not read that (only root may).
std::string kernel_stack(pid_t pid);

}  // namespace tv::supervisor
