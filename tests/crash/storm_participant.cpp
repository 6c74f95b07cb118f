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
      auto writer = RingWriter::open(arena_, me_.self, peer);
      if (!writer) give_up("open a ring", writer.error());
      outboxes_[peer].writer.emplace(std::move(*writer));
      inboxes_[peer].reader.emplace(arena_, peer, me_.self);
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
  struct Outbox {
    std::optional<RingWriter> writer;
    std::deque<std::pair<RingPosition, std::vector<Tensor>>> in_flight;
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
    } else {
      // Everything at once now and then: others find much to collect.
      std::size_t drops = below(20) == 0 ? held_.size() / 2 : held_.size() / 100;
      for (std::size_t i = 0; i < drops; ++i) drop_one();
    }
    while (held_.size() > me_.objects) drop_one();
  }

  void create() {
    std::uint64_t kind = below(1000);
    std::uint64_t bytes = kind == 0 ? (2 << 20) + below(2 << 20) : kind < 5 ? below(900'000) : below(600);
    auto draft = store_->create(bytes_of(bytes));
    if (!draft) {
      bool full = draft.error().code == Errc::kArenaFull || draft.error().code == Errc::kLimit;
      if (!full) give_up("create a tensor", draft.error());
      for (std::size_t n = held_.size() / 2; n > 0; --n) drop_one();
      return;
    }
    if (kind < 10) return;  // given up unsealed
    auto fill = static_cast<std::uint8_t>(below(256));
    std::memset(draft->data(), fill, draft->bytes());
    held_.push_back({std::move(*draft).seal(), fill});
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
    Outbox& outbox = outboxes_[to];
    settle(outbox);
    StormLetter letter{{me_.life, outbox.sent}, {}, {}};
    std::vector<Tensor> tensors;
    std::vector<Handle> handles;
    for (std::size_t n = 1 + below(kMaxTensors); tensors.size() < n;) {
      const Held& held = held_[below(held_.size())];
      letter.fills[tensors.size()] = held.fill;
      handles.push_back(held.tensor.handle());
      tensors.push_back(held.tensor);
    }
    auto room = outbox.writer->reserve(sizeof letter, handles.size(), Deadline::in(Nanoseconds{below(2) * 200'000}));
    if (!room) return;
    std::memcpy(room->data(), &letter, sizeof letter);
    auto place = outbox.writer->commit(sizeof letter, handles);
    ledger_.sent[me_.self][to][me_.life].store(++outbox.sent);
    ring_doorbell(*arena_, to, me_.self);
    outbox.in_flight.emplace_back(place.end, std::move(tensors));
  }

  void settle(Outbox& outbox) {
    while (!outbox.in_flight.empty() && outbox.in_flight.front().first <= outbox.writer->read_position()) outbox.in_flight.pop_front();
  }

  void look_at(std::uint64_t bits) {
    for (ParticipantId from = 1; from <= me_.members; ++from)
      if ((bits & (bit(from) | bit(kSupervisor))) != 0) read_from(from);
  }

  void read_all() { look_at(~std::uint64_t{0}); }

  void read_from(ParticipantId from) {
    Inbox& inbox = inboxes_[from];
    if (!inbox.reader) return;
    for (;;) {
      auto record = inbox.reader->next();
      if (!record) return ledger_.violation("the ring from %u to %u: %s", from, me_.self, record.error().message.c_str());
      if (!*record) return;
      read_letter(from, **record);
      inbox.first = false;
      // As a client does that must answer its sender: it wakes when tensors have been passed.
      if (inbox.reader->done((*record)->end)) ring_doorbell(*arena_, from, me_.self);
      ledger_.messages.fetch_add(1, std::memory_order_relaxed);
    }
  }

  void read_letter(ParticipantId from, const Record& record) {
    StormLetter letter;
    if (record.payload.size() != sizeof letter) return ledger_.violation("a letter from %u to %u of another size", from, me_.self);
    std::memcpy(&letter, record.payload.data(), sizeof letter);
    check_number(from, letter.number);
    for (std::size_t i = 0; i < record.handles.size() && i < kMaxTensors; ++i) {
      auto tensor = store_->get(Handle::from_bits(record.handles[i]));
      if (!tensor) {
        ledger_.violation("a tensor from %u to %u: %s", from, me_.self, tensor.error().message.c_str());
      } else if (!has_fill(*tensor, letter.fills[i])) {
        ledger_.violation("a tensor from %u to %u has other bytes", from, me_.self);
      } else if (below(3) == 0) {
        held_.push_back({*tensor, letter.fills[i]});
      }
    }
  }

  // Letters come in order, none is missing, and only what a predecessor had read may come again.
  void check_number(ParticipantId from, Letters number) {
    Letters last = ledger_.read[from][me_.self].load();
    bool again = inboxes_[from].first && number.life == last.life && number.count + 1 == last.count;
    bool next = number.life == last.life && number.count == last.count;
    if (number.life > last.life && number.count == 0) {
      next = last.count >= ledger_.sent[from][me_.self][last.life].load();
      for (std::uint32_t life = last.life + 1; life < number.life; ++life) next &= ledger_.sent[from][me_.self][life].load() == 0;
    }
    bool forgiven = !again && !next && ledger_.forgive[from][me_.self].exchange(0) != 0;
    if (!again && !next && !forgiven)
      ledger_.violation("letter %u.%u from %u to %u came after %u.%u", number.life, number.count, from, me_.self, last.life, last.count);
    if (!again) ledger_.read[from][me_.self].store({number.life, number.count + 1});
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
    std::unordered_set<std::uint64_t> mine;
    for (const Held& held : held_) mine.insert(held.tensor.handle().bits());
    for (const Outbox& outbox : outboxes_)
      for (const auto& [end, tensors] : outbox.in_flight)
        for (const Tensor& tensor : tensors) mine.insert(tensor.handle().bits());
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
  std::array<Outbox, kMaxMembers> outboxes_;
  std::array<Inbox, kMaxMembers> inboxes_;
  State state_;
  Tensor manifest_;
};

}  // namespace

void take_part(const std::shared_ptr<Arena>& arena, Ledger& ledger, const StormMember& member) { Participant(arena, ledger, member).run(); }

}  // namespace tv::test
