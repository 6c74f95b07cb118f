// Allocator: memory and object slots for one participant, out of blocks and chunks that it has leased.
//
// All of its book-keeping is private to the process: when the process dies, nothing of it is missed, because the slots say what is
// alive and the lease words say whose it was. Small objects share blocks of one size class; larger ones get runs of whole blocks.
// Thread-safe by one lock.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "shm/arena.h"

namespace tv::shm {

// Payload and header together; a quarter more from class to class. The last class is half a block.
std::uint32_t size_class_count();
std::uint64_t size_class_bytes(std::uint32_t size_class);
std::uint32_t size_class_for(std::uint64_t bytes);  // REQUIRES bytes <= size_class_bytes(size_class_count() - 1)

// Where an object's memory lies, from its slot's words; nothing if they contradict the block table (shared words are not believed).
struct Place {
  std::uint32_t block;  // the first one
  std::uint32_t cell;   // in a small block
  BlockWord word;       // of that block
};
std::optional<Place> place_of(const Arena& arena, const ObjectSlot& slot);

class Allocator {
 public:
  Allocator(std::shared_ptr<Arena> arena, ParticipantId self);
  ~Allocator();

  struct Allocation {
    std::uint32_t slot;
    std::uint64_t offset;
    std::uint64_t footprint;
  };
  // A slot in state kFree with no holder, and memory for `bytes`, writable. Nothing shared has changed but leases.
  Result<Allocation> allocate(std::uint64_t bytes);
  // Takes a slot and its memory back if it is dead; does nothing if it is alive or free. REQUIRES that its chunk is ours.
  void release(std::uint32_t slot);
  // Releases every slot that others have marked as freed in our chunks.
  void collect();

  // Supervisor: takes over a chunk of a dead participant, whose owner words have been handed over already.
  void adopt_chunk(std::uint32_t chunk);

 private:
  struct SmallBlock {
    std::uint32_t size_class;
    std::uint32_t cells;
    std::uint32_t used;
    bool adopted;                      // never allocated from: the supervisor has no use for memory of its own
    std::vector<std::uint64_t> taken;  // a bit a cell
  };
  struct SmallClass {
    std::vector<std::uint32_t> with_room;  // blocks that may have room; checked when used
  };

  Result<std::uint32_t> take_slot();
  Result<std::uint64_t> take_small(std::uint32_t size_class);
  Result<std::uint64_t> take_large(std::uint64_t bytes);
  std::optional<std::uint64_t> take_cell(std::uint32_t block);
  Result<std::uint32_t> lease_run(std::uint32_t count);
  bool try_lease(std::uint32_t first, std::uint32_t count);
  void unlease(std::uint32_t first, std::uint32_t count);
  void release_memory(const Place& place);
  void release_small(std::uint32_t block, std::uint32_t cell);
  void count_out(std::uint32_t chunk);
  void release_locked(std::uint32_t slot);
  void collect_locked();

  std::shared_ptr<Arena> arena_;
  ParticipantId self_;
  std::mutex mutex_;
  std::vector<std::uint32_t> chunks_;
  std::unordered_map<std::uint32_t, std::uint32_t> adopted_;  // chunk -> slots in use; given back at 0
  std::vector<std::uint32_t> free_slots_;
  std::unordered_map<std::uint32_t, SmallBlock> small_;
  std::vector<SmallClass> classes_;
  std::uint32_t search_from_ = 0;  // where the last run was found
};

}  // namespace tv::shm
