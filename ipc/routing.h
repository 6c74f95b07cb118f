// Which member of a pool gets a call: a pure decision over what the caller knows.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "config/config.h"
#include "shm/layout.h"

namespace tv::ipc {

struct Member {
  shm::ActorState state;
  std::uint32_t outstanding;  // calls of this caller that it has not answered
  std::uint16_t flags = 0;    // of shm::ActorWhere
};

// Is mail there waited for? It is read when an actor has been (re)started or resumed.
bool takes_mail(shm::ActorState state);
// Can new mail be sent there?
inline bool takes_new_mail(shm::ActorWhere where) { return takes_mail(where.state) && (where.flags & shm::kActorDrained) == 0; }

// Index of the member; nothing when none takes mail. Members that are ready come before those that are still to be,
// those before suspended ones, and all of them before those that are to be avoided, in the same order. `turn` advances with
// round robin and spreads equal loads; `random` is any number.
std::optional<std::uint32_t> choose_member(config::Routing routing, std::span<const Member> members, std::uint32_t& turn,
                                           std::uint64_t random);

}  // namespace tv::ipc
