#include "shm/usage.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "config/units.h"
#include "shm/object_header.h"

namespace tv::shm {
namespace {

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

void count_block(const BlockWord& word, ArenaStats& s) {
  if (word.backed != 0) ++s.blocks_backed;
  if (word.owner_plus_1 == 0) return;
  ++s.blocks_leased;
  if (word.kind == BlockKind::kNone) ++s.blocks_kept;
}

ObjectInfo describe(const Arena& arena, std::uint32_t index, std::uint64_t tag, std::uint64_t holders) {
  const ObjectSlot& slot = arena.slot(index);
  ObjectInfo info;
  info.handle = Handle::make(index, tag_generation(tag));
  info.bytes = slot.payload_bytes;
  info.footprint = slot.footprint;
  info.holders = holders;
  info.creator = slot.creator;
  info.incarnation = slot.incarnation;
  info.creator_actor = slot.creator_actor;
  info.label = read_label(arena, index);
  info.created_ns = slot.created_ns;
  info.state = tag_state(tag);
  if (auto content = read_header(arena, index)) info.spec = content->spec;
  return info;
}

constexpr std::size_t kNamed = 3;  // participants in a sentence about who has the most

std::string name_of(const Arena& arena, ParticipantId id) {
  const ParticipantSlot& slot = arena.participant(id);
  std::string name(slot.name, ::strnlen(slot.name, sizeof slot.name));
  return name.empty() ? "participant " + std::to_string(id) : name;
}

}  // namespace

ArenaStats stats(const Arena& arena) {
  ArenaStats s;
  const Geometry& g = arena.geometry();
  s.blocks = g.blocks;
  s.size_bytes = g.blocks * limits::kBlockBytes;
  s.max_objects = g.slots();
  s.ring_bytes = g.ring_bytes;
  s.backed_bytes = arena.backed_bytes();
  for (std::uint32_t b = 0; b < g.blocks; ++b) count_block(arena.block_word(b).load(std::memory_order_relaxed), s);
  for (ParticipantId from = 0; from < limits::kMaxParticipants; ++from)
    for (ParticipantId to = 0; to < limits::kMaxParticipants; ++to)
      for (Lane lane : kEveryLane)
        if (arena.ring(from, to, lane).made.load(std::memory_order_relaxed) != 0) ++s.rings;
  for_each_object(arena, [&](std::uint32_t, const ObjectSlot& slot, std::uint64_t, std::uint64_t) {
    ++s.objects;
    s.object_bytes += slot.payload_bytes;
    s.footprint_bytes += slot.footprint;
  });
  return s;
}

std::vector<ObjectInfo> list_objects(const Arena& arena, std::size_t limit) {
  std::vector<ObjectInfo> all;
  for_each_object(arena, [&](std::uint32_t index, const ObjectSlot&, std::uint64_t tag, std::uint64_t holders) {
    if (all.size() < limit) all.push_back(describe(arena, index, tag, holders));
  });
  return all;
}

void visit_objects(const Arena& arena, const std::function<void(const ObjectInfo&)>& visit) {
  for_each_object(arena, [&](std::uint32_t index, const ObjectSlot&, std::uint64_t tag, std::uint64_t holders) {
    visit(describe(arena, index, tag, holders));
  });
}

std::vector<ObjectInfo> largest_objects(const Arena& arena, std::size_t limit) {
  struct Candidate {
    std::uint64_t bytes;
    std::uint32_t index;
    std::uint64_t tag, holders;
  };
  std::vector<Candidate> heap;  // the smallest in front
  auto larger = [](const Candidate& a, const Candidate& b) { return a.bytes > b.bytes; };
  if (limit == 0) return {};
  for_each_object(arena, [&](std::uint32_t index, const ObjectSlot& slot, std::uint64_t tag, std::uint64_t holders) {
    Candidate candidate{slot.payload_bytes, index, tag, holders};
    if (heap.size() == limit) {
      if (!larger(candidate, heap.front())) return;
      std::pop_heap(heap.begin(), heap.end(), larger);
      heap.pop_back();
    }
    heap.push_back(candidate);
    std::push_heap(heap.begin(), heap.end(), larger);
  });
  std::sort_heap(heap.begin(), heap.end(), larger);
  std::vector<ObjectInfo> largest;
  for (const Candidate& c : heap) largest.push_back(describe(arena, c.index, c.tag, c.holders));
  return largest;
}

std::optional<ObjectInfo> find_object_at(const Arena& arena, std::uint64_t offset) {
  const Geometry& g = arena.geometry();
  bool header = offset >= g.headers_at && offset < g.headers_at + std::uint64_t{g.slots()} * sizeof(TensorHeader);
  std::uint64_t of_header = header ? (offset - g.headers_at) / sizeof(TensorHeader) : g.slots();
  std::optional<ObjectInfo> found;
  for_each_object(arena, [&](std::uint32_t index, const ObjectSlot& slot, std::uint64_t tag, std::uint64_t holders) {
    bool hit = header ? index == of_header : offset >= slot.offset && offset - slot.offset < slot.footprint;
    if (hit && !found) found = describe(arena, index, tag, holders);
  });
  return found;
}

std::optional<ObjectInfo> find_object(const Arena& arena, Handle handle) {
  std::uint32_t index = handle.index();
  if (!handle || index >= arena.geometry().slots()) return std::nullopt;
  if (arena.chunk(index / limits::kSlotsPerChunk).owner.load(std::memory_order_acquire) == 0) return std::nullopt;
  std::uint64_t tag = arena.slot(index).tag.load(std::memory_order_acquire);
  std::uint64_t holders = arena.slot(index).holders.load(std::memory_order_acquire);
  if (tag_state(tag) == SlotState::kFree || tag_generation(tag) != handle.generation() || holders == 0) return std::nullopt;
  return describe(arena, index, tag, holders);
}

std::vector<ParticipantUse> use_by_participant(const Arena& arena) {
  std::vector<ParticipantUse> use(limits::kMaxParticipants);
  for_each_object(arena, [&](std::uint32_t, const ObjectSlot& slot, std::uint64_t, std::uint64_t holders) {
    bool alone = (holders & (holders - 1)) == 0;
    for (std::uint64_t bits = holders; bits != 0; bits &= bits - 1) {
      ParticipantUse& of = use[static_cast<std::size_t>(std::countr_zero(bits))];
      ++of.objects_held;
      of.bytes_held += slot.payload_bytes;
      if (alone) of.bytes_held_alone += slot.payload_bytes;
    }
  });
  for (std::uint32_t b = 0; b < arena.geometry().blocks; ++b) {
    BlockWord word = arena.block_word(b).load(std::memory_order_relaxed);
    if (word.owner_plus_1 == 0 || word.owner_plus_1 > limits::kMaxParticipants) continue;
    ++use[word.owner_plus_1 - 1].blocks_leased;
    if (word.kind == BlockKind::kNone) ++use[word.owner_plus_1 - 1].blocks_kept;
  }
  for (ParticipantId to = 0; to < limits::kMaxParticipants; ++to)
    for (ParticipantId from = 0; from < limits::kMaxParticipants; ++from)
      for (Lane lane : kEveryLane) {
        const RingCursors& ring = arena.ring(from, to, lane);
        if (ring.made.load(std::memory_order_acquire) == 0) continue;
        std::uint64_t head = ring.head.load(std::memory_order_acquire);
        use[to].unread_bytes += ring.tail.load(std::memory_order_acquire) - head;
      }
  return use;
}

std::string largest_holders(const Arena& arena) {
  auto use = use_by_participant(arena);
  std::vector<ParticipantId> order;
  for (ParticipantId p = 0; p < limits::kMaxParticipants; ++p)
    if (use[p].bytes_held > 0) order.push_back(p);
  std::sort(order.begin(), order.end(), [&](ParticipantId a, ParticipantId b) { return use[a].bytes_held > use[b].bytes_held; });
  if (order.empty()) return "nobody holds a tensor";
  std::string text = "held by";
  for (std::size_t i = 0; i < order.size() && i < kNamed; ++i) {
    text += (i == 0 ? " " : ", ") + name_of(arena, order[i]) + ": " + config::format_size(use[order[i]].bytes_held);
  }
  return text;
}

std::string block_shortage(const Arena& arena, bool for_clients) {
  const Geometry& g = arena.geometry();
  std::uint32_t begin = for_clients ? g.worker_blocks() : 0, end = for_clients ? g.blocks : g.worker_blocks();
  std::uint32_t leased = 0, empty = 0;
  std::vector<std::uint32_t> blocks(limits::kMaxParticipants);
  for (std::uint32_t b = begin; b < end; ++b) {
    BlockWord word = arena.block_word(b).load(std::memory_order_relaxed);
    if (word.owner_plus_1 == 0 || word.owner_plus_1 > limits::kMaxParticipants) continue;
    ++leased;
    ++blocks[word.owner_plus_1 - 1];
    if (word.kind == BlockKind::kNone) ++empty;
  }
  std::uint64_t from = arena.block_offset(begin), to = from + std::uint64_t{end - begin} * limits::kBlockBytes, bytes = 0;
  for_each_object(arena, [&](std::uint32_t, const ObjectSlot& slot, std::uint64_t, std::uint64_t) {
    if (slot.offset >= from && slot.offset < to) bytes += slot.payload_bytes;
  });
  std::vector<ParticipantId> order;
  for (ParticipantId p = 0; p < limits::kMaxParticipants; ++p)
    if (blocks[p] > 0) order.push_back(p);
  std::stable_sort(order.begin(), order.end(), [&](ParticipantId a, ParticipantId b) { return blocks[a] > blocks[b]; });
  std::string who;
  for (std::size_t i = 0; i < order.size() && i < kNamed; ++i)
    who += (i == 0 ? "" : ", ") + name_of(arena, order[i]) + ": " + std::to_string(blocks[order[i]]);
  if (empty > 0) who += "; " + std::to_string(empty) + " of them empty";
  return std::to_string(leased) + " of " + std::to_string(end - begin) + " blocks of " + config::format_size(limits::kBlockBytes) +
         " are leased" + (who.empty() ? "" : " (" + who + ")") + ", one small tensor keeps a whole block; the tensors in them take " +
         config::format_size(bytes);
}

}  // namespace tv::shm
