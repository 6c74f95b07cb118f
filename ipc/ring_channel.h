// RingChannel: envelopes between participants of one arena, over their rings.
//
// Built in place in the ring where they fit in one segment, read in place. Keeps every tensor of a message held until the receiver's
// cursor has passed it. Sending is thread-safe; receiving is for one thread. Take over after a crash: a new process with the same
// participant number opens a channel and finds the mail where the cursor stands.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "config/clock.h"
#include "ipc/codec.h"
#include "ipc/envelope.capnp.h"
#include "ipc/message.h"
#include "shm/doorbell.h"
#include "shm/ring.h"
#include "shm/store.h"

namespace tv::ipc {

// One received envelope, in the ring. Its version is ours; reading it must run inside guard().
class Mail {
 public:
  ParticipantId from() const { return from_; }
  wire::Envelope::Reader envelope() const { return reader_->getRoot<wire::Envelope>(); }
  // The envelope's one segment, and the handles of its tensors: for those who keep a copy longer than the mail.
  kj::ArrayPtr<const capnp::word> words() const { return segment_; }
  std::span<const std::uint64_t> handles() const { return handles_; }

 private:
  friend class RingChannel;
  ParticipantId from_ = 0;
  shm::RingPosition end_ = 0;
  kj::ArrayPtr<const capnp::word> segment_;
  std::span<const std::uint64_t> handles_;
  std::unique_ptr<capnp::SegmentArrayMessageReader> reader_;
};

class RingChannel {
 public:
  static Result<std::unique_ptr<RingChannel>> open(std::shared_ptr<shm::Store> store);
  // Tensors of messages that are still unread stay held in the arena: the supervisor keeps them when it cleans up after us.
  ~RingChannel();

  // `build` fills the envelope (version is set already) and notes tensors in the encoder. It runs once at most, and must not send itself.
  // Waits for room until the deadline, but for other senders of this process only as long as they build. Errors: kOverloaded (the deadline
  // had passed already) or kDeadlineExceeded when the receiver's ring stays full, kLimit for a message beyond half a ring or with too many
  // tensors, kUnavailable for a participant that does not exist, kInvalidArgument for a tensor of another store. Nothing has been sent
  // then.
  using Build = std::function<void(wire::Envelope::Builder, Encoder&)>;
  Result<void> send(ParticipantId to, const Build& build, Deadline deadline);

  // The next mail of any sender, senders in turn, each sender's in order; nothing if none waits. Corrupt rings and mail that is no
  // envelope of our version are skipped and counted. Mail may be there although no doorbell rang (after a take-over): receive until
  // nothing comes before the first wait().
  std::optional<std::unique_ptr<Mail>> receive();
  // The mail has been dealt with: its sender's cursor may pass.
  void done(std::unique_ptr<Mail> mail);
  // Sleeps until a doorbell rings or the deadline; the bits of those who rang.
  std::uint64_t wait(Deadline deadline, Nanoseconds spin = Nanoseconds{0});
  // Wakes our own wait(), from another thread.
  void wake();
  // Drops tensors of messages that have been read. Called by send, receive and wait; and by whoever has been idle for long.
  void settle();

  std::uint64_t malformed() const { return malformed_; }
  const std::shared_ptr<shm::Store>& store() const { return store_; }

 private:
  explicit RingChannel(std::shared_ptr<shm::Store> store);

  struct InFlight {
    shm::RingPosition end;
    Encoder held;
  };
  struct Outbox {
    std::mutex mutex;                       // guards what follows; held while a message is built, never while one waits for room
    std::optional<shm::RingWriter> writer;  // stays once it is there
    std::deque<InFlight> in_flight;
    std::uint64_t guess_bytes = 0;  // of the next message, from the last
  };
  struct Draft;

  Result<void> check_receiver(ParticipantId to) const;
  Result<void> open_writer(ParticipantId to, Outbox& outbox);
  Result<bool> send_in_place(ParticipantId to, Outbox& outbox, const Build& build, Draft& draft);
  Result<void> send_copy(ParticipantId to, Outbox& outbox, std::unique_lock<std::mutex>& lock, Draft& draft, Deadline deadline);
  void publish(ParticipantId to, Outbox& outbox, std::uint64_t payload_bytes, Draft& draft);
  void settle_locked(ParticipantId to, Outbox& outbox);

  std::unique_ptr<Mail> next_from(ParticipantId from);
  std::unique_ptr<Mail> make_mail(ParticipantId from, const shm::Record& record);
  void finish(ParticipantId from, shm::RingPosition end);
  void look_at(std::uint64_t bits);

  std::shared_ptr<shm::Store> store_;
  std::array<Outbox, limits::kMaxParticipants> outboxes_;
  std::atomic<std::uint64_t> in_flight_{0};  // bit p: outbox p holds tensors
  std::atomic<std::uint64_t> malformed_{0};

  // Of the thread that receives.
  std::array<std::optional<shm::RingReader>, limits::kMaxParticipants> readers_;
  std::uint64_t look_ = ~std::uint64_t{0};  // bit p: ring p may hold mail; a doorbell's bit sets it, an empty ring clears it
  std::uint64_t rung_ = 0;                  // bits that receive() has taken and wait() has not yet reported
  ParticipantId next_reader_ = 0;
};

}  // namespace tv::ipc
