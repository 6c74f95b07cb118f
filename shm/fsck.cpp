#include "shm/fsck.h"

#include <sched.h>

#include <algorithm>
#include <set>
#include <utility>

#include "shm/handle.h"
#include "shm/place.h"

namespace tv::shm {
namespace {

constexpr std::size_t kMaxProblems = 100;
// Of one look: some of them may be gone at the next. Bounded, for an arena full of nonsense must not fill the memory of who looks.
constexpr std::size_t kMostNoted = 1000;
// Looks at what seems wrong before it is called wrong; each yields, so that a participant in the middle of something gets on.
constexpr int kLooks = 50;

using Problems = std::set<std::string>;

std::string slot_name(std::uint32_t index, std::uint64_t tag) { return "object " + to_string(Handle::make(index, tag_generation(tag))); }

bool attached(const Arena& arena, ParticipantId id) { return arena.participant(id).kind.load(std::memory_order_acquire) != 0; }

// Marked so that its owner will find it: the slot's bit and the chunk's.
bool marked_freed(const Arena& arena, std::uint32_t index) {
  std::uint32_t i = index % limits::kSlotsPerChunk;
  std::uint32_t c = index / limits::kSlotsPerChunk;
  return (arena.chunk(c).freed[i / 64].load(std::memory_order_acquire) >> (i % 64) & 1) != 0 &&
         (arena.freed_chunks(c / 64).load(std::memory_order_acquire) >> (c % 64) & 1) != 0;
}

class Checker {
 public:
  Checker(const Arena& arena, const std::function<bool(std::uint32_t)>& at_hand)
      : arena_(arena), at_hand_(at_hand), taken_(arena.geometry().blocks) {}

  Problems run(FsckReport& report) {
    for (std::uint32_t c = 0; c < arena_.geometry().chunks; ++c) chunk(c, report);
    for (std::uint32_t b = 0; b < arena_.geometry().blocks; ++b) block(b, report);
    for (ParticipantId from = 0; from < limits::kMaxParticipants; ++from)
      for (ParticipantId to = 0; to < limits::kMaxParticipants; ++to)
        for (Lane lane : kEveryLane) ring(from, to, lane, report);
    return std::move(problems_);
  }

 private:
  void problem(std::string text) {
    if (problems_.size() < kMostNoted) problems_.insert(std::move(text));
  }

  void chunk(std::uint32_t c, FsckReport& report) {
    std::uint64_t owner = arena_.chunk(c).owner.load(std::memory_order_acquire);
    if (owner > limits::kMaxParticipants) return problem("chunk " + std::to_string(c) + " has an impossible owner");
    if (owner == 0) return;  // its slots may never have been touched: reading them would only cost memory
    if (!attached(arena_, static_cast<ParticipantId>(owner - 1)))
      problem("chunk " + std::to_string(c) + " belongs to participant " + std::to_string(owner - 1) + ", which is not attached");
    for (std::uint32_t i = 0; i < limits::kSlotsPerChunk; ++i)
      slot(c * limits::kSlotsPerChunk + i, static_cast<std::uint8_t>(owner), report);
  }

  void slot(std::uint32_t index, std::uint8_t owner, FsckReport& report) {
    const ObjectSlot& entry = arena_.slot(index);
    std::uint64_t tag = entry.tag.load(std::memory_order_acquire);
    std::uint64_t holders = entry.holders.load(std::memory_order_acquire);
    SlotState state = tag_state(tag);
    if (state == SlotState::kFree) {
      if (holders != 0) problem("slot " + std::to_string(index) + " is free and has holders");
      return;
    }
    std::string name = slot_name(index, tag);
    if (state > SlotState::kFailed) return problem(name + " is in an impossible state");
    ++report.objects;
    if (holders == 0 && !marked_freed(arena_, index)) problem(name + " is held by nobody and not freed");
    for (ParticipantId p = 0; p < limits::kMaxParticipants; ++p)
      if ((holders & bit(p)) != 0 && !attached(arena_, p))
        problem(name + " is held by participant " + std::to_string(p) + ", which is not attached");
    place(entry, name, owner);
  }

  void place(const ObjectSlot& entry, const std::string& name, std::uint8_t owner) {
    auto found = place_of(arena_, entry);
    if (!found) return problem(name + " lies where no object can lie");
    if (found->owner_plus_1 != owner) problem(name + " lies in a block of another owner than its slot's");
    if (entry.payload_bytes > entry.footprint) problem(name + " says that it is larger than its place");
    bool fresh = found->kind == BlockKind::kCells ? take_cell(*found) : take_units(*found);
    if (!fresh) problem(name + " shares its place with another object");
  }

  bool take(std::uint32_t block, std::size_t word, std::size_t words, std::uint64_t bits) {
    auto& taken = taken_[block];
    if (taken.size() < words) taken.resize(words);
    bool fresh = (taken[word] & bits) == 0;
    taken[word] |= bits;
    return fresh;
  }
  bool take_cell(const Place& place) {
    return take(place.block, place.first / 64, (cells_in_block(place.size_class) + 63) / 64, std::uint64_t{1} << (place.first % 64));
  }
  bool take_units(const Place& place) {
    bool fresh = true;
    for (std::uint32_t n = 0; n < place.blocks(); ++n) fresh &= take(place.block + n, 0, 1, place.units_in(n));
    return fresh;
  }

  void block(std::uint32_t b, FsckReport& report) {
    BlockWord word = arena_.block_word(b).load(std::memory_order_acquire);
    std::string name = "block " + std::to_string(b);
    if (word.owner_plus_1 > limits::kMaxParticipants || word.kind > BlockKind::kUnits || word.backed > 1 ||
        (word.owner_plus_1 == 0 && (word.kind != BlockKind::kNone || word.size_class != 0)))
      return problem(name + " has an impossible word");
    if (word.owner_plus_1 == 0) return;
    ++report.blocks;
    ParticipantId owner = word.owner_plus_1 - 1;
    if (!attached(arena_, owner)) problem(name + " belongs to participant " + std::to_string(owner) + ", which is not attached");
    bool empty = taken_[b].empty();
    if (word.kind == BlockKind::kNone && !empty) problem(name + " holds an object and says that it does not");
    bool moment = word.kind == BlockKind::kNone && at_hand_ && at_hand_(b);
    if (empty && owner == kSupervisor && !moment) problem(name + " is the supervisor's, holds no object and is not given back");
    // One may hold the unit that its owner freed last and keeps for its next tensor.
    if (empty && word.kind == BlockKind::kUnits && (std::exchange(spare_units_, spare_units_ | bit(owner)) & bit(owner)) != 0)
      problem(name + " holds no object and is neither kept nor given back");
  }

  void ring(ParticipantId from, ParticipantId to, Lane lane, FsckReport& report) {
    const RingCursors& cursors = arena_.ring(from, to, lane);
    if (cursors.made.load(std::memory_order_acquire) == 0) return;
    ++report.rings;
    std::uint64_t head = cursors.head.load(std::memory_order_acquire);
    std::uint64_t begun = cursors.begun.load(std::memory_order_acquire);
    std::uint64_t tail = cursors.tail.load(std::memory_order_acquire);
    const char* name = lane == Lane::kMail ? "the ring from " : "the priority ring from ";
    if (tail < head || tail - head > arena_.ring_bytes(lane) || begun > tail)
      return problem(name + std::to_string(from) + " to " + std::to_string(to) + " has cursors that cannot be");
    report.unread_bytes += tail - head;
  }

  const Arena& arena_;
  const std::function<bool(std::uint32_t)>& at_hand_;
  Problems problems_;
  std::vector<std::vector<std::uint64_t>> taken_;  // by block: a bit a cell or unit
  std::uint64_t spare_units_ = 0;                  // bit p: an empty block of units of participant p has been met
};

}  // namespace

FsckReport fsck(const Arena& arena, const std::function<bool(std::uint32_t)>& at_hand) {
  Problems wrong;
  FsckReport report;
  for (int look = 0; look < kLooks; ++look) {
    report = FsckReport{};
    Problems seen = Checker(arena, at_hand).run(report);
    if (look == 0) {
      wrong = std::move(seen);
    } else {
      std::erase_if(wrong, [&](const std::string& text) { return !seen.contains(text); });
    }
    if (wrong.empty()) break;
    ::sched_yield();
  }
  for (const std::string& text : wrong)
    if (report.problems.size() < kMaxProblems) report.problems.push_back(text);
  return report;
}

}  // namespace tv::shm
