#include "ipc/ring_channel.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "ipc/room_builder.h"
#include "shm/heartbeat.h"
#include "shm/mailbox.h"

namespace tv::ipc {
namespace {

// Room that is asked for before a message's size is known. More would make small messages wait for the room of large ones.
constexpr std::uint64_t kMinGuessBytes = 512;
constexpr std::uint64_t kMaxGuessBytes = 8192;
// How long a sender that waits for room goes without looking whether its receiver still exists.
constexpr Nanoseconds kLookAgain = 100ms;

// Mail in a row, with nothing sent in between, from which on it is a stream, where a batch every few microseconds is better than each message at once.
constexpr std::uint32_t kStream = 64;
constexpr Nanoseconds kStreamGap = 20us;

constexpr Deadline kNow{0};

Error too_large(shm::Lane lane, std::uint64_t max_payload) {
  std::string of = lane == shm::Lane::kMail ? "[arena] ring" : "the lane of control messages";
  return Error{Errc::kLimit,
               "the message is larger than " + std::to_string(max_payload) + " bytes, half of " + of + "; pass large data as a tensor"};
}

std::vector<shm::Handle> handles_of(const Encoder& encoder) {
  std::vector<shm::Handle> handles;
  handles.reserve(encoder.tensors.size() + encoder.pending.size());
  for (const auto& tensor : encoder.tensors) handles.push_back(tensor.handle());
  for (const auto& pending : encoder.pending) handles.push_back(pending.handle());
  std::sort(handles.begin(), handles.end());
  handles.erase(std::unique(handles.begin(), handles.end()), handles.end());
  return handles;
}

}  // namespace

// A message on its way into a ring.
struct RingChannel::Draft {
  Encoder encoder;
  std::vector<shm::Handle> handles;
  kj::Array<capnp::word> words;  // where it was not built in the ring

  Result<void> write(RoomBuilder& builder, const Build& build, const std::shared_ptr<shm::Store>& store, shm::Lane lane,
                     std::uint64_t max_payload) {
    try {
      auto envelope = builder.initRoot<wire::Envelope>();
      envelope.setVersion(wire::ENVELOPE_VERSION);
      build(envelope, encoder);
    } catch (const RoomBuilder::TooLarge&) {
      return too_large(lane, max_payload);
    } catch (const kj::Exception& e) {
      return Error{Errc::kLimit, "the message cannot be built: " + ipc::malformed(e).message};
    }
    bool foreign = std::any_of(encoder.tensors.begin(), encoder.tensors.end(), [&](const auto& t) { return t.store() != store; }) ||
                   std::any_of(encoder.pending.begin(), encoder.pending.end(), [&](const auto& p) { return p.hold().store() != store; });
    if (foreign)
      return Error{Errc::kInvalidArgument, "a tensor of another client or arena cannot be sent from here; get it by its handle first"};
    handles = handles_of(encoder);
    if (handles.size() > limits::kMaxHandlesPerMessage)
      return Error{Errc::kLimit, "a message carries at most " + std::to_string(limits::kMaxHandlesPerMessage) + " tensors, not " +
                                     std::to_string(handles.size()) + "; send them in several messages or as one"};
    return {};
  }
};

RingChannel::RingChannel(std::shared_ptr<shm::Store> store) : store_(std::move(store)) {
  mailboxes_.push_back({store_->self(), {}});
  last_ = &mailboxes_.front();
}

RingChannel::~RingChannel() {
  settle();
  for (auto& lane : outboxes_)
    for (auto& outbox : lane)
      for (auto& message : outbox.in_flight)
        for (auto handle : handles_of(message.held))
          // A count without an owner: our bit outlives the Tensor, until the supervisor takes it over.
          store_->hold_again(handle);
}

Result<std::unique_ptr<RingChannel>> RingChannel::open(std::shared_ptr<shm::Store> store) {
  TV_ASSERT(store != nullptr);
  return std::unique_ptr<RingChannel>(new RingChannel(std::move(store)));
}

Result<void> RingChannel::check_receiver(ParticipantId to) const {
  if (to >= limits::kMaxParticipants) return Error{Errc::kUnavailable, "participant " + std::to_string(to) + " cannot exist"};
  auto kind = static_cast<shm::ParticipantKind>(store_->arena()->participant(to).kind.load(std::memory_order_acquire));
  if (kind == shm::ParticipantKind::kWorker || kind == shm::ParticipantKind::kClient) return {};
  return Error{Errc::kUnavailable, "participant " + std::to_string(to) + " takes no mail: " +
                                       (kind == shm::ParticipantKind::kNone ? "it is not attached" : "it is the supervisor")};
}

Result<void> RingChannel::open_writer(ParticipantId to, shm::Lane lane, Outbox& outbox) {
  if (outbox.writer) return {};
  outbox.writer.emplace(TV_TRY(shm::RingWriter::open(store_->arena(), store_->self(), to, lane)));
  outbox.guess_bytes = kMinGuessBytes;
  return {};
}

Result<Sent> RingChannel::send(ParticipantId to, const Build& build, Deadline deadline, shm::Lane lane) {
  TV_TRY(check_receiver(to));
  Outbox& box = outbox(to, lane);
  Draft draft;
  std::unique_lock lock(box.mutex);
  TV_TRY(open_writer(to, lane, box));
  settle_locked(to, lane, box);
  auto place = TV_TRY(send_in_place(to, lane, box, build, draft));
  if (!place) place = TV_TRY(send_copy(to, lane, box, lock, draft, deadline));
  return Sent{to, lane, *place};
}

// Nothing when the message did not fit the room that was asked for, or there was none: it stands in the draft then.
Result<std::optional<shm::RecordPlace>> RingChannel::send_in_place(ParticipantId to, shm::Lane lane, Outbox& outbox, const Build& build,
                                                                   Draft& draft) {
  std::uint64_t max_payload = outbox.writer->max_payload();
  auto room = outbox.writer->reserve(outbox.guess_bytes, 0, kNow);
  RoomBuilder builder(room ? *room : std::span<std::byte>{}, max_payload);
  TV_TRY(draft.write(builder, build, store_, lane, max_payload));
  std::uint64_t bytes = builder.bytes_in_room();
  // The handles stand behind the payload, in what is left of the room.
  if (bytes > 0 && bytes + draft.handles.size() * sizeof(std::uint64_t) <= room->size())
    return std::optional(publish(to, lane, outbox, bytes, draft));
  draft.words = builder.flatten<wire::Envelope>();
  return std::optional<shm::RecordPlace>{};
}

Result<shm::RecordPlace> RingChannel::send_copy(ParticipantId to, shm::Lane lane, Outbox& outbox, std::unique_lock<std::mutex>& lock,
                                                Draft& draft, Deadline deadline) {
  bool may_wait = !deadline.passed();
  auto bytes = draft.words.asBytes();
  for (;;) {
    auto seen = outbox.writer->read_position();
    auto room = outbox.writer->reserve(bytes.size(), draft.handles.size(), kNow);
    if (room) {
      std::memcpy(room->data(), bytes.begin(), bytes.size());
      return publish(to, lane, outbox, bytes.size(), draft);
    }
    if (room.error().code == Errc::kLimit) return too_large(lane, outbox.writer->max_payload());
    if (room.error().code != Errc::kOverloaded || !may_wait) return room.error();
    if (deadline.passed()) return Error{Errc::kDeadlineExceeded, room.error().message};
    lock.unlock();
    outbox.writer->wait_for_reader(seen, Deadline{std::min(deadline.ns, Deadline::in(kLookAgain).ns)});
    shm::beat();
    TV_TRY(check_receiver(to));
    lock.lock();
    settle_locked(to, lane, outbox);
  }
}

shm::RecordPlace RingChannel::publish(ParticipantId to, shm::Lane lane, Outbox& outbox, std::uint64_t payload_bytes, Draft& draft) {
  const shm::Arena& arena = *store_->arena();
  auto place = outbox.writer->commit(payload_bytes, draft.handles);
  if (lane == shm::Lane::kPriority) arena.participant(shm::reader_of(arena, to)).urgent.fetch_or(bit(store_->self()), std::memory_order_seq_cst);
  shm::ring_doorbell(arena, to, store_->self());
  if (!has_sent_.load(std::memory_order_relaxed)) has_sent_.store(true, std::memory_order_relaxed);
  if (!draft.handles.empty()) {
    outbox.in_flight.push_back({place.end, std::move(draft.encoder)});
    in_flight_[static_cast<std::size_t>(lane)].fetch_or(bit(to), std::memory_order_relaxed);
  }
  std::uint64_t needed = payload_bytes + draft.handles.size() * sizeof(std::uint64_t);
  outbox.guess_bytes = std::clamp(needed + needed / 8, kMinGuessBytes, std::min(kMaxGuessBytes, outbox.writer->max_payload() / 4));
  return place;
}

// The lock keeps the message's memory from being written over by another of ours meanwhile.
shm::Withdrawal RingChannel::withdraw(const Sent& message) {
  Outbox& box = outbox(message.to, message.lane);
  std::lock_guard lock(box.mutex);
  TV_ASSERT(box.writer.has_value());
  return box.writer->withdraw(message.place);
}

void RingChannel::settle_locked(ParticipantId to, shm::Lane lane, Outbox& outbox) {
  if (outbox.in_flight.empty()) return;
  auto read = outbox.writer->read_position();
  while (!outbox.in_flight.empty() && outbox.in_flight.front().end <= read) outbox.in_flight.pop_front();
  if (outbox.in_flight.empty()) in_flight_[static_cast<std::size_t>(lane)].fetch_and(~bit(to), std::memory_order_relaxed);
}

void RingChannel::settle() {
  for (auto lane : shm::kEveryLane) {
    auto waiting = in_flight_[static_cast<std::size_t>(lane)].load(std::memory_order_relaxed);
    for (ParticipantId to = 0; waiting != 0; ++to, waiting >>= 1) {
      if ((waiting & 1) == 0) continue;
      // Whoever holds the lock is sending, and settles itself.
      Outbox& box = outbox(to, lane);
      std::unique_lock lock(box.mutex, std::try_to_lock);
      if (lock) settle_locked(to, lane, box);
    }
  }
}

void RingChannel::take_up(ParticipantId mailbox) {
  TV_ASSERT(mailbox < limits::kMaxParticipants);
  if (!reads(mailbox)) mailboxes_.push_back({mailbox, {}});
}

bool RingChannel::reads(ParticipantId mailbox) const {
  return std::any_of(mailboxes_.begin(), mailboxes_.end(), [mailbox](const Mailbox& m) { return m.number == mailbox; });
}

shm::RingReader& RingChannel::reader_of(ParticipantId mailbox, ParticipantId from, shm::Lane lane) {
  auto found = std::find_if(mailboxes_.begin(), mailboxes_.end(), [mailbox](const Mailbox& m) { return m.number == mailbox; });
  TV_ASSERT(found != mailboxes_.end());
  return *inbox(*found, lane).readers[from];
}

std::optional<std::unique_ptr<Mail>> RingChannel::receive() {
  settle();
  const auto& bell = store_->arena()->participant(store_->self()).doorbell;
  for (;;) {
    if (auto mail = receive_priority()) return mail;
    if (auto mail = next_in(shm::Lane::kMail)) return mail;
    if (linger()) continue;
    if (bell.rung.load(std::memory_order_relaxed) == 0) return std::nullopt;
    look_at(shm::wait_doorbell(*store_->arena(), store_->self(), kNow));
  }
}

// While a stream comes in, its bell stays rung and so its sender needs not ring again.
bool RingChannel::linger() {
  Inbox& box = inbox(*last_, shm::Lane::kMail);
  if (!box.last || fixed_spin_.value_or(spin_.budget()) == Nanoseconds{0}) return false;
  if (has_sent_.load(std::memory_order_relaxed)) {
    has_sent_.store(false, std::memory_order_relaxed);
    box.streak = 0;
  }
  ParticipantId from = *std::exchange(box.last, std::nullopt);
  if (!box.readers[from]->linger(box.streak >= kStream)) return false;
  box.look |= bit(from);
  return true;
}

std::optional<std::unique_ptr<Mail>> RingChannel::receive_priority() {
  look_for_urgent();
  if (auto mail = next_in(shm::Lane::kPriority)) return mail;
  return std::nullopt;
}

void RingChannel::look_for_urgent() {
  auto& urgent = store_->arena()->participant(store_->self()).urgent;
  if (urgent.load(std::memory_order_relaxed) == 0) return;
  auto bits = urgent.exchange(0, std::memory_order_seq_cst);
  for (auto& mailbox : mailboxes_) inbox(mailbox, shm::Lane::kPriority).look |= bits;
}

void RingChannel::look_at(std::uint64_t bits) {
  rung_ |= bits;
  // The supervisor rings for senders that died between a message and its bell.
  if ((bits & bit(kSupervisor)) != 0) {
    bits = ~std::uint64_t{0};
    store_->make_room();  // and when somebody waits for it
  }
  for (auto& mailbox : mailboxes_)
    for (auto& inbox : mailbox.inboxes) inbox.look |= bits;
}

// Mailboxes in turn, so that none keeps the mail of another waiting.
std::unique_ptr<Mail> RingChannel::next_in(shm::Lane lane) {
  for (std::size_t i = 0; i < mailboxes_.size(); ++i) {
    Mailbox& mailbox = mailboxes_[(turn_ + i) % mailboxes_.size()];
    auto mail = next_in(mailbox, lane);
    if (!mail) continue;
    turn_ = (turn_ + i + 1) % mailboxes_.size();
    if (lane == shm::Lane::kMail) last_ = &mailbox;
    return mail;
  }
  return nullptr;
}

std::unique_ptr<Mail> RingChannel::next_in(Mailbox& mailbox, shm::Lane lane) {
  Inbox& box = inbox(mailbox, lane);
  while (box.look != 0) {
    auto ahead = static_cast<std::uint32_t>(std::countr_zero(std::rotr(box.look, static_cast<int>(box.next))));
    ParticipantId from = (box.next + ahead) % limits::kMaxParticipants;
    if (auto mail = next_from(mailbox, from, lane)) {
      box.next = (from + 1) % limits::kMaxParticipants;
      box.last = from;
      ++box.streak;
      return mail;
    }
    box.look &= ~bit(from);
  }
  return nullptr;
}

std::unique_ptr<Mail> RingChannel::next_from(Mailbox& mailbox, ParticipantId from, shm::Lane lane) {
  auto& reader = inbox(mailbox, lane).readers[from];
  if (!reader) {
    if (store_->arena()->ring(from, mailbox.number, lane).made.load(std::memory_order_acquire) == 0) return nullptr;
    reader.emplace(store_->arena(), from, mailbox.number, lane);
  }
  for (;;) {
    auto record = reader->next();
    if (!record) {
      ++malformed_;
      shm::ring_doorbell(*store_->arena(), from, store_->self());
      return nullptr;
    }
    if (!*record) return nullptr;
    if (auto mail = make_mail(mailbox.number, from, lane, **record)) return mail;
    ++malformed_;
    finish(*reader, from, (*record)->end);
  }
}

std::unique_ptr<Mail> RingChannel::make_mail(ParticipantId mailbox, ParticipantId from, shm::Lane lane, const shm::Record& record) {
  auto mail = std::make_unique<Mail>();
  mail->mailbox_ = mailbox;
  mail->from_ = from;
  mail->lane_ = lane;
  mail->record_ = record;
  mail->segment_ = {reinterpret_cast<const capnp::word*>(record.payload.data()), record.payload.size() / sizeof(capnp::word)};
  auto version = guard([&] {
    mail->reader_.emplace(kj::arrayPtr(&mail->segment_, 1), reader_options(record.payload.size()));
    mail->envelope_ = mail->reader_->getRoot<wire::Envelope>();
    return mail->envelope_.getVersion();
  });
  if (!version || *version != wire::ENVELOPE_VERSION) return nullptr;
  return mail;
}

bool RingChannel::has_received(ParticipantId mailbox, ParticipantId from, shm::Lane lane, shm::RingPosition end) const {
  auto found = std::find_if(mailboxes_.begin(), mailboxes_.end(), [mailbox](const Mailbox& m) { return m.number == mailbox; });
  TV_ASSERT(found != mailboxes_.end());
  const auto& reader = found->inboxes[static_cast<std::size_t>(lane)].readers[from];
  return reader ? reader->position() >= end : store_->arena()->ring(from, mailbox, lane).head.load(std::memory_order_relaxed) >= end;
}

void RingChannel::done(std::unique_ptr<Mail> mail) {
  auto& reader = reader_of(*mail);
  ParticipantId from = mail->from_;
  auto end = mail->end();
  mail.reset();  // before the sender may write where it lies
  finish(reader, from, end);
}

void RingChannel::finish(shm::RingReader& reader, ParticipantId from, shm::RingPosition end) {
  if (reader.done(end)) shm::ring_doorbell(*store_->arena(), from, store_->self());
}

std::uint64_t RingChannel::wait(Deadline deadline) {
  settle();
  if (rung_ == 0) {
    auto began = monotonic_ns();
    auto left = Nanoseconds{std::max<std::int64_t>(deadline.ns - began, 0)};
    auto rung = shm::wait_doorbell(*store_->arena(), store_->self(), deadline, std::min(fixed_spin_.value_or(spin_.budget()), left));
    Nanoseconds waited{monotonic_ns() - began};
    spin_.waited(waited, rung != 0);
    if (waited > kStreamGap) inbox(*last_, shm::Lane::kMail).streak = 0;
    look_at(rung);
  }
  return std::exchange(rung_, 0);
}

void RingChannel::wake() { shm::ring_doorbell(*store_->arena(), store_->self(), store_->self()); }

}  // namespace tv::ipc
