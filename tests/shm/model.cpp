// Random operations on an arena against a plain model of what must come of them. RapidCheck makes up the sequences and shrinks the ones
// that fail; it prints the seed, and RC_PARAMS="seed=N" repeats a run.
#include <rapidcheck.h>

#include <array>
#include <deque>
#include <map>
#include <tuple>

#include "shm/recover.h"
#include "tests/support/arena_fixture.h"

using namespace tv;
using namespace tv::shm;
using test::kMiB;

namespace {

constexpr ParticipantId kFirst = 1, kLast = 3;

// What is known of an object: who refers to it, and what it must hold.
struct Known {
  SlotState state;
  std::uint64_t bytes;
  std::uint8_t value;
  std::map<ParticipantId, int> holds;
  int kept = 0;  // by mail on its way and by the supervisor for the dead

  bool alive() const { return kept > 0 || !holds.empty(); }
};

// One life of a participant: an arena mapping, a store and rings of its own, as a process has.
struct Life {
  std::shared_ptr<Arena> arena;
  std::shared_ptr<Store> store;
  std::vector<std::unique_ptr<Draft>> drafts;
  std::vector<Hold> held;
  std::map<ParticipantId, RingWriter> writers;
  std::map<ParticipantId, RingReader> readers;
  std::map<ParticipantId, std::deque<std::pair<RingPosition, Hold>>> in_flight;
};

// Those who died without a word: their counts must never be given back.
std::vector<std::unique_ptr<Life>>& graveyard() {
  static std::vector<std::unique_ptr<Life>> dead;
  return dead;
}

class World {
 public:
  World() : supervisor_(*Store::open(fixture_.arena, kSupervisor)), custody_(supervisor_) {
    for (ParticipantId p = kFirst; p <= kLast; ++p) begin(p);
  }

  void apply(std::uint8_t what, std::uint8_t who, std::uint16_t number) {
    ParticipantId p = kFirst + who % kLast;
    switch (what % 12) {
      case 0: case 1: return create(p, number);
      case 2: case 3: return seal(p, number);
      case 4: return fail(p, number);
      case 5: return get(p, number);
      case 6: return drop(p, number);
      case 7: return send(p, kFirst + number % kLast, number / kLast);
      case 8: return receive(p, kFirst + number % kLast);
      case 9: return life(p).store->collect();
      case 10: return evict(p, number);
      case 11: return number % 4 == 0 ? die(p) : settle();
    }
  }

  void check() {
    settle();
    for (ParticipantId p = kFirst; p <= kLast; ++p) life(p).store->collect();
    supervisor_->collect();
    auto report = fsck(*fixture_.arena);
    for (const auto& problem : report.problems) RC_FAIL(problem);
    std::uint64_t alive = 0, bytes = 0;
    for (const auto& [handle, known] : objects_) {
      auto found = find_object(*fixture_.arena, handle);
      RC_ASSERT(found.has_value() == known.alive());
      if (!found) continue;
      ++alive;
      bytes += known.bytes;
      RC_ASSERT(found->state == known.state);
      RC_ASSERT(found->bytes == known.bytes);
    }
    auto figures = stats(*fixture_.arena);
    RC_ASSERT(figures.objects == alive);
    RC_ASSERT(figures.object_bytes == bytes);
  }

  void end() {
    for (ParticipantId p = kFirst; p <= kLast; ++p) die(p);
    for (auto& [pair, mail] : mail_) {
      for (Handle handle : mail) --objects_[handle].kept;
      mail.clear();
    }
    for (ParticipantId p = kFirst; p <= kLast; ++p) custody_.discard_inbox(p);
    check();
    RC_ASSERT(stats(*fixture_.arena).objects == 0u);
    RC_ASSERT(stats(*fixture_.arena).blocks_leased == 0u);
  }

 private:
  Life& life(ParticipantId p) { return *lives_[p]; }

  void begin(ParticipantId p) {
    fixture_.directory->set_participant(p, ParticipantKind::kWorker, 0, ++incarnation_, "p" + std::to_string(p));
    lives_[p] = std::make_unique<Life>();
    life(p).arena = *Arena::attach(*fixture_.arena->share(Arena::Access::kWorker));
    life(p).store = *Store::open(life(p).arena, p);
    for (ParticipantId other = kFirst; other <= kLast; ++other) {
      life(p).writers.emplace(other, *RingWriter::open(life(p).arena, p, other));
      life(p).readers.emplace(other, RingReader(life(p).arena, other, p));
    }
  }

  template <class List>
  typename List::iterator any(List& list, std::uint16_t number) { return list.begin() + number % list.size(); }

  void let_go(ParticipantId p, Handle handle) {
    auto& holds = objects_[handle].holds;
    if (--holds[p] == 0) holds.erase(p);
  }

  void create(ParticipantId p, std::uint16_t number) {
    std::uint64_t bytes = (std::uint64_t{1} << number % 22) + number % 97;
    auto draft = life(p).store->create(test::bytes_spec(static_cast<std::int64_t>(bytes)));
    if (!draft) {
      RC_ASSERT(draft.error().code == Errc::kArenaFull || draft.error().code == Errc::kLimit);
      return;
    }
    auto value = static_cast<std::uint8_t>(number);
    static_cast<std::uint8_t*>(draft->data())[0] = value;
    static_cast<std::uint8_t*>(draft->data())[bytes - 1] = value;
    RC_ASSERT(!objects_.contains(draft->handle()));  // no handle ever names two objects
    objects_[draft->handle()] = {SlotState::kUnsealed, bytes, value, {{p, 1}}};
    life(p).drafts.push_back(std::make_unique<Draft>(std::move(*draft)));
  }

  void seal(ParticipantId p, std::uint16_t number) {
    auto& drafts = life(p).drafts;
    if (drafts.empty()) return;
    std::swap(*any(drafts, number), drafts.back());
    auto tensor = std::move(*drafts.back()).seal();
    drafts.pop_back();
    objects_[tensor.handle()].state = SlotState::kSealed;
    life(p).held.push_back(tensor.hold());
  }

  void fail(ParticipantId p, std::uint16_t number) {
    auto& drafts = life(p).drafts;
    if (drafts.empty()) return;
    std::swap(*any(drafts, number), drafts.back());
    Handle handle = drafts.back()->handle();
    std::move(*drafts.back()).fail(Error{Errc::kActorError, "on purpose"});
    drafts.pop_back();
    objects_[handle].state = SlotState::kFailed;
    let_go(p, handle);
  }

  // By any handle that there ever was.
  void get(ParticipantId p, std::uint16_t number) {
    if (objects_.empty()) return;
    auto& [handle, known] = *std::next(objects_.begin(), number % objects_.size());
    auto pending = life(p).store->pending(handle);
    RC_ASSERT(pending.ok() == known.alive());
    if (!pending) {
      RC_ASSERT(pending.error().code == Errc::kStaleHandle);
      return;
    }
    RC_ASSERT(pending->ready() == (known.state != SlotState::kUnsealed));
    auto tensor = pending->wait(Deadline{0});
    RC_ASSERT(tensor.ok() == (known.state == SlotState::kSealed));
    if (!tensor) return;
    const auto* data = static_cast<const std::uint8_t*>(tensor->data());
    RC_ASSERT(tensor->bytes() == known.bytes);
    RC_ASSERT(data[0] == known.value);
    RC_ASSERT(data[known.bytes - 1] == known.value);
    ++known.holds[p];
    life(p).held.push_back(tensor->hold());
  }

  void drop(ParticipantId p, std::uint16_t number) {
    auto& held = life(p).held;
    if (held.empty()) return;
    std::swap(*any(held, number), held.back());
    let_go(p, held.back().handle());
    held.pop_back();
  }

  // Sole holders only: what eviction rests on.
  void evict(ParticipantId p, std::uint16_t number) {
    auto& held = life(p).held;
    if (held.empty()) return;
    std::swap(*any(held, number), held.back());
    Handle handle = held.back().handle();
    const Known& known = objects_[handle];
    bool sole = known.kept == 0 && known.holds.size() == 1 && known.holds.at(p) == 1;
    RC_ASSERT(life(p).store->drop_if_sole(handle) == sole);
    if (!sole) return;
    held.back().release();
    held.pop_back();
    let_go(p, handle);
  }

  void send(ParticipantId from, ParticipantId to, std::uint16_t number) {
    if (life(from).held.empty()) return;
    Hold hold = *any(life(from).held, number);
    Handle handle = hold.handle();
    auto& writer = life(from).writers.at(to);
    if (!writer.reserve(8, 1, Deadline{0})) return;
    auto place = writer.commit(8, std::span(&handle, 1));
    life(from).in_flight[to].emplace_back(place.end, std::move(hold));
    mail_[{from, to}].push_back(handle);
    ++objects_[handle].kept;
  }

  void receive(ParticipantId to, ParticipantId from) {
    auto& reader = life(to).readers.at(from);
    auto record = reader.next();
    RC_ASSERT(record.ok());
    auto& mail = mail_[{from, to}];
    RC_ASSERT(record->has_value() == !mail.empty());
    if (!*record) return;
    Handle handle = Handle::from_bits((*record)->handles[0]);
    RC_ASSERT(handle == mail.front());
    auto pending = life(to).store->pending(handle);  // unsealed or failed ones travel, too
    RC_ASSERT(pending.ok());
    life(to).held.push_back(pending->hold());
    ++objects_[handle].holds[to];
    reader.done((*record)->end);
    mail.pop_front();
    settle();
    --objects_[handle].kept;
  }

  // Senders and the supervisor let go of mail that has been read.
  void settle() {
    for (ParticipantId p = kFirst; p <= kLast; ++p)
      for (auto& [to, flight] : life(p).in_flight)
        while (!flight.empty() && flight.front().first <= life(p).writers.at(to).read_position()) flight.pop_front();
    custody_.settle();
  }

  void die(ParticipantId p) {
    for (const auto& draft : life(p).drafts) objects_[draft->handle()].state = SlotState::kFailed;
    graveyard().push_back(std::move(lives_[p]));
    for (auto& [handle, known] : objects_) known.holds.erase(p);
    custody_.recover(p, {}, "of old age");
    begin(p);
  }

  test::ArenaFixture fixture_{48 * kMiB, 16 << 10, 2048};
  std::shared_ptr<Store> supervisor_;
  Custody custody_;
  Incarnation incarnation_ = 0;
  std::map<ParticipantId, std::unique_ptr<Life>> lives_;
  std::map<Handle, Known> objects_;  // all that there ever were
  std::map<std::pair<ParticipantId, ParticipantId>, std::deque<Handle>> mail_;
};

}  // namespace

TEST_CASE("whatever participants do and whoever dies, the arena does what a plain model of it does", "[shm]") {
  using Operations = std::vector<std::tuple<std::uint8_t, std::uint8_t, std::uint16_t>>;
  bool holds = rc::check("arena against model", [] {
    constexpr int kLongest = 1000;
    auto operations = *rc::gen::resize(kLongest, rc::gen::arbitrary<Operations>());
    graveyard().clear();
    World world;
    int step = 0;
    for (auto [what, who, number] : operations) {
      world.apply(what, who, number);
      if (++step % 16 == 0) world.check();
    }
    world.check();
    world.end();
  });
  CHECK(holds);
  graveyard().clear();  // in arenas that nobody uses any more
}
