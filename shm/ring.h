// Rings: single-producer, single-consumer queues of records, one a lane for each ordered pair of participants, made on first use.
//
// The writer's and the reader's private state can be made anew from the cursors at any time: a process that takes over a participant
// number goes on where its predecessor stopped.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "config/clock.h"
#include "shm/arena.h"
#include "shm/handle.h"

namespace tv::shm {

// Where a record ends, in bytes since the ring's beginning. A record is dealt with once the receiver's cursor is there.
using RingPosition = std::uint64_t;

// Where a record lies, for who may want it back.
struct RecordPlace {
  RingPosition begin = 0;  // of its header
  RingPosition end = 0;
};

enum class Withdrawal {
  kWithdrawn,  // the receiver has not begun it and never will
  kBegun,      // it has, now or in an earlier life; it learns of the wish if it looks (Record::withdrawn)
};

// One thread at a time.
class RingWriter {
 public:
  // Reserves the ring's memory on first use. kOutOfMemory when the machine has none.
  static Result<RingWriter> open(std::shared_ptr<Arena> arena, ParticipantId from, ParticipantId to, Lane lane = Lane::kMail);

  // Largest payload, handles included: half the ring, so that a record always fits in an empty one wherever the cursor stands.
  std::uint64_t max_payload() const { return bytes_ / 2 - sizeof(RecordHeader); }

  // Zeroed room for a payload and its handles at the tail. Waits for the reader until the deadline: kDeadlineExceeded, or kOverloaded
  // if the deadline is already over. Invisible until commit(); calling reserve again forgets it.
  Result<std::span<std::byte>> reserve(std::uint64_t payload_bytes, std::size_t handles, Deadline deadline);
  // Publishes the first `payload_bytes` (a multiple of 8) of the room, and the handles. The caller rings the doorbell.
  RecordPlace commit(std::uint64_t payload_bytes, std::span<const Handle> handles);
  // Takes back a record of ours that may still be unread. The first answer counts: once the receiver has met a withdrawn record, or begun a
  // later one, the same question is answered with kBegun.
  Withdrawal withdraw(RecordPlace record);

  // How far the reader has come.
  RingPosition read_position() const;
  // Waits until it has come further than `seen`; false at the deadline. By any thread, beside the one that writes.
  bool wait_for_reader(RingPosition seen, Deadline deadline) const;

 private:
  RingWriter(std::shared_ptr<Arena> arena, ParticipantId from, ParticipantId to, Lane lane);
  void follow_reader();
  bool has_space(std::uint64_t needed) const;
  bool wait_for_space(std::uint64_t needed, Deadline deadline);

  std::shared_ptr<Arena> arena_;
  RingCursors* cursors_;
  std::byte* data_;
  std::uint64_t bytes_;
  Lane lane_;
  RingPosition tail_;  // mirrors the shared word, which only we write
  RingPosition head_seen_;  // the reader's cursor when we last looked: a look costs the reader's cache line
  RingPosition reserved_at_ = 0;
  std::uint64_t reserved_bytes_ = 0;
  std::size_t reserved_handles_ = 0;
};

struct Record {
  // Its sender wishes that it be not handled, or not be gone on with.
  bool withdrawn() const;
  // It was withdrawn, and no receiver has begun it, in this life or an earlier one. False also when that is not certain.
  bool never_begun() const;

  const RecordHeader* header;  // in the ring, as what follows; valid until done() has passed it
  std::span<const std::byte> payload;
  std::span<const std::uint64_t> handles;
  RingPosition end;
};

// One thread at a time.
class RingReader {
 public:
  RingReader(std::shared_ptr<Arena> arena, ParticipantId from, ParticipantId to, Lane lane = Lane::kMail);

  // The next record that this reader has not handed out, in order. Reading ahead is free; the shared cursor does not move.
  // kCorrupt when the ring holds what no correct sender writes: its unread content has been skipped then.
  Result<std::optional<Record>> next();

  // Looks for a record for a few microseconds, after a rest of as many if asked for: whether next() would find one. Between messages
  // of a stream, and while an answer is on its way, this is cheaper than a doorbell, whose bit its sender would have to set again; where the sender has no core of its own it is
  // a waste. The rest is for a reader that is faster than the writer: each look takes cache lines from the writer, so few looks that find
  // several records are better than one for each.
  bool linger(bool rest = false) const;

  // The record is about to be handled. False: its sender has withdrawn it, and is told that it was not.
  bool begin(const Record& record);
  // A record up to this one, or a later one, has been begun before, perhaps by a predecessor that died of it: a withdrawal comes too
  // late to say that nothing happened.
  bool was_begun(RingPosition end) const { return end <= begun_; }
  // The same of those that were begun before this reader was made.
  bool was_begun_by_predecessor(RingPosition end) const { return end <= inherited_begun_; }

  // The record that ends at `end` has been dealt with. The cursor moves over every record up to the first that has not been.
  // True if the sender may want to know (it waits for space, or handles were passed).
  bool done(RingPosition end);

  // Everything up to there has been handed out.
  RingPosition position() const { return scan_; }

  // Records handed out and not done.
  std::size_t pending() const { return pending_.size(); }

 private:
  struct Pending {
    RingPosition end;
    bool done;
    bool handles;
  };
  Error skip_all(const char* what);
  void publish_head();

  std::shared_ptr<Arena> arena_;
  RingCursors* cursors_;
  const std::byte* data_;
  std::uint64_t bytes_;
  RingPosition head_;  // mirrors the shared word, which only we should write: it is not believed
  RingPosition scan_;
  RingPosition tail_seen_;  // the writer's cursor when we last looked, checked: a look costs the writer's cache line
  RingPosition begun_;  // mirrors the shared word, which only we write
  RingPosition inherited_begun_;  // what it was when we came
  RingPosition skipped_tail_ = ~RingPosition{0};  // what the shared word said when mail was skipped last; no position at first
  std::deque<Pending> pending_;
};

// Unread handles of a ring, for whoever cleans up after its sender: end of record and its handles. Tolerates nonsense.
struct UnreadHandles {
  RingPosition end;
  std::vector<Handle> handles;
};
std::vector<UnreadHandles> unread_handles(const Arena& arena, ParticipantId from, ParticipantId to, Lane lane = Lane::kMail);

// A copy of the payload of the unread record whose end has these low 47 bits (at_hand.h); nothing when it is not there. For the supervisor, which
// must not touch a living reader's cursors. Tolerates nonsense; both sides may write meanwhile, so the copy is not to be believed.
std::optional<std::vector<std::byte>> peek(const Arena& arena, ParticipantId from, ParticipantId to, Lane lane, std::uint64_t end47);

// The first bytes, at most `most`, of each unread record's payload, as copies that are not to be believed, until `use` says no. For the supervisor, as
// peek().
void peek_each(const Arena& arena, ParticipantId from, ParticipantId to, Lane lane, std::size_t most, const std::function<bool(std::span<const std::byte>)>& use);

// Bytes of all mail that waits in a mailbox, from every sender and by both lanes.
std::uint64_t unread_bytes(const Arena& arena, ParticipantId mailbox);

}  // namespace tv::shm
