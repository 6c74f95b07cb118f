// Allocator: memory and object slots for one participant, out of blocks and chunks that it has leased.
//
// All of its book-keeping is private to the process: when the process dies, nothing of it is missed, because the slots say what is
// alive and the lease words say whose it was. Small objects share blocks of one size class; larger ones take units of 32 KiB.
// Thread-safe by one lock.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "shm/block_leases.h"
#include "shm/cell_blocks.h"
#include "shm/given_out.h"
#include "shm/slot_leases.h"
#include "shm/unit_blocks.h"

namespace tv::shm {

class Allocator {
 public:
  Allocator(const Arena& arena, ParticipantId self);

  struct Allocation {
    std::uint32_t slot;
    std::uint64_t offset;
    std::uint64_t footprint;
  };
  // A slot in state kFree with no holder, and memory for `bytes`, writable. Nothing shared has changed but leases. kArenaFull or kLimit
  // when there is none at present, kOutOfMemory when the machine has none.
  // kOverloaded beyond limit_blocks().
  Result<Allocation> allocate(std::uint64_t bytes);
  // So many blocks at most; 0: no limit. Before the first allocation.
  void limit_blocks(std::uint32_t most) { blocks_.limit(most); }
  // Takes a slot and its memory back if it is dead; does nothing if it is alive or free. False for a slot of another's chunk, which has to
  // be told (mark_freed).
  bool release(std::uint32_t slot);
  // Releases every slot that others have marked as freed in our chunks.
  void collect();
  // Gives back the blocks that are kept though nothing lies in them.
  void trim();

  // The same, but for a few that the next tensors find (limits::kIdleKeptBlocks).
  void trim_idle();

  // Supervisor: takes over a chunk of a dead participant, whose owner words have been handed over already.
  void adopt_chunk(std::uint32_t chunk);

 private:
  Result<Place> take_memory(std::uint64_t bytes);
  bool is_sparse(std::uint64_t bytes) const;
  Result<Place> take_cell(std::uint64_t bytes);
  Result<Place> take_units(std::uint64_t bytes);
  void release_memory(const Place& place);
  void release_units(const Place& place);
  bool may_keep_unit(const Place& place) const;
  void release_spare_unit();
  void release_locked(std::uint32_t slot);
  void collect_locked();
  void trim_locked();

  const Arena& arena_;
  ParticipantId self_;
  std::mutex mutex_;
  SlotLeases slots_;
  BlockLeases blocks_;
  CellBlocks cells_;
  UnitBlocks units_;
  std::optional<Place> spare_unit_;  // the one freed last, still taken in units_: what comes and goes one at a time finds it at once
  GivenOut given_out_;
  // A class of which few objects are alive has no block of its own: they take units, and little of a block stays empty.
  LazyArray<std::uint8_t> sparse_class_;       // by slot: class + 1 of an object that took units for that reason
  std::vector<std::uint32_t> sparse_objects_;  // by class
};

}  // namespace tv::shm
