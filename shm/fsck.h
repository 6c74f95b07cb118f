// fsck: do the arena's books balance? And the figures that administrators ask for. Reads only; works on a live arena.
#pragma once

#include <string>
#include <vector>

#include "shm/arena.h"
#include "shm/handle.h"
#include "shm/tensor_spec.h"

namespace tv::shm {

struct FsckReport {
  std::uint64_t objects = 0;
  std::uint64_t blocks = 0;        // leased
  std::uint64_t rings = 0;         // made
  std::uint64_t unread_bytes = 0;
  std::vector<std::string> problems;  // at most 100; empty: consistent
};
// What looks wrong is looked at again, since live participants go on: only what stays wrong is a problem.
FsckReport fsck(const Arena& arena);

struct ArenaStats {
  std::uint64_t size_bytes = 0;
  std::uint64_t blocks = 0;
  std::uint64_t blocks_leased = 0;
  std::uint64_t objects = 0;
  std::uint64_t max_objects = 0;
  std::uint64_t object_bytes = 0;
  std::uint64_t backed_bytes = 0;
  std::uint64_t rings = 0;
  std::uint64_t ring_bytes = 0;
};
ArenaStats stats(const Arena& arena);

struct ObjectInfo {
  Handle handle;
  TensorSpec spec;
  std::uint64_t bytes = 0;
  std::uint64_t holders = 0;
  ParticipantId creator = 0;
  ActorId creator_actor = kNoActor;
  std::int64_t created_ns = 0;
  bool sealed = false;
};
std::vector<ObjectInfo> list_objects(const Arena& arena, std::size_t limit);

struct ParticipantUse {
  std::uint64_t objects_held = 0;
  std::uint64_t blocks_leased = 0;
  std::uint64_t unread_bytes = 0;  // mail that waits for it
};
std::vector<ParticipantUse> use_by_participant(const Arena& arena);  // kMaxParticipants entries

}  // namespace tv::shm
