// The message that an actor has at hand, as the actor's cell keeps it (ActorCell::at_hand). Any thread.
//
// The worker stores it before it begins a message. A next incarnation that finds the same message unread knows from it that its
// predecessor died with that message, and which try this is.
#pragma once

#include "shm/ring.h"

namespace tv::shm {

// A message's place as AtHand has it: the low 47 bits of where its record ends, and its lane.
constexpr std::uint64_t at_hand_place(Lane lane, RingPosition end) {
  constexpr std::uint64_t kPosition = (std::uint64_t{1} << 47) - 1;
  return (end & kPosition) | (static_cast<std::uint64_t>(lane) << 47);
}

// Nothing was ever at hand: no record ends at 0.
constexpr bool is_nothing(AtHand at) { return pack(at) == 0; }

// What to store before the message is begun whose record in `lane` of `from`'s ring ends at `end`, where `before` is stored now.
// tries is 1, or one more than before when it is the same message again; it stops at 255.
constexpr AtHand next_at_hand(AtHand before, ParticipantId from, Lane lane, RingPosition end) {
  AtHand next{static_cast<std::uint8_t>(from), 1, at_hand_place(lane, end)};
  bool again = !is_nothing(before) && before.from == next.from && before.end48 == next.end48;
  if (again) next.tries = before.tries < 255 ? static_cast<std::uint8_t>(before.tries + 1) : std::uint8_t{255};
  return next;
}

}  // namespace tv::shm
