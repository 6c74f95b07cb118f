#include "shm/ring.h"

#include <algorithm>
#include <cstring>

#include "shm/doorbell.h"

namespace tv::shm {
namespace {

constexpr std::uint64_t kHeader = sizeof(RecordHeader);

constexpr std::uint64_t record_bytes(std::uint64_t payload, std::size_t handles) { return kHeader + payload + handles * 8; }

// A header that a correct sender may have written where `available` bytes lie between it and the tail, and `room` to the ring's end.
bool plausible(const RecordHeader& header, std::uint64_t available, std::uint64_t room) {
  std::uint64_t size = record_bytes(header.payload_bytes, header.handles);
  return header.payload_bytes % 8 == 0 && header.handles <= limits::kMaxHandlesPerMessage && size <= available && size <= room;
}

// Positions are multiples of 8; one that is not is nonsense, and both sides go on at the next that is.
constexpr RingPosition kFarAhead = RingPosition{1} << 62;
constexpr RingPosition aligned(RingPosition position) { return (position + 7) & ~RingPosition{7}; }

}  // namespace

RingWriter::RingWriter(std::shared_ptr<Arena> arena, ParticipantId from, ParticipantId to)
    : arena_(std::move(arena)),
      cursors_(&arena_->ring(from, to)),
      data_(arena_->ring_data(from, to).data()),
      bytes_(arena_->geometry().ring_bytes),
      tail_(aligned(cursors_->tail.load(std::memory_order_relaxed))) {}

Result<RingWriter> RingWriter::open(std::shared_ptr<Arena> arena, ParticipantId from, ParticipantId to) {
  TV_ASSERT(from < limits::kMaxParticipants && to < limits::kMaxParticipants);
  std::uint64_t offset = arena->ring_offset(from, to);
  std::uint64_t bytes = arena->geometry().ring_bytes;
  if (auto reserved = arena->reserve(offset, bytes); !reserved) return reserved.error();
  if (auto writable = arena->allow_writing(offset, bytes, true); !writable) return writable.error();
  RingWriter writer(std::move(arena), from, to);
  writer.cursors_->made.store(1, std::memory_order_release);
  return writer;
}

RingPosition RingWriter::read_position() const { return cursors_->head.load(std::memory_order_acquire); }

bool RingWriter::wait_for_reader(RingPosition seen, Deadline deadline) const {
  for (;;) {
    if (cursors_->head.load(std::memory_order_acquire) != seen) return true;
    if (deadline.passed()) return false;
    cursors_->space_waiters.store(1, std::memory_order_seq_cst);
    if (cursors_->head.load(std::memory_order_seq_cst) == seen) futex_wait(cursors_->head, static_cast<std::uint32_t>(seen), deadline);
  }
}

// A reader that met nonsense has skipped to where the tail seemed to be, which may be ahead of ours: messages begin there.
void RingWriter::follow_reader() {
  RingPosition head = aligned(cursors_->head.load(std::memory_order_acquire));
  if (head > tail_) tail_ = head;
}

bool RingWriter::wait_for_space(std::uint64_t needed, Deadline deadline) {
  for (;;) {
    auto seen = cursors_->head.load(std::memory_order_acquire);
    std::uint64_t unread = tail_ - seen;
    if (unread <= bytes_ && needed <= bytes_ - unread) return true;
    if (deadline.passed()) return false;
    cursors_->space_waiters.store(1, std::memory_order_seq_cst);
    auto again = cursors_->head.load(std::memory_order_seq_cst);
    if (again == seen) futex_wait(cursors_->head, static_cast<std::uint32_t>(seen), deadline);
  }
}

Result<std::span<std::byte>> RingWriter::reserve(std::uint64_t payload_bytes, std::size_t handles, Deadline deadline) {
  payload_bytes = (payload_bytes + 7) & ~std::uint64_t{7};
  if (handles > limits::kMaxHandlesPerMessage)
    return Error{Errc::kLimit, "a message carries at most " + std::to_string(limits::kMaxHandlesPerMessage) + " tensors; send a list in parts"};
  if (payload_bytes + handles * 8 > max_payload())
    return Error{Errc::kLimit, "a message of " + std::to_string(payload_bytes) + " bytes: at most " + std::to_string(max_payload()) +
                                   " fit, half of [arena] ring; pass large data as a tensor"};
  follow_reader();
  std::uint64_t size = record_bytes(payload_bytes, handles);
  std::uint64_t room = bytes_ - tail_ % bytes_;
  std::uint64_t padding = room < size ? room : 0;
  bool too_late = deadline.passed();
  if (!wait_for_space(size + padding, deadline))
    return Error{too_late ? Errc::kOverloaded : Errc::kDeadlineExceeded, "the receiver's mailbox is full ([arena] ring is " +
                                                                              std::to_string(bytes_) + " bytes)"};
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

RingPosition RingWriter::commit(std::uint64_t payload_bytes, std::span<const Handle> handles) {
  TV_ASSERT(payload_bytes % 8 == 0 && record_bytes(payload_bytes, handles.size()) <= record_bytes(reserved_bytes_, reserved_handles_));
  std::byte* at = data_ + reserved_at_ % bytes_;
  RecordHeader header{};
  header.payload_bytes = static_cast<std::uint32_t>(payload_bytes);
  header.handles = static_cast<std::uint16_t>(handles.size());
  std::memcpy(at, &header, kHeader);
  for (std::size_t i = 0; i < handles.size(); ++i) {
    std::uint64_t bits = handles[i].bits();
    std::memcpy(at + kHeader + payload_bytes + i * 8, &bits, 8);
  }
  tail_ = reserved_at_ + record_bytes(payload_bytes, handles.size());
  // The message exists from this store on.
  cursors_->tail.store(tail_, std::memory_order_release);
  reserved_bytes_ = 0;
  reserved_handles_ = 0;
  return tail_;
}

RingReader::RingReader(std::shared_ptr<Arena> arena, ParticipantId from, ParticipantId to)
    : arena_(std::move(arena)),
      cursors_(&arena_->ring(from, to)),
      data_(arena_->ring_data(from, to).data()),
      bytes_(arena_->geometry().ring_bytes),
      head_(aligned(cursors_->head.load(std::memory_order_relaxed))),
      scan_(head_) {}

Error RingReader::skip_all(const char* what) {
  // To where the tail says, if that can be ahead; the writer follows. Else we stay, and it comes back here.
  skipped_tail_ = aligned(cursors_->tail.load(std::memory_order_acquire));
  if (skipped_tail_ - scan_ < kFarAhead) scan_ = skipped_tail_;
  head_ = scan_;
  pending_.clear();
  cursors_->head.store(head_, std::memory_order_release);
  return Error{Errc::kCorrupt, std::string("a ring holds nonsense (") + what + "); its unread mail has been skipped"};
}

Result<std::optional<Record>> RingReader::next() {
  // Judged by our own positions: what others can write is looked at once, and copied before it is checked.
  RingPosition tail = aligned(cursors_->tail.load(std::memory_order_acquire));
  if (tail == skipped_tail_) return std::optional<Record>{};  // told already
  if (tail < scan_ || tail - head_ > bytes_) return skip_all("cursors that cannot be");
  while (scan_ != tail) {
    std::uint64_t available = tail - scan_;
    std::uint64_t at = scan_ % bytes_;
    std::uint64_t room = bytes_ - at;
    RecordHeader header;
    if (room >= kHeader) std::memcpy(&header, data_ + at, kHeader);
    if (room < kHeader || (header.flags & kRecordPadding) != 0) {
      if (available <= room) return skip_all("padding with nothing behind it");
      scan_ += room;
      continue;
    }
    if (!plausible(header, available, room)) return skip_all("a record of impossible size");
    RingPosition end = scan_ + record_bytes(header.payload_bytes, header.handles);
    const std::byte* payload = data_ + at + kHeader;
    Record record{{payload, header.payload_bytes},
                  {reinterpret_cast<const std::uint64_t*>(payload + header.payload_bytes), header.handles},
                  end};
    scan_ = end;
    pending_.push_back({end, false, header.handles > 0});
    return std::optional<Record>{record};
  }
  return std::optional<Record>{};
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
  cursors_->head.store(head_, std::memory_order_seq_cst);
  if (cursors_->space_waiters.load(std::memory_order_seq_cst) != 0) {
    cursors_->space_waiters.store(0, std::memory_order_relaxed);
    futex_wake(cursors_->head, 1 << 20);
  }
  return handles;
}

std::vector<UnreadHandles> unread_handles(const Arena& arena, ParticipantId from, ParticipantId to) {
  std::vector<UnreadHandles> found;
  const RingCursors& cursors = arena.ring(from, to);
  if (cursors.made.load(std::memory_order_acquire) == 0) return found;
  const std::byte* data = arena.ring_data(from, to).data();
  std::uint64_t bytes = arena.geometry().ring_bytes;
  RingPosition position = aligned(cursors.head.load(std::memory_order_acquire));
  RingPosition tail = aligned(cursors.tail.load(std::memory_order_acquire));
  if (tail < position || tail - position > bytes) return found;
  while (position != tail) {
    std::uint64_t at = position % bytes;
    std::uint64_t room = bytes - at;
    RecordHeader header;
    if (room >= kHeader) std::memcpy(&header, data + at, kHeader);
    if (room < kHeader || (header.flags & kRecordPadding) != 0) {
      if (tail - position < room) return found;
      position += room;
      continue;
    }
    if (!plausible(header, tail - position, room)) return found;
    UnreadHandles record{position + record_bytes(header.payload_bytes, header.handles), {}};
    for (std::size_t i = 0; i < header.handles; ++i) {
      std::uint64_t bits;
      std::memcpy(&bits, data + at + kHeader + header.payload_bytes + i * 8, 8);
      record.handles.push_back(Handle::from_bits(bits));
    }
    position = record.end;
    if (!record.handles.empty()) found.push_back(std::move(record));
  }
  return found;
}

}  // namespace tv::shm
