#include "ipc/ring_channel.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "ipc/room_builder.h"

namespace tv::ipc {
namespace {

// Room that is asked for before a message's size is known. More would make small messages wait for the room of large ones.
constexpr std::uint64_t kMinGuessBytes = 512;
constexpr std::uint64_t kMaxGuessBytes = 8192;
// How long a sender that waits for room goes without looking whether its receiver still exists.
constexpr Nanoseconds kLookAgain = 100ms;

constexpr Deadline kNow{0};

Error too_large(std::uint64_t max_payload) {
  return Error{Errc::kLimit,
               "the message is larger than " + std::to_string(max_payload) + " bytes, half of [arena] ring; pass large data as a tensor"};
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

  Result<void> write(RoomBuilder& builder, const Build& build, const std::shared_ptr<shm::Store>& store, std::uint64_t max_payload) {
    try {
      auto envelope = builder.initRoot<wire::Envelope>();
      envelope.setVersion(wire::ENVELOPE_VERSION);
      build(envelope, encoder);
    } catch (const RoomBuilder::TooLarge&) {
      return too_large(max_payload);
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

RingChannel::RingChannel(std::shared_ptr<shm::Store> store) : store_(std::move(store)) {}

RingChannel::~RingChannel() {
  settle();
  for (auto& outbox : outboxes_)
    for (auto& message : outbox.in_flight)
      for (auto handle : handles_of(message.held))
        // A count without an owner: our bit outlives the Tensor, until the supervisor takes it over.
        TV_ASSERT(store_->hold(handle).ok());
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

Result<void> RingChannel::open_writer(ParticipantId to, Outbox& outbox) {
  if (outbox.writer) return {};
  outbox.writer.emplace(TV_TRY(shm::RingWriter::open(store_->arena(), store_->self(), to)));
  outbox.guess_bytes = kMinGuessBytes;
  return {};
}

Result<void> RingChannel::send(ParticipantId to, const Build& build, Deadline deadline) {
  TV_TRY(check_receiver(to));
  Outbox& outbox = outboxes_[to];
  Draft draft;
  std::unique_lock lock(outbox.mutex);
  TV_TRY(open_writer(to, outbox));
  settle_locked(to, outbox);
  bool sent = TV_TRY(send_in_place(to, outbox, build, draft));
  if (sent) return {};
  return send_copy(to, outbox, lock, draft, deadline);
}

// False when the message did not fit the room that was asked for, or there was none: it stands in the draft then.
Result<bool> RingChannel::send_in_place(ParticipantId to, Outbox& outbox, const Build& build, Draft& draft) {
  std::uint64_t max_payload = outbox.writer->max_payload();
  auto room = outbox.writer->reserve(outbox.guess_bytes, 0, kNow);
  RoomBuilder builder(room ? *room : std::span<std::byte>{}, max_payload);
  TV_TRY(draft.write(builder, build, store_, max_payload));
  std::uint64_t bytes = builder.bytes_in_room();
  // The handles stand behind the payload, in what is left of the room.
  if (bytes > 0 && bytes + draft.handles.size() * sizeof(std::uint64_t) <= room->size()) {
    publish(to, outbox, bytes, draft);
    return true;
  }
  draft.words = builder.flatten<wire::Envelope>();
  return false;
}

Result<void> RingChannel::send_copy(ParticipantId to, Outbox& outbox, std::unique_lock<std::mutex>& lock, Draft& draft, Deadline deadline) {
  bool may_wait = !deadline.passed();
  auto bytes = draft.words.asBytes();
  for (;;) {
    auto seen = outbox.writer->read_position();
    auto room = outbox.writer->reserve(bytes.size(), draft.handles.size(), kNow);
    if (room) {
      std::memcpy(room->data(), bytes.begin(), bytes.size());
      publish(to, outbox, bytes.size(), draft);
      return {};
    }
    if (room.error().code == Errc::kLimit) return too_large(outbox.writer->max_payload());
    if (room.error().code != Errc::kOverloaded || !may_wait) return room.error();
    if (deadline.passed()) return Error{Errc::kDeadlineExceeded, room.error().message};
    lock.unlock();
    outbox.writer->wait_for_reader(seen, Deadline{std::min(deadline.ns, Deadline::in(kLookAgain).ns)});
    TV_TRY(check_receiver(to));
    lock.lock();
    settle_locked(to, outbox);
  }
}

void RingChannel::publish(ParticipantId to, Outbox& outbox, std::uint64_t payload_bytes, Draft& draft) {
  auto end = outbox.writer->commit(payload_bytes, draft.handles);
  shm::ring_doorbell(*store_->arena(), to, store_->self());
  if (!draft.handles.empty()) {
    outbox.in_flight.push_back({end, std::move(draft.encoder)});
    in_flight_.fetch_or(bit(to), std::memory_order_relaxed);
  }
  std::uint64_t needed = payload_bytes + draft.handles.size() * sizeof(std::uint64_t);
  outbox.guess_bytes = std::clamp(needed + needed / 8, kMinGuessBytes, std::min(kMaxGuessBytes, outbox.writer->max_payload() / 4));
}

void RingChannel::settle_locked(ParticipantId to, Outbox& outbox) {
  if (outbox.in_flight.empty()) return;
  auto read = outbox.writer->read_position();
  while (!outbox.in_flight.empty() && outbox.in_flight.front().end <= read) outbox.in_flight.pop_front();
  if (outbox.in_flight.empty()) in_flight_.fetch_and(~bit(to), std::memory_order_relaxed);
}

void RingChannel::settle() {
  auto waiting = in_flight_.load(std::memory_order_relaxed);
  for (ParticipantId to = 0; waiting != 0; ++to, waiting >>= 1) {
    if ((waiting & 1) == 0) continue;
    // Whoever holds the lock is sending, and settles itself.
    std::unique_lock lock(outboxes_[to].mutex, std::try_to_lock);
    if (lock) settle_locked(to, outboxes_[to]);
  }
}

std::optional<std::unique_ptr<Mail>> RingChannel::receive() {
  settle();
  for (;;) {
    for (ParticipantId i = 0; i < limits::kMaxParticipants && look_ != 0; ++i) {
      ParticipantId from = (next_reader_ + i) % limits::kMaxParticipants;
      if ((look_ & bit(from)) == 0) continue;
      if (auto mail = next_from(from)) {
        next_reader_ = (from + 1) % limits::kMaxParticipants;
        return mail;
      }
      look_ &= ~bit(from);
    }
    const auto& bell = store_->arena()->participant(store_->self()).doorbell;
    if (bell.rung.load(std::memory_order_relaxed) == 0) return std::nullopt;
    look_at(shm::wait_doorbell(*store_->arena(), store_->self(), kNow));
  }
}

void RingChannel::look_at(std::uint64_t bits) {
  rung_ |= bits;
  // The supervisor rings for senders that died between a message and its bell.
  look_ |= (bits & bit(kSupervisor)) != 0 ? ~std::uint64_t{0} : bits;
  // And when somebody waits for room.
  if ((bits & bit(kSupervisor)) != 0) store_->make_room();
}

std::unique_ptr<Mail> RingChannel::next_from(ParticipantId from) {
  auto& reader = readers_[from];
  if (!reader) {
    if (store_->arena()->ring(from, store_->self()).made.load(std::memory_order_acquire) == 0) return nullptr;
    reader.emplace(store_->arena(), from, store_->self());
  }
  for (;;) {
    auto record = reader->next();
    if (!record) {
      ++malformed_;
      shm::ring_doorbell(*store_->arena(), from, store_->self());
      return nullptr;
    }
    if (!*record) return nullptr;
    if (auto mail = make_mail(from, **record)) return mail;
    ++malformed_;
    finish(from, (*record)->end);
  }
}

std::unique_ptr<Mail> RingChannel::make_mail(ParticipantId from, const shm::Record& record) {
  auto mail = std::make_unique<Mail>();
  mail->from_ = from;
  mail->end_ = record.end;
  mail->handles_ = record.handles;
  mail->segment_ = {reinterpret_cast<const capnp::word*>(record.payload.data()), record.payload.size() / sizeof(capnp::word)};
  auto version = guard([&] {
    mail->reader_ =
        std::make_unique<capnp::SegmentArrayMessageReader>(kj::arrayPtr(&mail->segment_, 1), reader_options(record.payload.size()));
    return mail->envelope().getVersion();
  });
  if (!version || *version != wire::ENVELOPE_VERSION) return nullptr;
  return mail;
}

void RingChannel::done(std::unique_ptr<Mail> mail) {
  ParticipantId from = mail->from_;
  auto end = mail->end_;
  mail.reset();  // before the sender may write where it lies
  finish(from, end);
}

void RingChannel::finish(ParticipantId from, shm::RingPosition end) {
  if (readers_[from]->done(end)) shm::ring_doorbell(*store_->arena(), from, store_->self());
}

std::uint64_t RingChannel::wait(Deadline deadline, Nanoseconds spin) {
  settle();
  if (rung_ == 0) look_at(shm::wait_doorbell(*store_->arena(), store_->self(), deadline, spin));
  return std::exchange(rung_, 0);
}

void RingChannel::wake() { shm::ring_doorbell(*store_->arena(), store_->self(), store_->self()); }

}  // namespace tv::ipc
