// Exit notes: what a process writes down just before it ends by itself. A supervisor reads it that is not the process's parent, since it has
// taken over from one that died: the kernel tells a process's exit code to its parent alone.
#pragma once

#include <optional>

#include "shm/arena.h"

namespace tv::shm {

// By the process itself. Dead right after it, by whatever: the note says what it was about to do.
inline void note_exit(const Arena& arena, ParticipantId self, int code) {
  arena.participant(self).leaving.store(static_cast<std::uint32_t>(code & 0xff) + 1, std::memory_order_release);
}

// After its end, by the supervisor. Nothing: it was killed, or ended where nobody notes anything.
inline std::optional<int> exit_note(const Arena& arena, ParticipantId dead) {
  auto noted = arena.participant(dead).leaving.load(std::memory_order_acquire);
  if (noted == 0 || noted > 256) return std::nullopt;
  return static_cast<int>(noted - 1);
}

}  // namespace tv::shm
