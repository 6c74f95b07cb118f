// Fault notes: what a process writes down in its signal handler when it is about to die of a write to memory of the arena that is not its
// own: where, and which actor's method was running. The supervisor reads the note after the death (supervisor/fault_report.h).
//
// The handler is installed once a process, for one arena. It notes and hands on: to the handler that was there before, or to the kernel's
// default, so that the process still dies of the signal and its core shows the place. Async-signal-safe: it stores two words.
#pragma once

#include <cstdint>
#include <optional>

#include "shm/arena.h"

namespace tv::shm {

enum class Handlers {
  kReplace,  // SIGSEGV and SIGBUS get ours, which calls what was there before
  kIfNone,   // only where the application has none
};
// From now on faults of this process at addresses of `arena` are noted in the slot of `self`. Takes the place of an earlier call's arena.
// The calling thread gets a signal stack if it has none.
void note_faults(const Arena& arena, ParticipantId self, Handlers handlers);
// No longer: the arena is about to be unmapped. Does nothing when another arena's faults are noted.
void forget_faults(const Arena& arena);

struct FaultNote {
  std::uint64_t offset = 0;  // in the arena
  ActorId actor = kNoActor;
};
// The supervisor, after the process's end: its note, which is cleared.
std::optional<FaultNote> take_fault_note(const Arena& arena, ParticipantId dead);

}  // namespace tv::shm
