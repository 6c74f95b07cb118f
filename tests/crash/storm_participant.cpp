#include "tests/crash/storm_participant.h"

#include <sched.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <deque>
#include <optional>
#include <random>
#include <unordered_set>
#include <vector>

#include "shm/doorbell.h"
#include "shm/ring.h"
#include "shm/state.h"
#include "tests/crash/fill.h"

namespace tv::test {

using namespace tv::shm;

namespace {

constexpr std::size_t kMaxTensors = 3;  // of a letter
constexpr std::size_t kMaxDrafts = 8;
// Far beyond what a producer needs to seal a draft, or the driver to clean up after it.
constexpr Nanoseconds kPatience = 2min;
const Error kNoData{Errc::kActorError, "there is no such data"};

struct StormLetter {
  Letters number;
  std::uint8_t fills[kMaxTensors];
  std::uint8_t padding[5];
};
static_assert(sizeof(StormLetter) % 8 == 0);

class Participant {
 public:
  Participant(std::shared_ptr<Arena> arena, Ledger& ledger, const StormMember& member)
      : arena_(std::move(arena)), ledger_(ledger), me_(member), random_(member.seed) {
    auto store = Store::open(arena_, me_.self);
    if (!store) give_up("attach", store.error());
    store_ = *store;
    for (ParticipantId peer = 1; peer <= me_.members; ++peer) {
      if (peer == me_.self) continue;
      for (Lane lane : kEveryLane) {
        auto writer = RingWriter::open(arena_, me_.self, peer, lane);
        if (!writer) give_up("open a ring", writer.error());
        outbox(peer, lane).writer.emplace(std::move(*writer));
        inbox(peer, lane).reader.emplace(arena_, peer, me_.self, lane);
      }
    }
    restore();
  }

  void run() {
    read_all();
    // First the load, then the work.
    bool filling = true;
    while (ledger_.stop == 0) {
      filling = filling && held_.size() < me_.objects * 3 / 4;
      filling ? create() : turn();
      ledger_.members[me_.self].turns.fetch_add(1, std::memory_order_relaxed);
      if (ledger_.rest.load(std::memory_order_relaxed) % 2 == 1) rest();
    }
  }

 private:
  struct Held {
    Tensor tensor;
    std::uint8_t fill;
  };
  struct Unsealed {
    Draft draft;
    std::uint8_t fill;
  };
  struct Awaited {
    Pending pending;
    std::uint8_t fill;
  };
  struct Outbox {
    std::optional<RingWriter> writer;
    std::deque<std::pair<RingPosition, std::vector<Hold>>> in_flight;
    std::uint32_t sent = 0;
  };
  struct Inbox {
    std::optional<RingReader> reader;
    bool first = true;  // of this life: the one before may have read it already
  };

  [[noreturn]] void give_up(const char* what, const Error& error) {
    ledger_.violation("participant %u cannot %s: %s", me_.self, what, error.message.c_str());
    ::_exit(1);
  }

  Outbox& outbox(ParticipantId peer, Lane lane) { return outboxes_[peer][static_cast<std::uint32_t>(lane)]; }
  Inbox& inbox(ParticipantId peer, Lane lane) { return inboxes_[peer][static_cast<std::uint32_t>(lane)]; }

  std::uint64_t below(std::uint64_t n) { return random_() % n; }

  void turn() {
    std::uint64_t what = below(100);
    if (what < 60 || held_.empty()) {
      create();
    } else if (what < 85) {
      send();
    } else if (what < 95) {
      read_all();
    } else if (what < 97) {
      look_at(wait_doorbell(*arena_, me_.self, Deadline::in(1ms)));
    } else if (what < 98) {
      commit_state();
      await_one();
    } else {
      // Everything at once now and then: others find much to collect.
      std::size_t drops = below(20) == 0 ? held_.size() / 2 : held_.size() / 100;
      for (std::size_t i = 0; i < drops; ++i) drop_one();
    }
    while (held_.size() > me_.objects) drop_one();
    if (drafts_.size() > below(kMaxDrafts)) finish_draft();
  }

  std::optional<Unsealed> begin_tensor() {
    std::uint64_t kind = below(1000);
    std::uint64_t bytes = kind == 0 ? (2 << 20) + below(2 << 20) : kind < 5 ? below(900'000) : below(600);
    auto draft = store_->create(bytes_of(bytes));
    if (draft) {
      auto fill = static_cast<std::uint8_t>(below(256));
      std::memset(draft->data(), fill, draft->bytes());
      return Unsealed{*std::move(draft), fill};
    }
    bool full = draft.error().code == Errc::kArenaFull || draft.error().code == Errc::kLimit;
    if (!full) give_up("create a tensor", draft.error());
    for (std::size_t n = held_.size() / 2; n > 0; --n) drop_one();
    return std::nullopt;
  }

  // Sealed, failed, or given up.
  void finish(Unsealed unsealed) {
    std::uint64_t how = below(20);
    if (how > 1) held_.push_back({std::move(unsealed.draft).seal(), unsealed.fill});
    if (how == 1) std::move(unsealed.draft).fail(kNoData);
  }

  void create() {
    if (auto unsealed = begin_tensor()) finish(*std::move(unsealed));
  }

  void finish_draft() {
    Unsealed unsealed = std::move(drafts_.front());
    drafts_.pop_front();
    finish(std::move(unsealed));
  }

  // Waits for a tensor that another has yet to seal. Who waits leaves nobody waiting.
  void await_one() {
    while (!drafts_.empty()) finish_draft();
    if (awaited_.empty()) return;
    take(awaited_.front(), Deadline::in(kPatience));
    awaited_.pop_front();
  }

  void take(const Awaited& awaited, Deadline deadline) {
    auto tensor = awaited.pending.wait(deadline);
    if (!tensor) {
      const std::string& why = tensor.error().message;
      bool known = why.find(kNoData.message) != std::string::npos || why.find("gave up") != std::string::npos ||
                   why.find("died: killed by the storm") != std::string::npos;
      if (!known) ledger_.violation("a tensor that participant %u awaits: %s", me_.self, why.c_str());
    } else if (!has_fill(*tensor, awaited.fill)) {
      ledger_.violation("a tensor that participant %u was sent has other bytes", me_.self);
    } else if (below(3) == 0) {
      held_.push_back({*tensor, awaited.fill});
    }
  }

  void drop_one() {
    std::size_t i = below(held_.size());
    if (!has_fill(held_[i].tensor, held_[i].fill)) ledger_.violation("the bytes of a tensor that participant %u holds changed", me_.self);
    std::swap(held_[i], held_.back());
    held_.pop_back();
  }

  void send() {
    ParticipantId to = 1 + below(me_.members);
    if (to == me_.self) return;
    Lane lane = below(10) == 0 ? Lane::kPriority : Lane::kMail;
    Outbox& outbox = this->outbox(to, lane);
    settle(outbox);
    StormLetter letter{{me_.life, outbox.sent}, {}, {}};
    std::vector<Hold> holds;
    std::vector<Handle> handles;
    auto add = [&](const Hold& hold, std::uint8_t fill) {
      letter.fills[holds.size()] = fill;
      handles.push_back(hold.handle());
      holds.push_back(hold);
    };
    // Some are sealed only when they are on their way.
    if (below(8) == 0 && drafts_.size() < kMaxDrafts) {
      if (auto unsealed = begin_tensor()) {
        add(unsealed->draft.pending().hold(), unsealed->fill);
        drafts_.push_back(*std::move(unsealed));
      }
    }
    for (std::size_t n = 1 + below(kMaxTensors); holds.size() < n && !held_.empty();) {
      const Held& held = held_[below(held_.size())];
      add(held.tensor.hold(), held.fill);
    }
    auto room = outbox.writer->reserve(sizeof letter, handles.size(), Deadline::in(Nanoseconds{below(2) * 200'000}));
    if (!room) return;
    std::memcpy(room->data(), &letter, sizeof letter);
    auto place = outbox.writer->commit(sizeof letter, handles);
    auto& noted = ledger_.ring(me_.self, to, lane);
    noted.sent[me_.life].store(++outbox.sent);
    if (lane == Lane::kPriority) arena_->participant(to).urgent.fetch_or(bit(me_.self), std::memory_order_seq_cst);
    ring_doorbell(*arena_, to, me_.self);
    outbox.in_flight.emplace_back(place.end, std::move(holds));
    if (below(16) == 0 && outbox.writer->withdraw(place) == Withdrawal::kWithdrawn) noted.withdrawn.store({me_.life, outbox.sent});
  }

  void settle(Outbox& outbox) {
    while (!outbox.in_flight.empty() && outbox.in_flight.front().first <= outbox.writer->read_position()) outbox.in_flight.pop_front();
  }

  void look_at(std::uint64_t bits) {
    for (Lane lane : {Lane::kPriority, Lane::kMail})
      for (ParticipantId from = 1; from <= me_.members; ++from)
        if ((bits & (bit(from) | bit(kSupervisor))) != 0) read_from(from, lane);
  }

  void read_all() { look_at(~std::uint64_t{0}); }

  void read_from(ParticipantId from, Lane lane) {
    Inbox& inbox = this->inbox(from, lane);
    if (!inbox.reader) return;
    for (;;) {
      auto record = inbox.reader->next();
      if (!record) return ledger_.violation("the ring from %u to %u: %s", from, me_.self, record.error().message.c_str());
      if (!*record) return;
      read_letter(from, lane, **record);
      inbox.first = false;
      // As a client does that must answer its sender: it wakes when tensors have been passed.
      if (inbox.reader->done((*record)->end)) ring_doorbell(*arena_, from, me_.self);
      ledger_.messages.fetch_add(1, std::memory_order_relaxed);
    }
  }

  void read_letter(ParticipantId from, Lane lane, const Record& record) {
    StormLetter letter;
    if (record.payload.size() != sizeof letter) return ledger_.violation("a letter from %u to %u of another size", from, me_.self);
    std::memcpy(&letter, record.payload.data(), sizeof letter);
    check_number(from, lane, letter.number);
    if (!inbox(from, lane).reader->begin(record)) return;
    Letters withdrawn = ledger_.ring(from, me_.self, lane).withdrawn.load();
    if (withdrawn.life == letter.number.life && withdrawn.count == letter.number.count + 1)
      ledger_.violation("letter %u.%u from %u to %u is handled, although withdrawn", letter.number.life, letter.number.count, from,
                        me_.self);
    for (std::size_t i = 0; i < record.handles.size() && i < kMaxTensors; ++i) {
      auto pending = store_->pending(Handle::from_bits(record.handles[i]));
      if (!pending) {
        ledger_.violation("a tensor from %u to %u: %s", from, me_.self, pending.error().message.c_str());
      } else if (pending->ready()) {
        take({*pending, letter.fills[i]}, Deadline{0});
      } else {
        awaited_.push_back({*std::move(pending), letter.fills[i]});
      }
    }
  }

  // Letters come in order, none is missing, and only what a predecessor had read may come again.
  void check_number(ParticipantId from, Lane lane, Letters number) {
    auto& noted = ledger_.ring(from, me_.self, lane);
    Letters last = noted.read.load();
    bool again = inbox(from, lane).first && number.life == last.life && number.count + 1 == last.count;
    bool next = number.life == last.life && number.count == last.count;
    if (number.life > last.life && number.count == 0) {
      next = last.count >= noted.sent[last.life].load();
      for (std::uint32_t life = last.life + 1; life < number.life; ++life) next &= noted.sent[life].load() == 0;
    }
    bool forgiven = !again && !next && noted.forgive.exchange(0) != 0;
    if (!again && !next && !forgiven)
      ledger_.violation("letter %u.%u from %u to %u came after %u.%u", number.life, number.count, from, me_.self, last.life, last.count);
    if (!again) noted.read.store({number.life, number.count + 1});
  }

  void restore() {
    if (me_.actor == kNoActor) return;
    if (Handle handle = committed(*arena_, me_.actor)) {
      auto manifest = store_->get(handle);
      if (!manifest) give_up("get the last commit", manifest.error());
      auto state = open_manifest(*store_, *manifest);
      if (!state) give_up("open the last commit", state.error());
      check_state(*state);
      state_ = std::move(*state);
      manifest_ = std::move(*manifest);
    }
    ledger_.members[me_.self].restored.store(me_.life);
  }

  void check_state(const State& state) {
    bool whole = state.opaque.size() == state.tensors.size() && !state.tensors.empty();
    for (std::size_t i = 0; whole && i < state.tensors.size(); ++i)
      whole = has_fill(state.tensors[i], static_cast<std::uint8_t>(state.opaque[i]));
    if (!whole) ledger_.violation("the last commit of participant %u has other bytes", me_.self);
  }

  void commit_state() {
    if (me_.actor == kNoActor || held_.empty()) return;
    State next;
    for (std::size_t n = 1 + below(3); next.tensors.size() < n;) {
      const Held& held = held_[below(held_.size())];
      next.tensors.push_back(held.tensor);
      next.opaque.push_back(static_cast<std::byte>(held.fill));
    }
    auto fresh = put_manifest(*store_, next, me_.actor);
    if (!fresh) return;
    commit(*arena_, me_.actor, fresh->handle(), 1);
    manifest_ = std::move(*fresh);
    state_ = std::move(next);
  }

  // Says what it refers to, and waits.
  void rest() {
    while (!drafts_.empty()) finish_draft();
    std::unordered_set<std::uint64_t> mine;
    for (const Awaited& awaited : awaited_) mine.insert(awaited.pending.handle().bits());
    for (const Held& held : held_) mine.insert(held.tensor.handle().bits());
    for (const auto& lanes : outboxes_)
      for (const Outbox& outbox : lanes)
        for (const auto& [end, holds] : outbox.in_flight)
          for (const Hold& hold : holds) mine.insert(hold.handle().bits());
    for (const Tensor& tensor : state_.tensors) mine.insert(tensor.handle().bits());
    if (manifest_) mine.insert(manifest_.handle().bits());
    ledger_.members[me_.self].objects.store(mine.size());
    std::uint32_t rest = ledger_.rest.load();
    if (rest % 2 == 0) return;
    ledger_.members[me_.self].resting.store(rest);
    while (ledger_.rest.load() == rest && ledger_.stop == 0) ::usleep(100);
  }

  std::shared_ptr<Arena> arena_;
  Ledger& ledger_;
  StormMember me_;
  std::mt19937_64 random_;
  std::shared_ptr<Store> store_;
  std::vector<Held> held_;
  std::deque<Unsealed> drafts_;  // whose handles others have
  std::deque<Awaited> awaited_;  // that others have yet to seal
  std::array<std::array<Outbox, kLanes>, kMaxMembers> outboxes_;
  std::array<std::array<Inbox, kLanes>, kMaxMembers> inboxes_;
  State state_;
  Tensor manifest_;
};

}  // namespace

void take_part(const std::shared_ptr<Arena>& arena, Ledger& ledger, const StormMember& member) { Participant(arena, ledger, member).run(); }

}  // namespace tv::test
