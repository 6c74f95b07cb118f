// Usage: who has how much of the arena. Figures for administrators, and for the error that says that there is no room. Reads only; works on
// a live arena, of which it is a blurred picture.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "shm/arena.h"
#include "shm/handle.h"
#include "shm/tensor_spec.h"

namespace tv::shm {

struct ArenaStats {
  std::uint64_t size_bytes = 0;
  std::uint64_t blocks = 0;
  std::uint64_t blocks_leased = 0;
  std::uint64_t blocks_kept = 0;    // of these, empty: kept by participants for their next tensors
  std::uint64_t blocks_backed = 0;  // leased or free, their memory is there
  std::uint64_t objects = 0;
  std::uint64_t max_objects = 0;
  std::uint64_t object_bytes = 0;     // payload, as creators asked for
  std::uint64_t footprint_bytes = 0;  // what that takes
  std::uint64_t backed_bytes = 0;
  std::uint64_t rings = 0;
  std::uint64_t ring_bytes = 0;
};
ArenaStats stats(const Arena& arena);

struct ObjectInfo {
  Handle handle;
  TensorSpec spec;
  std::uint64_t bytes = 0;
  std::uint64_t footprint = 0;
  std::uint64_t holders = 0;
  ParticipantId creator = 0;
  Incarnation incarnation = 0;  // of the creator
  ActorId creator_actor = kNoActor;
  std::string label;  // what made it: an actor's method
  std::int64_t created_ns = 0;
  SlotState state = SlotState::kFree;
};
std::vector<ObjectInfo> list_objects(const Arena& arena, std::size_t limit);
// All of them, one after the other: for those who keep a few, of a million.
void visit_objects(const Arena& arena, const std::function<void(const ObjectInfo&)>& visit);
// Those with the most bytes, largest first.
std::vector<ObjectInfo> largest_objects(const Arena& arena, std::size_t limit);
// One object; nothing when it is gone.
std::optional<ObjectInfo> find_object(const Arena& arena, Handle handle);

// The object whose memory, or whose header, is at this offset of the arena. Looks at every slot.
std::optional<ObjectInfo> find_object_at(const Arena& arena, std::uint64_t offset);

struct ParticipantUse {
  std::uint64_t objects_held = 0;
  std::uint64_t bytes_held = 0;        // payload of these; an object counts with each of its holders
  std::uint64_t bytes_held_alone = 0;  // that would be free if this participant let go
  std::uint64_t blocks_leased = 0;
  std::uint64_t blocks_kept = 0;   // of these, empty
  std::uint64_t unread_bytes = 0;  // mail that waits for it
};
std::vector<ParticipantUse> use_by_participant(const Arena& arena);  // kMaxParticipants entries

// "held by cpu/0: 1.2 GiB, loader: 300 MiB": the three that hold the most.
std::string largest_holders(const Arena& arena);

// Of the blocks for clients, or of those for workers: "7 of 7 blocks of 2.0MiB are leased (cpu/0: 5, loader: 2; 1 of them empty), a small
// tensor keeps a whole one; tensors in them take 3.2MiB". For the error that says that there is no room: bytes of tensors alone may be few.
std::string block_shortage(const Arena& arena, bool for_clients);

}  // namespace tv::shm
