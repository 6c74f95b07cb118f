#include "shm/slot_leases.h"

#include <string>

#include "shm/block_leases.h"

namespace tv::shm {

SlotLeases::SlotLeases(const Arena& arena, ParticipantId self) : arena_(arena), self_(self), own_((arena.geometry().chunks + 63) / 64) {}

Result<std::uint32_t> SlotLeases::take() {
  std::uint32_t chunks = arena_.geometry().chunks;
  for (std::uint32_t looked = 0; free_.empty() && looked < chunks; ++looked) {
    std::uint32_t chunk = search_from_;
    search_from_ = search_from_ + 1 < chunks ? search_from_ + 1 : 0;
    TV_TRY(lease(chunk));
  }
  if (free_.empty())
    return Error{Errc::kLimit, "the arena has no object slot left (" + std::to_string(arena_.geometry().slots()) + "); raise [arena] objects"};
  std::uint32_t slot = free_.back();
  free_.pop_back();
  return slot;
}

Result<bool> SlotLeases::lease(std::uint32_t chunk) {
  std::uint64_t none = 0;
  Word& owner = arena_.chunk(chunk).owner;
  if (owner.load(std::memory_order_relaxed) != 0 || !owner.compare_exchange_strong(none, self_ + 1, std::memory_order_acq_rel)) return false;
  // The memory of slots and headers must be there before it is written.
  std::uint64_t slot_bytes = std::uint64_t{limits::kSlotsPerChunk} * sizeof(ObjectSlot);
  auto usable = arena_.reserve(arena_.geometry().slots_at + chunk * slot_bytes, slot_bytes);
  if (usable) usable = arena_.reserve(arena_.chunk_headers_offset(chunk), kChunkHeaderBytes);
  if (usable) usable = arena_.allow_writing(arena_.chunk_headers_offset(chunk), kChunkHeaderBytes, true);
  if (!usable) {
    owner.store(0, std::memory_order_release);
    return usable.error();
  }
  own_[chunk / 64] |= std::uint64_t{1} << (chunk % 64);
  for (std::uint32_t i = limits::kSlotsPerChunk; i-- > 0;) free_.push_back(chunk * limits::kSlotsPerChunk + i);
  return true;
}

void SlotLeases::put(std::uint32_t slot) {
  std::uint32_t chunk = slot / limits::kSlotsPerChunk;
  auto found = adopted_.empty() ? adopted_.end() : adopted_.find(chunk);
  if (found == adopted_.end()) {
    free_.push_back(slot);
    return;
  }
  if (--found->second > 0) return;
  adopted_.erase(found);
  give_back(chunk);
}

void SlotLeases::give_back(std::uint32_t chunk) {
  own_[chunk / 64] &= ~(std::uint64_t{1} << (chunk % 64));
  (void)arena_.allow_writing(arena_.chunk_headers_offset(chunk), kChunkHeaderBytes, false);
  arena_.chunk(chunk).owner.store(0, std::memory_order_release);
  announce_room(arena_);
}

void SlotLeases::adopt(std::uint32_t chunk, std::uint32_t in_use) {
  own_[chunk / 64] |= std::uint64_t{1} << (chunk % 64);
  adopted_[chunk] = in_use;
}

void mark_freed(const Arena& arena, std::uint32_t slot) {
  std::uint32_t c = slot / limits::kSlotsPerChunk;
  ChunkEntry& chunk = arena.chunk(c);
  std::uint32_t i = slot % limits::kSlotsPerChunk;
  chunk.freed[i / 64].fetch_or(std::uint64_t{1} << (i % 64), std::memory_order_seq_cst);
  arena.freed_chunks(c / 64).fetch_or(std::uint64_t{1} << (c % 64), std::memory_order_seq_cst);
  std::uint64_t owner = chunk.owner.load(std::memory_order_seq_cst);
  if (owner > 0 && owner <= limits::kMaxParticipants)
    arena.participant(static_cast<ParticipantId>(owner - 1)).freed.store(1, std::memory_order_seq_cst);
  announce_room(arena);
}

}  // namespace tv::shm
