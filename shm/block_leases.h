// BlockLeases: the blocks that one participant has leased and what it keeps of them for later. Private to the process but for the
// block words; guarded by the allocator's lock.
//
// Single blocks are looked for from the beginning of the arena, runs from its end, so that small objects do not break up the room of
// large ones. A lease is a CAS of each block's word from free to ours; then the block is made writable and its memory is asked for.
// Dead in between: the words are ours and no object names them, so the clean-up frees them.
#pragma once

#include <cstdint>
#include <vector>

#include "shm/arena.h"

namespace tv::shm {

class BlockLeases {
 public:
  BlockLeases(const Arena& arena, ParticipantId self);

  // First of `count` neighbouring blocks, all ours, writable, backed by memory, of kind kNone. kArenaFull when there is no such run,
  // kOutOfMemory when the machine has no memory.
  // kOverloaded when we would have more than limit() allows.
  Result<std::uint32_t> lease(std::uint32_t count);
  // Never more than so many of our own; 0: as many as there are. Before the first lease.
  void limit(std::uint32_t most) { most_ = most; }
  // Says what lies in a block from now on.
  void set_kind(std::uint32_t block, BlockKind kind, std::uint16_t size_class = 0);
  // Nothing lies in them any more: kept for the next lease, or given back.
  void give_up(std::uint32_t first, std::uint32_t count);
  // Gives back at once (blocks that we have adopted).
  void give_back(std::uint32_t first, std::uint32_t count);
  // Gives back what is kept beyond `most` blocks, oldest first.
  void trim(std::uint32_t most = 0);

 private:
  struct Run {
    std::uint32_t first;
    std::uint32_t count;
  };
  struct Range {
    std::uint32_t begin;
    std::uint32_t end;
  };
  Range range() const;
  bool take_kept(std::uint32_t count, std::uint32_t& first);
  bool find_single(std::uint32_t& block);
  bool find_run(std::uint32_t count, std::uint32_t& first);
  bool try_lease(std::uint32_t first, std::uint32_t count);
  Result<void> make_usable(std::uint32_t first, std::uint32_t count);
  void unlease(std::uint32_t first, std::uint32_t count);
  Error full(std::uint32_t count) const;
  Error over_limit(std::uint32_t count) const;

  const Arena& arena_;
  const ParticipantId self_;
  const std::uint32_t most_kept_;
  std::vector<Run> kept_;  // oldest first
  std::uint32_t kept_blocks_ = 0;
  std::uint32_t most_ = 0;
  std::uint32_t leased_ = 0;  // by us, what is kept included
  std::uint32_t singles_from_ = 0;  // no single block before this one was free when we last looked
};

// Wakes those who wait for room, if there are any. After whatever gives memory or slots back.
void announce_room(const Arena& arena);

}  // namespace tv::shm
