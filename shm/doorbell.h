// Doorbell: how a participant sleeps until another has done something that concerns it.
//
// ring(): by any thread of any participant, after the store that it announces. wait(): by one thread of the owner at a time.
// A ringer that dies between its store and the ring leaves a sleeper: the supervisor's clean-up rings for it.
#pragma once

#include "config/clock.h"
#include "shm/arena.h"

namespace tv::shm {

// Sets bit `from` of the doorbell of whoever reads `to`'s mailbox (mailbox.h) and wakes it if it sleeps. REQUIRES that the store that it
// announces was sequentially consistent.
void ring_doorbell(const Arena& arena, ParticipantId to, ParticipantId from);

// The same, and wakes it even if the bit is set already: the supervisor, for one that may have died between the bit and the wake.
void ring_for_dead(const Arena& arena, ParticipantId to, ParticipantId from);

// Takes the bits that have been rung; waits for one if there is none. 0 at the deadline. Spins `spin` before it sleeps.
std::uint64_t wait_doorbell(const Arena& arena, ParticipantId self, Deadline deadline, Nanoseconds spin = Nanoseconds{0});

// The futex system calls, shared between processes. False at the deadline.
bool futex_wait(const HalfWord& word, std::uint32_t expected, Deadline deadline);
void futex_wake(const HalfWord& word, int count);
// The same on the low half of a 64-bit word, for positions: any move of less than 4 GiB changes it.
bool futex_wait(const Word& word, std::uint32_t expected_low, Deadline deadline);
void futex_wake(const Word& word, int count);

}  // namespace tv::shm
