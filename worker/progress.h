// Progress: what an effectively_once actor commits besides its state: which mail is in the state, and answers that may be asked for again.
//
// Pure book-keeping, for one thread; what it must know of the arena's rings it asks of RingCursorView. Bounded by limits::kMaxKeptAnswers and
// kMaxKeptAnswerBytes through full(), which callers heed before they run a method. worker/README.md says why each rule is as it is.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "config/result.h"
#include "ipc/call_identity.h"
#include "shm/store.h"

namespace tv::worker {

// An answer, or the fact that there was none to give.
struct GivenAnswer {
  ipc::MessagePlace place;                // the request
  std::optional<ipc::CallIdentity> call;  // by which it may be asked for again under another place
  std::uint64_t request_hash = 0;         // of method and arguments, with `call`
  bool one_way = false;
  std::vector<std::byte> envelope;  // framed wire::Envelope: a reply or a failure; empty with one_way
  std::vector<shm::Hold> tensors;   // in it; may be unsealed
};

// The cursors of the arena's rings.
class RingCursorView {
 public:
  virtual ~RingCursorView() = default;
  virtual shm::RingPosition head(ParticipantId from, ParticipantId to, shm::Lane lane) const = 0;
  virtual shm::RingPosition tail(ParticipantId from, ParticipantId to, shm::Lane lane) const = 0;
  // Every process that reads that mailbox or has read it, by bits: any of them may have sent copies of a call of its actors.
  virtual std::uint64_t readers(ParticipantId mailbox) const { return bit(mailbox); }
};

class Progress {
 public:
  // Whose mail it is, and in which arena: see ipc/progress.capnp.
  struct Home {
    std::int64_t arena = 0;
    ParticipantId receiver = 0;
    bool operator==(const Home&) const = default;
  };

  explicit Progress(Home home) : home_(home) {}
  const Home& home() const { return home_; }

  // The message has been dealt with, and will be part of the next commit. REQUIRES: its actor's mail is noted in the order of each ring.
  std::shared_ptr<const GivenAnswer> note(GivenAnswer answer);
  // The message has been dealt with: by this process, or by one whose commit this was read from.
  bool includes(const ipc::MessagePlace& place) const;
  // What it was answered with, if that is still kept; null otherwise.
  std::shared_ptr<const GivenAnswer> answer_to(const ipc::MessagePlace& place) const;
  std::shared_ptr<const GivenAnswer> answer_to(const ipc::CallIdentity& call) const;
  // The message is being handled, and its method has started so many requests; what is committed now is a state in the middle of it.
  void note_calls(const ipc::MessagePlace& place, std::uint32_t calls) { handling_ = {place, calls}; }
  // How many when that was committed; 0 for a message that begins at its beginning.
  std::uint32_t calls_made(const ipc::MessagePlace& place) const { return handling_ && handling_->first == place ? handling_->second : 0; }
  // Everything noted so far is in the arena.
  void committed() {
    uncommitted_.clear();
    uncommitted_bytes_ = 0;
  }
  bool is_committed(const GivenAnswer& answer) const { return !uncommitted_.contains(answer.place); }
  // Answers of messages since the last commit.
  std::size_t uncommitted_bytes() const { return uncommitted_bytes_; }

  // Forgets what nobody can ask for any more. Before each commit.
  void prune(const RingCursorView& rings);
  // No room for the answer of one more call that may be repeated.
  bool full() const;
  std::size_t kept() const { return by_place_.size(); }
  std::size_t kept_bytes() const { return bytes_; }

  struct Written {
    std::vector<std::byte> bytes;
    std::vector<shm::Hold> kept;  // shm::State::kept
  };
  Written write() const;
  // kCorrupt for what write() has not written, or `kept` of another. nullopt: of another home; it means nothing here.
  static Result<std::optional<Progress>> read(Home home, std::span<const std::byte> bytes, std::vector<shm::Hold> kept);

 private:
  struct Entry {
    std::shared_ptr<const GivenAnswer> answer;
    // Once the call's source has dealt with its message: how far those that have hosted it had sent to us then. Copies of the call lie before.
    struct SentUntil {
      ParticipantId from;
      shm::Lane lane;
      shm::RingPosition end;
    };
    std::optional<std::vector<SentUntil>> sent_until;
  };
  using ByPlace = std::map<ipc::MessagePlace, Entry>;
  bool is_needed(Entry& entry, const RingCursorView& rings) const;
  bool may_be_repeated(Entry& entry, const RingCursorView& rings) const;
  void insert(std::shared_ptr<const GivenAnswer> answer);

  Home home_;
  std::map<std::pair<ParticipantId, shm::Lane>, shm::RingPosition> positions_;
  ByPlace by_place_;
  std::map<ipc::CallIdentity, std::shared_ptr<const GivenAnswer>> by_call_;
  std::set<ipc::MessagePlace> uncommitted_;
  std::optional<std::pair<ipc::MessagePlace, std::uint32_t>> handling_;
  std::size_t uncommitted_bytes_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace tv::worker
