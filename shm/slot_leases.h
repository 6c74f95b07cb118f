// SlotLeases: the chunks of object slots that one participant has leased, which of their slots are free, and which ones others have
// marked as freed. Private to the process but for the chunk words; guarded by the allocator's lock.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "shm/arena.h"

namespace tv::shm {

class SlotLeases {
 public:
  SlotLeases(const Arena& arena, ParticipantId self);

  // A slot in state kFree with no holder, whose header is ours to write. kLimit names [arena] objects.
  Result<std::uint32_t> take();
  // A slot that is in state kFree again.
  void put(std::uint32_t slot);
  bool owns(std::uint32_t slot) const { return mine(slot / limits::kSlotsPerChunk); }

  // Slots of ours that somebody has marked since the last look. Cheap when there are none.
  bool anything_freed() const { return arena_.participant(self_).freed.load(std::memory_order_relaxed) != 0; }
  template <class Visit>
  void take_freed(Visit visit);

  // A dead participant's chunk with so many slots in use; it is given back with the last of them. REQUIRES in_use > 0.
  void adopt(std::uint32_t chunk, std::uint32_t in_use);

 private:
  bool mine(std::uint32_t chunk) const { return (own_[chunk / 64] >> (chunk % 64) & 1) != 0; }
  Result<bool> lease(std::uint32_t chunk);
  void give_back(std::uint32_t chunk);

  const Arena& arena_;
  const ParticipantId self_;
  std::vector<std::uint64_t> own_;  // a bit a chunk
  std::vector<std::uint32_t> free_;
  std::unordered_map<std::uint32_t, std::uint32_t> adopted_;  // chunk -> slots in use
  std::uint32_t search_from_ = 0;
};

// Says that a slot has lost its last holder: the slot's bit, the chunk's bit, then the owner's word. All three are hints, and setting
// them twice is harmless. Dead in between: the clean-up sets the latter two of everybody.
void mark_freed(const Arena& arena, std::uint32_t slot);

template <class Visit>
void SlotLeases::take_freed(Visit visit) {
  HalfWord& any = arena_.participant(self_).freed;
  if (any.load(std::memory_order_relaxed) == 0) return;
  any.store(0, std::memory_order_seq_cst);  // before the look: a bit set after it sets the word again
  for (std::uint32_t w = 0; w < own_.size(); ++w) {
    std::uint64_t chunks = arena_.freed_chunks(w).load(std::memory_order_seq_cst) & own_[w];
    if (chunks == 0) continue;
    arena_.freed_chunks(w).fetch_and(~chunks, std::memory_order_seq_cst);
    for (; chunks != 0; chunks &= chunks - 1) {
      std::uint32_t chunk = w * 64 + static_cast<std::uint32_t>(__builtin_ctzll(chunks));
      for (std::uint32_t i = 0; i < limits::kSlotsPerChunk / 64; ++i) {
        Word& word = arena_.chunk(chunk).freed[i];
        if (word.load(std::memory_order_seq_cst) == 0) continue;
        for (std::uint64_t bits = word.exchange(0, std::memory_order_seq_cst); bits != 0; bits &= bits - 1)
          visit(chunk * limits::kSlotsPerChunk + i * 64 + static_cast<std::uint32_t>(__builtin_ctzll(bits)));
      }
    }
  }
}

}  // namespace tv::shm
