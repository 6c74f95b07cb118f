// RingChannel: envelopes between participants of one arena, over their rings.
//
// Built in place in the ring where they fit in one segment, read in place. Control messages have a lane of their own, which is read first.
// Keeps every tensor of a message held until the receiver's cursor has passed it. Sending is thread-safe; receiving is for one thread. Take
// over after a crash: a new process with the same participant number opens a channel and finds the mail where the cursor stands.
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
#include "shm/spin.h"
#include "shm/store.h"

namespace tv::ipc {

// One received envelope, in the ring. Its version is ours; reading it must run inside guard().
class Mail {
 public:
  ParticipantId from() const { return from_; }
  ParticipantId mailbox() const { return mailbox_; }  // in whose rings it lies: ours, or one that we have taken up
  shm::Lane lane() const { return lane_; }
  shm::RingPosition end() const { return record_.end; }
  // Its sender does not want it any more: not to be begun, and to be given up if the method can.
  bool withdrawn() const { return record_.withdrawn(); }
  // Withdrawn, and certainly not begun by us or by a predecessor.
  bool never_begun() const { return record_.never_begun(); }
  wire::Envelope::Reader envelope() const { return envelope_; }
  // The envelope's one segment, and the handles of its tensors: for those who keep a copy longer than the mail.
  kj::ArrayPtr<const capnp::word> words() const { return segment_; }
  std::span<const std::uint64_t> handles() const { return record_.handles; }

 private:
  friend class RingChannel;
  ParticipantId from_ = 0;
  ParticipantId mailbox_ = 0;
  shm::Lane lane_ = shm::Lane::kMail;
  shm::Record record_{};
  kj::ArrayPtr<const capnp::word> segment_;
  std::optional<capnp::SegmentArrayMessageReader> reader_;
  wire::Envelope::Reader envelope_;  // of reader_
};

// A message that has been sent: names it to withdraw().
struct Sent {
  ParticipantId to = 0;
  shm::Lane lane = shm::Lane::kMail;
  shm::RecordPlace place;
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
  Result<Sent> send(ParticipantId to, const Build& build, Deadline deadline, shm::Lane lane = shm::Lane::kMail);
  // Takes a message back that may still be unread. Thread-safe; not from within a `build`. The first answer counts (shm/ring.h).
  shm::Withdrawal withdraw(const Sent& message);

  // From now on reads that mailbox as well (shm/mailbox.h): what is unread there, from where its cursors stand. By the thread that receives.
  void take_up(ParticipantId mailbox);
  bool reads(ParticipantId mailbox) const;

  // The next mail of any sender, in any mailbox: control messages first; senders in turn, each sender's in order; nothing if none waits. Corrupt rings and
  // mail that is no envelope of our version are skipped and counted. Mail may be there although no doorbell rang (after a take-over):
  // receive until nothing comes before the first wait().
  std::optional<std::unique_ptr<Mail>> receive();
  // The same of control messages only: for those who have ordinary mail at hand that was received before. Costs a look at a word of our
  // own where there is none.
  std::optional<std::unique_ptr<Mail>> receive_priority();
  // The mail is about to be handled. False: its sender has withdrawn it, and is told so; it must not be handled.
  bool begin(const Mail& mail) { return reader_of(mail).begin(mail.record_); }
  // It, or mail behind it, has been begun before, so that its sender is not told that it was withdrawn.
  bool was_begun(const Mail& mail) { return reader_of(mail).was_begun(mail.end()); }
  bool was_begun_by_predecessor(const Mail& mail) { return reader_of(mail).was_begun_by_predecessor(mail.end()); }
  // Everything that stood in this ring up to there has been received. By the thread that receives; REQUIRES that we read that mailbox.
  bool has_received(ParticipantId mailbox, ParticipantId from, shm::Lane lane, shm::RingPosition end) const;
  // The mail has been dealt with: its sender's cursor may pass.
  void done(std::unique_ptr<Mail> mail);
  // Sleeps until a doorbell rings or the deadline; the bits of those who rang. Spins before it sleeps as recent traffic suggests.
  std::uint64_t wait(Deadline deadline);
  // How long wait() looks before it sleeps, instead of what it learns. By the thread that receives.
  void fix_spin(Nanoseconds spin) { fixed_spin_ = spin; }
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

  // What we receive of one lane of one mailbox. Of the thread that receives.
  struct Inbox {
    std::array<std::optional<shm::RingReader>, limits::kMaxParticipants> readers;
    std::uint64_t look = ~std::uint64_t{0};  // bit p: ring p may hold mail; a doorbell's bit sets it, an empty ring clears it
    ParticipantId next = 0;                  // whose turn it is
    std::optional<ParticipantId> last;       // whose mail came last, until its ring was found empty
    std::uint32_t streak = 0;                // mail received since we have waited for long or sent
  };

  struct Mailbox {
    ParticipantId number;
    std::array<Inbox, shm::kLanes> inboxes;
  };

  Outbox& outbox(ParticipantId to, shm::Lane lane) { return outboxes_[static_cast<std::size_t>(lane)][to]; }
  static Inbox& inbox(Mailbox& mailbox, shm::Lane lane) { return mailbox.inboxes[static_cast<std::size_t>(lane)]; }
  shm::RingReader& reader_of(ParticipantId mailbox, ParticipantId from, shm::Lane lane);
  shm::RingReader& reader_of(const Mail& mail) { return reader_of(mail.mailbox_, mail.from_, mail.lane_); }

  Result<void> check_receiver(ParticipantId to) const;
  Result<void> open_writer(ParticipantId to, shm::Lane lane, Outbox& outbox);
  Result<std::optional<shm::RecordPlace>> send_in_place(ParticipantId to, shm::Lane lane, Outbox& outbox, const Build& build, Draft& draft);
  Result<shm::RecordPlace> send_copy(ParticipantId to, shm::Lane lane, Outbox& outbox, std::unique_lock<std::mutex>& lock, Draft& draft,
                                     Deadline deadline);
  shm::RecordPlace publish(ParticipantId to, shm::Lane lane, Outbox& outbox, std::uint64_t payload_bytes, Draft& draft);
  void settle_locked(ParticipantId to, shm::Lane lane, Outbox& outbox);

  std::unique_ptr<Mail> next_in(shm::Lane lane);
  std::unique_ptr<Mail> next_in(Mailbox& mailbox, shm::Lane lane);
  std::unique_ptr<Mail> next_from(Mailbox& mailbox, ParticipantId from, shm::Lane lane);
  static std::unique_ptr<Mail> make_mail(ParticipantId mailbox, ParticipantId from, shm::Lane lane, const shm::Record& record);
  void finish(shm::RingReader& reader, ParticipantId from, shm::RingPosition end);
  void look_at(std::uint64_t bits);
  void look_for_urgent();
  bool linger();

  std::shared_ptr<shm::Store> store_;
  std::array<std::array<Outbox, limits::kMaxParticipants>, shm::kLanes> outboxes_;
  std::array<std::atomic<std::uint64_t>, shm::kLanes> in_flight_{};  // bit p: outbox p of that lane holds tensors
  std::atomic<std::uint64_t> malformed_{0};
  std::atomic<bool> has_sent_{false};  // since the receiving thread looked last: others may wait for our answer, and we for theirs

  // Of the thread that receives.
  std::deque<Mailbox> mailboxes_;  // our own first
  std::size_t turn_ = 0;           // of the mailbox that is looked at first
  Mailbox* last_ = nullptr;        // in which ordinary mail came last
  std::uint64_t rung_ = 0;  // bits that receive() has taken and wait() has not yet reported
  std::optional<Nanoseconds> fixed_spin_;
  shm::SpinPolicy spin_ = shm::SpinPolicy::of_this_process();
};

}  // namespace tv::ipc
