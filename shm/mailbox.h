// Who reads a mailbox: the rings to one participant. Mostly that participant; another one after the actors of a worker have moved there.
//
// A mailbox never moves itself: senders go on writing the same rings, whose cursors and positions stay what they are, and only ring another
// bell. So nothing that is unread is copied, and the order of each sender's mail stays. The supervisor names the reader, while the one before
// has no process.
#pragma once

#include "shm/arena.h"

namespace tv::shm {

// Whose doorbell tells of mail in the mailbox. One that cannot be counts as none: the word may be scribbled upon.
inline ParticipantId reader_of(const Arena& arena, ParticipantId mailbox) {
  auto reader = arena.participant(mailbox).reader.load(std::memory_order_seq_cst);
  return reader == 0 || reader > limits::kMaxParticipants ? mailbox : reader - 1;
}

// Every one that reads it now or has read it; itself in any case.
inline std::uint64_t readers_of(const Arena& arena, ParticipantId mailbox) {
  return arena.participant(mailbox).readers.load(std::memory_order_acquire) | bit(mailbox);
}

// From now on `reader` reads it. The supervisor's; REQUIRES that the reader before has no process. The new one looks at all rings when it takes
// the mailbox up: a sender that has still rung the old bell had stored its message before.
inline void set_reader(const Arena& arena, ParticipantId mailbox, ParticipantId reader) {
  auto& slot = arena.participant(mailbox);
  slot.readers.fetch_or(bit(reader), std::memory_order_acq_rel);
  slot.reader.store(reader + 1, std::memory_order_seq_cst);
}

}  // namespace tv::shm
