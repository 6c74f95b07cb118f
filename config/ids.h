// Numbers and words that every folder uses. Strong where a mix-up would compile.
#pragma once

#include <cstdint>

namespace tv {

// A process that is attached to the arena: supervisor (0), worker or client. A worker keeps its number over restarts;
// a client's number is used again once its mail and objects are gone.
using ParticipantId = std::uint32_t;
inline constexpr ParticipantId kSupervisor = 0;
inline constexpr ParticipantId kNoParticipant = 0xffff'ffff;

// Index of an actor in the arena's directory. Fixed for the daemon's life; members of a pool are consecutive.
using ActorId = std::uint32_t;
inline constexpr ActorId kNoActor = 0xffff'ffff;

// Names one call of one incarnation of one participant: unique while the arena lives.
using CallId = std::uint64_t;

// Counts the lives of a participant or actor: 1 for the first.
using Incarnation = std::uint32_t;

constexpr std::uint64_t bit(ParticipantId id) { return std::uint64_t{1} << id; }

}  // namespace tv
