#include "shm/ring.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>

#include "shm/at_hand.h"
#include "shm/doorbell.h"
#include "shm/pause.h"

namespace tv::shm {
namespace {

constexpr std::uint64_t kHeader = sizeof(RecordHeader);

std::string name_of(Lane lane) { return lane == Lane::kMail ? "[arena] ring" : "the lane of control messages"; }

constexpr std::uint64_t record_bytes(std::uint64_t payload, std::size_t handles) { return kHeader + payload + handles * 8; }

// All of a header but `cancelled`, which its sender may be writing.
RecordHeader read_header(const std::byte* at) {
  RecordHeader header{};
  std::memcpy(&header, at, offsetof(RecordHeader, cancelled));
  return header;
}

// atomic_ref of C++20 takes no const object; only load() is called on what we cannot write.
std::atomic_ref<std::uint32_t> cancelled(const RecordHeader* header) {
  return std::atomic_ref<std::uint32_t>(const_cast<RecordHeader*>(header)->cancelled);
}

// A header that a correct sender may have written where `available` bytes lie between it and the tail, and `room` to the ring's end.
bool plausible(const RecordHeader& header, std::uint64_t available, std::uint64_t room) {
  std::uint64_t size = record_bytes(header.payload_bytes, header.handles);
  return header.payload_bytes % 8 == 0 && header.handles <= limits::kMaxHandlesPerMessage && size <= available && size <= room;
}

// Positions are multiples of 8; one that is not is nonsense, and both sides go on at the next that is.
constexpr RingPosition kFarAhead = RingPosition{1} << 62;
constexpr RingPosition aligned(RingPosition position) { return (position + 7) & ~RingPosition{7}; }

// A reader wakes senders when half of the ring is free. One that leaves more than that unread for long must not keep a small message out.
constexpr Nanoseconds kLookAgain = 10ms;
Deadline look_again(Deadline deadline) { return Deadline{std::min(deadline.ns, Deadline::in(kLookAgain).ns)}; }

}  // namespace

RingWriter::RingWriter(std::shared_ptr<Arena> arena, ParticipantId from, ParticipantId to, Lane lane)
    : arena_(std::move(arena)),
      cursors_(&arena_->ring(from, to, lane)),
      data_(arena_->ring_data(from, to, lane).data()),
      bytes_(arena_->ring_bytes(lane)),
      lane_(lane),
      tail_(aligned(cursors_->tail.load(std::memory_order_relaxed))),
      head_seen_(tail_ - bytes_) {}

Result<RingWriter> RingWriter::open(std::shared_ptr<Arena> arena, ParticipantId from, ParticipantId to, Lane lane) {
  TV_ASSERT(from < limits::kMaxParticipants && to < limits::kMaxParticipants);
  std::uint64_t offset = arena->ring_offset(from, to, lane);
  std::uint64_t bytes = arena->ring_bytes(lane);
  if (auto reserved = arena->reserve(offset, bytes); !reserved) return reserved.error();
  if (auto writable = arena->allow_writing(offset, bytes, true); !writable) return writable.error();
  RingWriter writer(std::move(arena), from, to, lane);
  writer.cursors_->made.store(1, std::memory_order_release);
  return writer;
}

RingPosition RingWriter::read_position() const { return cursors_->head.load(std::memory_order_acquire); }

bool RingWriter::wait_for_reader(RingPosition seen, Deadline deadline) const {
  for (;;) {
    if (cursors_->head.load(std::memory_order_acquire) != seen) return true;
    if (deadline.passed()) return false;
    cursors_->space_waiters.store(1, std::memory_order_seq_cst);
    futex_wait(cursors_->head, static_cast<std::uint32_t>(seen), look_again(deadline));
  }
}

// A reader that met nonsense has skipped to where the tail seemed to be, which may be ahead of ours: messages begin there.
void RingWriter::follow_reader() {
  RingPosition head = aligned(cursors_->head.load(std::memory_order_acquire));
  if (head > tail_) tail_ = head;
}

bool RingWriter::has_space(std::uint64_t needed) const {
  std::uint64_t unread = tail_ - head_seen_;
  return unread <= bytes_ && needed <= bytes_ - unread;
}

bool RingWriter::wait_for_space(std::uint64_t needed, Deadline deadline) {
  for (;;) {
    auto seen = cursors_->head.load(std::memory_order_acquire);
    head_seen_ = seen;
    if (has_space(needed)) return true;
    if (deadline.passed()) return false;
    cursors_->space_waiters.store(1, std::memory_order_seq_cst);
    futex_wait(cursors_->head, static_cast<std::uint32_t>(seen), look_again(deadline));
  }
}

Result<std::span<std::byte>> RingWriter::reserve(std::uint64_t payload_bytes, std::size_t handles, Deadline deadline) {
  payload_bytes = (payload_bytes + 7) & ~std::uint64_t{7};
  if (handles > limits::kMaxHandlesPerMessage)
    return Error{Errc::kLimit,
                 "a message carries at most " + std::to_string(limits::kMaxHandlesPerMessage) + " tensors; send a list in parts"};
  if (payload_bytes + handles * 8 > max_payload())
    return Error{Errc::kLimit, "a message of " + std::to_string(payload_bytes) + " bytes: at most " + std::to_string(max_payload()) +
                                   " fit, half of " + name_of(lane_) + "; pass large data as a tensor"};
  // Our own word, which nobody else should write: one that is not ours any more may have sent the reader elsewhere.
  bool intact = cursors_->tail.load(std::memory_order_relaxed) == tail_;
  if (!intact) follow_reader();
  std::uint64_t size = record_bytes(payload_bytes, handles);
  std::uint64_t room = bytes_ - tail_ % bytes_;
  std::uint64_t padding = room < size ? room : 0;
  if (!intact || !has_space(size + padding)) {
    bool too_late = deadline.passed();
    if (!wait_for_space(size + padding, deadline))
      return Error{too_late ? Errc::kOverloaded : Errc::kDeadlineExceeded,
                   "the receiver's mailbox is full (" + name_of(lane_) + " is " + std::to_string(bytes_) + " bytes)"};
  }
  if (padding >= kHeader) {
    RecordHeader pad{};
    pad.flags = kRecordPadding;
    std::memcpy(data_ + tail_ % bytes_, &pad, kHeader);
  }  // less than a header to the end is padding without one: both sides compute that
  reserved_at_ = tail_ + padding;
  reserved_bytes_ = payload_bytes;
  reserved_handles_ = handles;
  std::byte* payload = data_ + reserved_at_ % bytes_ + kHeader;
  std::memset(payload, 0, payload_bytes);
  return std::span(payload, payload_bytes);
}

RecordPlace RingWriter::commit(std::uint64_t payload_bytes, std::span<const Handle> handles) {
  TV_ASSERT(payload_bytes % 8 == 0 && record_bytes(payload_bytes, handles.size()) <= record_bytes(reserved_bytes_, reserved_handles_));
  RecordPlace place{reserved_at_, reserved_at_ + record_bytes(payload_bytes, handles.size())};
  std::byte* at = data_ + reserved_at_ % bytes_;
  RecordHeader header{};
  header.payload_bytes = static_cast<std::uint32_t>(payload_bytes);
  header.handles = static_cast<std::uint16_t>(handles.size());
  std::memcpy(at, &header, kHeader);
  for (std::size_t i = 0; i < handles.size(); ++i) {
    std::uint64_t bits = handles[i].bits();
    std::memcpy(at + kHeader + payload_bytes + i * 8, &bits, 8);
  }
  tail_ = place.end;
  // The message exists from this store on. Sequentially consistent, as ring_doorbell asks of what it announces.
  cursors_->tail.store(tail_, std::memory_order_seq_cst);
  reserved_bytes_ = 0;
  reserved_handles_ = 0;
  return place;
}

// Both sides store their word and then look at the other's, all sequentially consistent: so either we see `begun`, or the receiver sees the
// flag before it begins. A record that the cursor has passed needs no flag: if it was begun, that was before (one thread stores both).
// Our caller keeps everybody else from writing this ring, so the memory is still that record's if the cursor has not passed it; if the
// cursor passes it while we write, the memory is nobody's until we return.
Withdrawal RingWriter::withdraw(RecordPlace record) {
  bool ours = tail_ - record.begin <= bytes_;  // whatever a receiver's stray write makes of `head`
  auto begun = [&] { return cursors_->begun.load(std::memory_order_seq_cst) >= record.end; };
  auto flag = [&](std::uint32_t value) {
    if (!ours || cursors_->head.load(std::memory_order_seq_cst) >= record.end) return;
    auto word = cancelled(reinterpret_cast<RecordHeader*>(data_ + record.begin % bytes_));
    if (word.load(std::memory_order_relaxed) < value) word.store(value, std::memory_order_seq_cst);  // asked again, 2 stays
  };
  flag(kRecordUnwanted);
  if (begun()) return Withdrawal::kBegun;
  flag(kRecordWithdrawn);
  return begun() ? Withdrawal::kBegun : Withdrawal::kWithdrawn;
}

bool Record::withdrawn() const { return cancelled(header).load(std::memory_order_seq_cst) != 0; }
bool Record::never_begun() const { return cancelled(header).load(std::memory_order_seq_cst) == kRecordWithdrawn; }

RingReader::RingReader(std::shared_ptr<Arena> arena, ParticipantId from, ParticipantId to, Lane lane)
    : arena_(std::move(arena)),
      cursors_(&arena_->ring(from, to, lane)),
      data_(arena_->ring_data(from, to, lane).data()),
      bytes_(arena_->ring_bytes(lane)),
      head_(aligned(cursors_->head.load(std::memory_order_relaxed))),
      scan_(head_),
      tail_seen_(head_),
      begun_(cursors_->begun.load(std::memory_order_relaxed)),
      inherited_begun_(begun_) {}

Error RingReader::skip_all(const char* what) {
  // To where the tail says, if that can be ahead; the writer follows. Else we stay, and it comes back here.
  skipped_tail_ = aligned(cursors_->tail.load(std::memory_order_acquire));
  if (skipped_tail_ - scan_ < kFarAhead) scan_ = skipped_tail_;
  head_ = scan_;
  tail_seen_ = scan_;
  pending_.clear();
  publish_head();
  return Error{Errc::kCorrupt, std::string("a ring holds nonsense (") + what + "); its unread mail has been skipped"};
}

Result<std::optional<Record>> RingReader::next() {
  // Judged by our own positions: what others can write is looked at once, and copied before it is checked.
  RingPosition tail = tail_seen_;
  if (tail == scan_) {
    tail = aligned(cursors_->tail.load(std::memory_order_seq_cst));
    if (tail == skipped_tail_) return std::optional<Record>{};  // told already
    if (tail < scan_ || tail - head_ > bytes_) return skip_all("cursors that cannot be");
    tail_seen_ = tail;
  }
  while (scan_ != tail) {
    std::uint64_t available = tail - scan_;
    std::uint64_t at = scan_ % bytes_;
    std::uint64_t room = bytes_ - at;
    RecordHeader header{};
    if (room >= kHeader) header = read_header(data_ + at);
    if (room < kHeader || (header.flags & kRecordPadding) != 0) {
      if (available <= room) return skip_all("padding with nothing behind it");
      scan_ += room;
      continue;
    }
    if (!plausible(header, available, room)) return skip_all("a record of impossible size");
    RingPosition end = scan_ + record_bytes(header.payload_bytes, header.handles);
    const std::byte* payload = data_ + at + kHeader;
    Record record{reinterpret_cast<const RecordHeader*>(data_ + at),
                  {payload, header.payload_bytes},
                  {reinterpret_cast<const std::uint64_t*>(payload + header.payload_bytes), header.handles},
                  end};
    scan_ = end;
    pending_.push_back({end, false, header.handles > 0});
    return std::optional<Record>{record};
  }
  return std::optional<Record>{};
}

bool RingReader::linger(bool rest) const {
  constexpr int kLooks = 100, kRest = 96;
  if (rest && tail_seen_ == scan_)
    for (int i = 0; i < kRest; ++i) pause_cpu();
  for (int look = 0; look < kLooks; ++look) {
    if (tail_seen_ != scan_ || cursors_->tail.load(std::memory_order_relaxed) != scan_) return true;
    pause_cpu();
  }
  return false;
}

bool RingReader::begin(const Record& record) {
  if (record.end > begun_) {
    begun_ = record.end;
    cursors_->begun.store(begun_, std::memory_order_seq_cst);
  }
  return !record.withdrawn();
}

bool RingReader::done(RingPosition end) {
  auto found = std::lower_bound(pending_.begin(), pending_.end(), end, [](const Pending& p, RingPosition e) { return p.end < e; });
  if (found == pending_.end() || found->end != end) return false;  // skipped with a corrupt ring
  found->done = true;
  if (!pending_.front().done) return false;
  bool handles = false;
  while (!pending_.empty() && pending_.front().done) {
    head_ = pending_.front().end;
    handles |= pending_.front().handles;
    pending_.pop_front();
  }
  publish_head();
  return handles;
}

// The flag is taken before the head moves and looked at again afterwards: a sender that sets it in between, and has seen the old head,
// sleeps on a value that has changed; one that has seen the new head has to wait on, and its flag stays. Senders are woken when half of
// the ring is free, not for each record: else both sides make a system call a message.
void RingReader::publish_head() {
  bool worth_it = tail_seen_ - head_ <= bytes_ / 2;
  bool waits = worth_it && cursors_->space_waiters.load(std::memory_order_relaxed) != 0 &&
               cursors_->space_waiters.exchange(0, std::memory_order_seq_cst) != 0;
  cursors_->head.store(head_, std::memory_order_seq_cst);
  if (waits || (worth_it && cursors_->space_waiters.load(std::memory_order_seq_cst) != 0)) futex_wake(cursors_->head, 1 << 20);
}

namespace {

// Each unread record of a ring that others may be writing and reading: its header, where it lies and where it ends, until `use` says no. Ends at
// the first nonsense.
template <class Use>
void walk_unread(const Arena& arena, ParticipantId from, ParticipantId to, Lane lane, Use use) {
  const RingCursors& cursors = arena.ring(from, to, lane);
  if (cursors.made.load(std::memory_order_acquire) == 0) return;
  const std::byte* data = arena.ring_data(from, to, lane).data();
  std::uint64_t bytes = arena.ring_bytes(lane);
  RingPosition position = aligned(cursors.head.load(std::memory_order_acquire));
  RingPosition tail = aligned(cursors.tail.load(std::memory_order_acquire));
  if (tail < position || tail - position > bytes) return;
  while (position != tail) {
    std::uint64_t at = position % bytes;
    std::uint64_t room = bytes - at;
    RecordHeader header{};
    if (room >= kHeader) header = read_header(data + at);
    if (room < kHeader || (header.flags & kRecordPadding) != 0) {
      if (tail - position < room) return;
      position += room;
      continue;
    }
    if (!plausible(header, tail - position, room)) return;
    position += record_bytes(header.payload_bytes, header.handles);
    if (!use(header, data + at, position)) return;
  }
}

}  // namespace

std::vector<UnreadHandles> unread_handles(const Arena& arena, ParticipantId from, ParticipantId to, Lane lane) {
  std::vector<UnreadHandles> found;
  walk_unread(arena, from, to, lane, [&](const RecordHeader& header, const std::byte* at, RingPosition end) {
    UnreadHandles record{end, {}};
    for (std::size_t i = 0; i < header.handles; ++i) {
      std::uint64_t bits;
      std::memcpy(&bits, at + kHeader + header.payload_bytes + i * 8, 8);
      record.handles.push_back(Handle::from_bits(bits));
    }
    if (!record.handles.empty()) found.push_back(std::move(record));
    return true;
  });
  return found;
}

std::optional<std::vector<std::byte>> peek(const Arena& arena, ParticipantId from, ParticipantId to, Lane lane, std::uint64_t end47) {
  constexpr std::uint64_t kLow = (std::uint64_t{1} << 47) - 1;
  std::optional<std::vector<std::byte>> payload;
  walk_unread(arena, from, to, lane, [&](const RecordHeader& header, const std::byte* at, RingPosition end) {
    if ((end & kLow) != end47) return true;
    payload.emplace(at + kHeader, at + kHeader + header.payload_bytes);
    return false;
  });
  return payload;
}

void peek_each(const Arena& arena, ParticipantId from, ParticipantId to, Lane lane, std::size_t most, const std::function<bool(std::span<const std::byte>)>& use) {
  std::vector<std::byte> copy;
  walk_unread(arena, from, to, lane, [&](const RecordHeader& header, const std::byte* at, RingPosition) {
    copy.assign(at + kHeader, at + kHeader + std::min<std::size_t>(most, header.payload_bytes));
    return use(copy);
  });
}

std::uint64_t unread_bytes(const Arena& arena, ParticipantId mailbox) {
  std::uint64_t bytes = 0;
  for (ParticipantId from = 0; from < limits::kMaxParticipants; ++from)
    for (Lane lane : kEveryLane) {
      const RingCursors& cursors = arena.ring(from, mailbox, lane);
      if (cursors.made.load(std::memory_order_acquire) == 0) continue;
      auto head = cursors.head.load(std::memory_order_acquire), tail = cursors.tail.load(std::memory_order_acquire);
      if (tail > head && tail - head <= arena.ring_bytes(lane)) bytes += tail - head;
    }
  return bytes;
}

}  // namespace tv::shm
