#include "shm/fsck.h"

#include <sched.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <unordered_map>

#include "shm/allocator.h"
#include "shm/ring.h"

namespace tv::shm {
namespace {

constexpr std::size_t kMaxProblems = 100;
// Looks at what seems wrong before it is called wrong; each yields, so that a participant in the middle of something gets on.
constexpr int kLooks = 50;

using Problems = std::set<std::string>;

std::string slot_name(std::uint32_t index, std::uint64_t tag) { return "object " + to_string(Handle::make(index, tag_generation(tag))); }

bool attached(const Arena& arena, ParticipantId id) { return arena.participant(id).kind.load(std::memory_order_acquire) != 0; }

bool marked_freed(const Arena& arena, std::uint32_t index) {
  std::uint32_t i = index % limits::kSlotsPerChunk;
  return (arena.chunk(index / limits::kSlotsPerChunk).freed[i / 64].load(std::memory_order_acquire) >> (i % 64) & 1) != 0;
}

class Checker {
 public:
  explicit Checker(const Arena& arena) : arena_(arena), cells_(arena.geometry().blocks) {}

  Problems run(FsckReport& report) {
    for (std::uint32_t c = 0; c < arena_.geometry().chunks; ++c) chunk(c, report);
    for (std::uint32_t b = 0; b < arena_.geometry().blocks; ++b) block(b, report);
    for (ParticipantId from = 0; from < limits::kMaxParticipants; ++from)
      for (ParticipantId to = 0; to < limits::kMaxParticipants; ++to) ring(from, to, report);
    return std::move(problems_);
  }

 private:
  void problem(std::string text) { problems_.insert(std::move(text)); }

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
    if (found->word.owner_plus_1 != owner) problem(name + " lies in a block of another owner than its slot's");
    bool large = found->word.kind == BlockKind::kLargeHead;
    std::uint64_t expected = large ? found->word.count * limits::kBlockBytes : size_class_bytes(found->word.size_class);
    if (entry.footprint != expected) problem(name + " says that it takes " + std::to_string(entry.footprint) + " bytes, its place has " +
                                             std::to_string(expected));
    if (!cells_[found->block].insert(found->cell).second) problem(name + " shares its place with another object");
  }

  void block(std::uint32_t b, FsckReport& report) {
    BlockWord word = arena_.block_word(b).load(std::memory_order_acquire);
    if (word == BlockWord{}) return;
    ++report.blocks;
    std::string name = "block " + std::to_string(b);
    if (word.owner_plus_1 == 0 || word.owner_plus_1 > limits::kMaxParticipants || word.kind > BlockKind::kLargeRest)
      return problem(name + " has an impossible word");
    ParticipantId owner = word.owner_plus_1 - 1;
    if (!attached(arena_, owner)) problem(name + " belongs to participant " + std::to_string(owner) + ", which is not attached");
    if (word.kind == BlockKind::kLargeRest) {
      if (b >= rest_until_) problem(name + " belongs to a run that has no head");
      return;
    }
    if (word.kind == BlockKind::kLeased) problem(name + " is leased and not used");
    if (word.kind == BlockKind::kLargeHead) rest_until_ = b + word.count;
    bool empty = cells_[b].empty();
    if (empty && (word.kind == BlockKind::kLargeHead || owner == kSupervisor)) problem(name + " holds no object and is not given back");
  }

  void ring(ParticipantId from, ParticipantId to, FsckReport& report) {
    const RingCursors& cursors = arena_.ring(from, to);
    if (cursors.made.load(std::memory_order_acquire) == 0) return;
    ++report.rings;
    std::uint64_t head = cursors.head.load(std::memory_order_acquire);
    std::uint64_t tail = cursors.tail.load(std::memory_order_acquire);
    if (tail < head || tail - head > arena_.geometry().ring_bytes)
      return problem("the ring from " + std::to_string(from) + " to " + std::to_string(to) + " has cursors that cannot be");
    report.unread_bytes += tail - head;
  }

  const Arena& arena_;
  Problems problems_;
  std::vector<std::set<std::uint32_t>> cells_;  // taken, by block
  std::uint32_t rest_until_ = 0;
};

template <class Visit>
void for_each_object(const Arena& arena, Visit visit) {
  for (std::uint32_t c = 0; c < arena.geometry().chunks; ++c) {
    if (arena.chunk(c).owner.load(std::memory_order_acquire) == 0) continue;
    for (std::uint32_t i = 0; i < limits::kSlotsPerChunk; ++i) {
      std::uint32_t index = c * limits::kSlotsPerChunk + i;
      const ObjectSlot& slot = arena.slot(index);
      std::uint64_t tag = slot.tag.load(std::memory_order_acquire);
      std::uint64_t holders = slot.holders.load(std::memory_order_acquire);
      if (tag_state(tag) != SlotState::kFree && holders != 0) visit(index, slot, tag, holders);
    }
  }
}

}  // namespace

FsckReport fsck(const Arena& arena) {
  Problems wrong;
  FsckReport report;
  for (int look = 0; look < kLooks; ++look) {
    report = FsckReport{};
    Problems seen = Checker(arena).run(report);
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

ArenaStats stats(const Arena& arena) {
  ArenaStats s;
  const Geometry& g = arena.geometry();
  s.blocks = g.blocks;
  s.size_bytes = g.blocks * limits::kBlockBytes;
  s.max_objects = g.slots();
  s.ring_bytes = g.ring_bytes;
  s.backed_bytes = arena.backed_bytes();
  for (std::uint32_t b = 0; b < g.blocks; ++b)
    if (arena.block_word(b).load(std::memory_order_relaxed).owner_plus_1 != 0) ++s.blocks_leased;
  for (ParticipantId from = 0; from < limits::kMaxParticipants; ++from)
    for (ParticipantId to = 0; to < limits::kMaxParticipants; ++to)
      if (arena.ring(from, to).made.load(std::memory_order_relaxed) != 0) ++s.rings;
  for_each_object(arena, [&](std::uint32_t, const ObjectSlot& slot, std::uint64_t, std::uint64_t) {
    ++s.objects;
    s.object_bytes += slot.payload_bytes;
  });
  return s;
}

std::vector<ObjectInfo> list_objects(const Arena& arena, std::size_t limit) {
  std::vector<ObjectInfo> all;
  for_each_object(arena, [&](std::uint32_t index, const ObjectSlot& slot, std::uint64_t tag, std::uint64_t holders) {
    if (all.size() >= limit) return;
    ObjectInfo info;
    info.handle = Handle::make(index, tag_generation(tag));
    info.bytes = slot.payload_bytes;
    info.holders = holders;
    info.creator = slot.creator;
    info.creator_actor = slot.creator_actor;
    info.created_ns = slot.created_ns;
    info.sealed = tag_state(tag) == SlotState::kSealed;
    auto place = place_of(arena, slot);
    if (place) {
      TensorHeader header;
      std::memcpy(&header, arena.base() + slot.offset, sizeof header);
      auto dtype = dtype_from_number(header.dtype);
      if (header.magic == kTensorMagic && dtype && header.dims <= limits::kMaxDims) {
        info.spec.dtype = *dtype;
        info.spec.dims = header.dims;
        std::copy(std::begin(header.shape), std::end(header.shape), info.spec.shape.begin());
        std::copy(std::begin(header.strides), std::end(header.strides), info.spec.strides.begin());
      }
    }
    all.push_back(info);
  });
  return all;
}

std::vector<ParticipantUse> use_by_participant(const Arena& arena) {
  std::vector<ParticipantUse> use(limits::kMaxParticipants);
  for_each_object(arena, [&](std::uint32_t, const ObjectSlot&, std::uint64_t, std::uint64_t holders) {
    for (ParticipantId p = 0; p < limits::kMaxParticipants; ++p)
      if ((holders & bit(p)) != 0) ++use[p].objects_held;
  });
  for (std::uint32_t b = 0; b < arena.geometry().blocks; ++b) {
    auto owner = arena.block_word(b).load(std::memory_order_relaxed).owner_plus_1;
    if (owner > 0 && owner <= limits::kMaxParticipants) ++use[owner - 1].blocks_leased;
  }
  for (ParticipantId to = 0; to < limits::kMaxParticipants; ++to)
    for (ParticipantId from = 0; from < limits::kMaxParticipants; ++from) {
      const RingCursors& ring = arena.ring(from, to);
      if (ring.made.load(std::memory_order_acquire) == 0) continue;
      std::uint64_t head = ring.head.load(std::memory_order_acquire);
      use[to].unread_bytes += ring.tail.load(std::memory_order_acquire) - head;
    }
  return use;
}

}  // namespace tv::shm
