#include "shm/layout.h"

#include <string>

namespace tv::shm {
namespace {

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) { return (value + unit - 1) / unit * unit; }
constexpr std::uint64_t kPage = 4096;

}  // namespace

Result<Geometry> make_geometry(std::uint64_t arena_bytes, std::uint64_t ring_bytes, std::uint32_t objects, std::uint64_t client_bytes) {
  if (arena_bytes < limits::kMinArenaBytes || arena_bytes > limits::kMaxArenaBytes)
    return Error{Errc::kInvalidArgument, "[arena] size of " + std::to_string(arena_bytes) + " bytes: between " +
                                             std::to_string(limits::kMinArenaBytes) + " and " + std::to_string(limits::kMaxArenaBytes) +
                                             " is possible"};
  if (ring_bytes < limits::kMinRingBytes || ring_bytes > limits::kMaxRingBytes || (ring_bytes & (ring_bytes - 1)) != 0)
    return Error{Errc::kInvalidArgument, "[arena] ring of " + std::to_string(ring_bytes) + " bytes: a power of two between " +
                                             std::to_string(limits::kMinRingBytes) + " and " + std::to_string(limits::kMaxRingBytes) +
                                             " is expected"};
  if (objects == 0 || objects > limits::kMaxObjects)
    return Error{Errc::kInvalidArgument, "[arena] objects of " + std::to_string(objects) + ": between 1 and " +
                                             std::to_string(limits::kMaxObjects) + " is possible"};

  if (client_bytes > arena_bytes / 2)
    return Error{Errc::kInvalidArgument, "[arena] clients of " + std::to_string(client_bytes) + " bytes: at most half of the arena's " +
                                             std::to_string(arena_bytes) + " are possible"};

  Geometry g{};
  g.ring_bytes = ring_bytes;
  g.chunks = (objects + limits::kSlotsPerChunk - 1) / limits::kSlotsPerChunk;
  g.blocks = static_cast<std::uint32_t>(arena_bytes / limits::kBlockBytes);
  g.client_blocks = static_cast<std::uint32_t>((client_bytes + limits::kBlockBytes - 1) / limits::kBlockBytes);

  std::uint64_t at = kPage;
  auto table = [&at](std::uint64_t entry_bytes, std::uint64_t entries) {
    std::uint64_t begin = at;
    at = round_up(at + entry_bytes * entries, kPage);
    return begin;
  };
  g.participants_at = table(sizeof(ParticipantSlot), limits::kMaxParticipants);
  g.rings_at = table(sizeof(RingCursors), std::uint64_t{limits::kMaxParticipants} * limits::kMaxParticipants * kLanes);
  g.actors_at = table(sizeof(ActorEntry), limits::kMaxActors);
  g.cells_at = table(sizeof(ActorCell), limits::kMaxActors);
  g.pools_at = table(sizeof(PoolEntry), limits::kMaxPools);
  g.names_at = table(sizeof(NameEntry), limits::kMaxNames);
  g.names_used_at = table(sizeof(Word), limits::kMaxNames / 64);
  g.chunks_at = table(sizeof(ChunkEntry), g.chunks);
  g.freed_chunks_at = table(sizeof(Word), (g.chunks + 63) / 64);
  g.slots_at = table(sizeof(ObjectSlot), g.slots());
  g.block_words_at = table(sizeof(BlockWord), g.blocks);
  g.tables_end = at;
  g.headers_at = table(sizeof(TensorHeader), g.slots());
  g.ring_data_at = at;
  at = g.ring_data_at + std::uint64_t{limits::kMaxParticipants} * limits::kMaxParticipants * ring_bytes;
  g.priority_data_at = round_up(at, kPage);
  at = g.priority_data_at + std::uint64_t{limits::kMaxParticipants} * limits::kMaxParticipants * limits::kPriorityRingBytes;
  g.blocks_at = round_up(at, limits::kBlockBytes);
  g.client_blocks_at = g.blocks_at + std::uint64_t{g.worker_blocks()} * limits::kBlockBytes;
  g.total_bytes = g.blocks_at + std::uint64_t{g.blocks} * limits::kBlockBytes;
  return g;
}

}  // namespace tv::shm
