// Migration: where the actors of a worker that was given up go on. A pure decision; workers.h carries it out.
//
// All of a mailbox go to one worker: a ring has one reader (README.md, "Migration").
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "supervisor/placement.h"

namespace tv::supervisor {

// A worker that has a process or will have one, and is not being stopped.
struct Candidate {
  std::size_t worker = 0;  // index into config.workers
  bool ready = false;
  bool has_room = true;    // for these actors besides its own
  std::size_t actors = 0;  // that it hosts
};

// Whether its placement allows it to live there.
bool may_live(const PlacedActor& actor, std::size_t worker);

// The one with room on which the most of them may live; of equals one that is ready, then the one with the fewest actors, then the first.
// Nothing where none of them may live on any.
std::optional<std::size_t> choose_host(std::span<const PlacedActor* const> actors, std::span<const Candidate> candidates);

}  // namespace tv::supervisor
