// A worker or client of the storm: creates, holds, drops, sends, reads and commits at random until it is killed.
#pragma once

#include <memory>

#include "shm/arena.h"
#include "tests/crash/storm_ledger.h"

namespace tv::test {

struct StormMember {
  ParticipantId self = 0;
  std::uint32_t life = 0;
  std::uint32_t members = 0;  // participants 1 to this take part
  ActorId actor = kNoActor;   // of a worker
  std::uint64_t seed = 0;
  std::size_t objects = 0;  // how many it keeps, about
};

// In a process of its own. Returns when the ledger says stop.
void take_part(const std::shared_ptr<shm::Arena>& arena, Ledger& ledger, const StormMember& member);

}  // namespace tv::test
