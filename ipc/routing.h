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
};

// Can mail be sent there? It waits for an actor that is being (re)started.
bool takes_mail(shm::ActorState state);

// Index of the member; nothing when none takes mail. Members that are ready come before those that are still to be. `turn` advances with
// round robin and spreads equal loads; `random` is any number.
std::optional<std::uint32_t> choose_member(config::Routing routing, std::span<const Member> members, std::uint32_t& turn,
                                           std::uint64_t random);

}  // namespace tv::ipc
