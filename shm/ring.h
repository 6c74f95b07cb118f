// Rings: single-producer, single-consumer queues of records, one for each ordered pair of participants, made on first use.
//
// The writer's and the reader's private state can be made anew from the cursors at any time: a process that takes over a participant
// number goes on where its predecessor stopped.
#pragma once

#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "config/clock.h"
#include "shm/arena.h"
#include "shm/handle.h"

namespace tv::shm {

// Where a record ends, in bytes since the ring's beginning. A record is dealt with once the receiver's cursor is there.
using RingPosition = std::uint64_t;

// One thread at a time.
class RingWriter {
 public:
  // Reserves the ring's memory on first use. kOutOfMemory when the machine has none.
  static Result<RingWriter> open(std::shared_ptr<Arena> arena, ParticipantId from, ParticipantId to);

  // Largest payload, handles included: half the ring, so that a record always fits in an empty one wherever the cursor stands.
  std::uint64_t max_payload() const { return bytes_ / 2 - sizeof(RecordHeader); }

  // Zeroed room for a payload and its handles at the tail. Waits for the reader until the deadline: kDeadlineExceeded, or kOverloaded
  // if the deadline is already over. Invisible until commit(); calling reserve again forgets it.
  Result<std::span<std::byte>> reserve(std::uint64_t payload_bytes, std::size_t handles, Deadline deadline);
  // Publishes the first `payload_bytes` (a multiple of 8) of the room, and the handles. The caller rings the doorbell.
  RingPosition commit(std::uint64_t payload_bytes, std::span<const Handle> handles);

  // How far the reader has come.
  RingPosition read_position() const;
  // Waits until it has come further than `seen`; false at the deadline. By any thread, beside the one that writes.
  bool wait_for_reader(RingPosition seen, Deadline deadline) const;

 private:
  RingWriter(std::shared_ptr<Arena> arena, ParticipantId from, ParticipantId to);
  bool wait_for_space(std::uint64_t needed, Deadline deadline);

  std::shared_ptr<Arena> arena_;
  RingCursors* cursors_;
  std::byte* data_;
  std::uint64_t bytes_;
  RingPosition tail_;          // mirrors the shared word, which only we write
  RingPosition reserved_at_ = 0;
  std::uint64_t reserved_bytes_ = 0;
  std::size_t reserved_handles_ = 0;
};

struct Record {
  std::span<const std::byte> payload;  // in the ring; valid until done() has passed it
  std::span<const std::uint64_t> handles;
  RingPosition end;
};

// One thread at a time.
class RingReader {
 public:
  RingReader(std::shared_ptr<Arena> arena, ParticipantId from, ParticipantId to);

  // The next record that this reader has not handed out, in order. Reading ahead is free; the shared cursor does not move.
  // kCorrupt when the ring holds what no correct sender writes: its unread content has been skipped then.
  Result<std::optional<Record>> next();

  // The record that ends at `end` has been dealt with. The cursor moves over every record up to the first that has not been.
  // True if the sender may want to know (it waits for space, or handles were passed).
  bool done(RingPosition end);

  // Records handed out and not done.
  std::size_t pending() const { return pending_.size(); }

 private:
  struct Pending {
    RingPosition end;
    bool done;
    bool handles;
  };
  Error skip_all(const char* what);

  std::shared_ptr<Arena> arena_;
  RingCursors* cursors_;
  const std::byte* data_;
  std::uint64_t bytes_;
  RingPosition scan_;
  std::deque<Pending> pending_;
};

// Unread handles of a ring, for whoever cleans up after its sender: end of record and its handles. Tolerates nonsense.
struct UnreadHandles {
  RingPosition end;
  std::vector<Handle> handles;
};
std::vector<UnreadHandles> unread_handles(const Arena& arena, ParticipantId from, ParticipantId to);

}  // namespace tv::shm
