#include "shm/allocator.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>

namespace tv::shm {
namespace {

// 256 bytes is the header and one line of payload; then four classes to each doubling.
constexpr std::uint64_t kLargestSmall = limits::kBlockBytes / 2;
constexpr auto kClasses = [] {
  std::array<std::uint32_t, 64> sizes{};
  std::uint32_t count = 0;
  for (std::uint64_t base = 256; base < kLargestSmall; base *= 2)
    for (std::uint64_t quarter = 0; quarter < 4; ++quarter) sizes[count++] = static_cast<std::uint32_t>(base + base / 4 * quarter);
  sizes[count++] = kLargestSmall;
  struct {
    std::array<std::uint32_t, 64> sizes;
    std::uint32_t count;
  } table{sizes, count};
  return table;
}();

BlockWord leased_by(ParticipantId self) { return {static_cast<std::uint8_t>(self + 1), BlockKind::kLeased, 0, 0}; }

}  // namespace

std::uint32_t size_class_count() { return kClasses.count; }
std::uint64_t size_class_bytes(std::uint32_t size_class) { return kClasses.sizes[size_class]; }
std::uint32_t size_class_for(std::uint64_t bytes) {
  auto first = kClasses.sizes.begin();
  return static_cast<std::uint32_t>(std::lower_bound(first, first + kClasses.count, bytes) - first);
}

std::optional<Place> place_of(const Arena& arena, const ObjectSlot& slot) {
  const Geometry& g = arena.geometry();
  if (slot.offset < g.blocks_at || slot.offset >= g.total_bytes) return std::nullopt;
  auto block = static_cast<std::uint32_t>((slot.offset - g.blocks_at) / limits::kBlockBytes);
  std::uint64_t inside = slot.offset - arena.block_offset(block);
  BlockWord word = arena.block_word(block).load(std::memory_order_acquire);
  if (word.kind == BlockKind::kLargeHead) {
    if (inside != 0 || word.count == 0 || word.count > g.blocks - block) return std::nullopt;
    return Place{block, 0, word};
  }
  if (word.kind != BlockKind::kSmall || word.size_class >= size_class_count()) return std::nullopt;
  std::uint64_t bytes = size_class_bytes(word.size_class);
  if (inside % bytes != 0 || inside + bytes > limits::kBlockBytes) return std::nullopt;
  return Place{block, static_cast<std::uint32_t>(inside / bytes), word};
}

Allocator::Allocator(std::shared_ptr<Arena> arena, ParticipantId self)
    : arena_(std::move(arena)), self_(self), classes_(size_class_count()) {}

Allocator::~Allocator() = default;

Result<Allocator::Allocation> Allocator::allocate(std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  collect_locked();
  std::uint32_t slot = TV_TRY(take_slot());
  Result<std::uint64_t> offset = Error{};
  std::uint64_t footprint = 0;
  if (bytes <= kLargestSmall) {
    std::uint32_t size_class = size_class_for(bytes);
    footprint = size_class_bytes(size_class);
    offset = take_small(size_class);
  } else {
    footprint = (bytes + limits::kBlockBytes - 1) / limits::kBlockBytes * limits::kBlockBytes;
    offset = take_large(footprint);
  }
  if (!offset) {
    free_slots_.push_back(slot);
    return offset.error();
  }
  return Allocation{slot, *offset, footprint};
}

Result<std::uint32_t> Allocator::take_slot() {
  if (free_slots_.empty()) {
    const Geometry& g = arena_->geometry();
    for (std::uint32_t c = 0; c < g.chunks && free_slots_.empty(); ++c) {
      std::uint64_t none = 0;
      Word& owner = arena_->chunk(c).owner;
      if (owner.load(std::memory_order_relaxed) != 0 || !owner.compare_exchange_strong(none, self_ + 1, std::memory_order_acq_rel)) continue;
      // The slots' memory, too, must be there before it is written.
      std::uint64_t bytes = std::uint64_t{limits::kSlotsPerChunk} * sizeof(ObjectSlot);
      auto reserved = arena_->reserve(g.slots_at + c * bytes, bytes);
      if (!reserved) {
        owner.store(0, std::memory_order_release);
        return reserved.error();
      }
      chunks_.push_back(c);
      for (std::uint32_t i = limits::kSlotsPerChunk; i-- > 0;) free_slots_.push_back(c * limits::kSlotsPerChunk + i);
    }
    if (free_slots_.empty())
      return Error{Errc::kLimit, "the arena has no object slot left (" + std::to_string(g.slots()) + "); raise [arena] objects"};
  }
  std::uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  return slot;
}

std::optional<std::uint64_t> Allocator::take_cell(std::uint32_t block) {
  auto found = small_.find(block);
  if (found == small_.end() || found->second.used == found->second.cells) return std::nullopt;
  SmallBlock& small = found->second;
  for (std::size_t w = 0; w < small.taken.size(); ++w) {
    auto cell = static_cast<std::uint32_t>(w * 64 + std::countr_one(small.taken[w]));
    if (small.taken[w] == ~std::uint64_t{0} || cell >= small.cells) continue;
    small.taken[w] |= std::uint64_t{1} << (cell % 64);
    ++small.used;
    return arena_->block_offset(block) + std::uint64_t{cell} * size_class_bytes(small.size_class);
  }
  return std::nullopt;
}

Result<std::uint64_t> Allocator::take_small(std::uint32_t size_class) {
  auto& candidates = classes_[size_class].with_room;
  while (!candidates.empty()) {
    if (auto offset = take_cell(candidates.back())) return *offset;
    candidates.pop_back();
  }
  std::uint32_t block = TV_TRY(lease_run(1));
  auto cells = static_cast<std::uint32_t>(limits::kBlockBytes / size_class_bytes(size_class));
  small_[block] = SmallBlock{size_class, cells, 0, false, std::vector<std::uint64_t>((cells + 63) / 64)};
  arena_->block_word(block).store({static_cast<std::uint8_t>(self_ + 1), BlockKind::kSmall, static_cast<std::uint16_t>(size_class), 0},
                                  std::memory_order_release);
  candidates.push_back(block);
  return *take_cell(block);
}

Result<std::uint64_t> Allocator::take_large(std::uint64_t bytes) {
  auto count = static_cast<std::uint32_t>(bytes / limits::kBlockBytes);
  std::uint32_t first = TV_TRY(lease_run(count));
  auto owner = static_cast<std::uint8_t>(self_ + 1);
  for (std::uint32_t i = count; i-- > 0;)  // the head last: a run is whole or has no head
    arena_->block_word(first + i).store({owner, i == 0 ? BlockKind::kLargeHead : BlockKind::kLargeRest, 0, i == 0 ? count : 0},
                                        std::memory_order_release);
  return arena_->block_offset(first);
}

bool Allocator::try_lease(std::uint32_t first, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) {
    BlockWord none{};
    if (arena_->block_word(first + i).compare_exchange_strong(none, leased_by(self_), std::memory_order_acq_rel)) continue;
    unlease(first, i);
    return false;
  }
  return true;
}

void Allocator::unlease(std::uint32_t first, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) arena_->block_word(first + i).store(BlockWord{}, std::memory_order_release);
}

Result<std::uint32_t> Allocator::lease_run(std::uint32_t count) {
  std::uint32_t blocks = arena_->geometry().blocks;
  auto is_free = [this](std::uint32_t block) { return arena_->block_word(block).load(std::memory_order_relaxed) == BlockWord{}; };
  // Two sweeps: from where the last run was found, then from the beginning.
  for (std::uint32_t begin : {search_from_, 0u}) {
    std::uint32_t run = 0;
    for (std::uint32_t block = begin; block < blocks; ++block) {
      run = is_free(block) ? run + 1 : 0;
      if (run < count) continue;
      std::uint32_t first = block + 1 - count;
      run = 0;
      if (!try_lease(first, count)) continue;
      std::uint64_t bytes = std::uint64_t{count} * limits::kBlockBytes;
      auto usable = arena_->reserve(arena_->block_offset(first), bytes);
      if (usable) usable = arena_->allow_writing(arena_->block_offset(first), bytes, true);
      if (!usable) {
        unlease(first, count);
        return usable.error();
      }
      search_from_ = first + count;
      return first;
    }
  }
  return Error{Errc::kArenaFull, "the arena is full: no " + std::to_string(std::uint64_t{count} * limits::kBlockBytes >> 20) +
                                     " MiB in one piece are left of " + std::to_string(std::uint64_t{blocks} * limits::kBlockBytes >> 20) +
                                     " MiB; free tensors (tensorctl list objects shows who holds them) or raise [arena] size"};
}

void Allocator::release(std::uint32_t slot) {
  std::lock_guard lock(mutex_);
  release_locked(slot);
}

void Allocator::release_locked(std::uint32_t index) {
  ObjectSlot& slot = arena_->slot(index);
  std::uint64_t tag = slot.tag.load(std::memory_order_acquire);
  // Marked twice, or in use again since: nothing to do.
  if (tag_state(tag) == SlotState::kFree || slot.holders.load(std::memory_order_acquire) != 0) return;
  auto place = place_of(*arena_, slot);
  slot.tag.store(make_tag(tag_generation(tag), SlotState::kFree), std::memory_order_release);
  if (place) release_memory(*place);
  std::uint32_t chunk = index / limits::kSlotsPerChunk;
  if (adopted_.contains(chunk)) {
    count_out(chunk);
  } else {
    free_slots_.push_back(index);
  }
}

void Allocator::count_out(std::uint32_t chunk) {
  auto found = adopted_.find(chunk);
  if (--found->second > 0) return;
  adopted_.erase(found);
  std::erase(chunks_, chunk);
  arena_->chunk(chunk).owner.store(0, std::memory_order_release);
}

void Allocator::release_memory(const Place& place) {
  if (place.word.kind == BlockKind::kSmall) return release_small(place.block, place.cell);
  (void)arena_->allow_writing(arena_->block_offset(place.block), std::uint64_t{place.word.count} * limits::kBlockBytes, false);
  unlease(place.block, place.word.count);
  search_from_ = std::min(search_from_, place.block);
}

void Allocator::release_small(std::uint32_t block, std::uint32_t cell) {
  auto found = small_.find(block);
  if (found == small_.end() || cell >= found->second.cells) return;
  SmallBlock& small = found->second;
  std::uint64_t mask = std::uint64_t{1} << (cell % 64);
  if ((small.taken[cell / 64] & mask) == 0) return;
  small.taken[cell / 64] &= ~mask;
  bool was_full = small.used-- == small.cells;
  auto& candidates = classes_[small.size_class].with_room;
  if (small.used == 0 && (small.adopted || candidates.size() > 1)) {
    std::erase(candidates, block);
    small_.erase(found);
    (void)arena_->allow_writing(arena_->block_offset(block), limits::kBlockBytes, false);
    unlease(block, 1);
  } else if (was_full && !small.adopted) {
    candidates.push_back(block);
  }
}

void Allocator::collect() {
  std::lock_guard lock(mutex_);
  collect_locked();
}

void Allocator::collect_locked() {
  HalfWord& any = arena_->participant(self_).freed;
  if (any.load(std::memory_order_relaxed) == 0) return;
  any.store(0, std::memory_order_seq_cst);  // before the look: a bit set after it sets the word again
  auto chunks = chunks_;  // releasing may give an adopted chunk back
  for (std::uint32_t chunk : chunks) {
    ChunkEntry& entry = arena_->chunk(chunk);
    for (std::uint32_t w = 0; w < limits::kSlotsPerChunk / 64; ++w) {
      if (entry.freed[w].load(std::memory_order_seq_cst) == 0) continue;
      std::uint64_t freed = entry.freed[w].exchange(0, std::memory_order_seq_cst);
      for (; freed != 0; freed &= freed - 1)
        release_locked(chunk * limits::kSlotsPerChunk + w * 64 + static_cast<std::uint32_t>(std::countr_zero(freed)));
    }
  }
}

void Allocator::adopt_chunk(std::uint32_t chunk) {
  std::lock_guard lock(mutex_);
  std::uint32_t used = 0;
  for (std::uint32_t i = 0; i < limits::kSlotsPerChunk; ++i) {
    const ObjectSlot& slot = arena_->slot(chunk * limits::kSlotsPerChunk + i);
    if (tag_state(slot.tag.load(std::memory_order_acquire)) == SlotState::kFree) continue;
    ++used;
    auto place = place_of(*arena_, slot);
    if (!place || place->word.kind != BlockKind::kSmall) continue;
    auto cells = static_cast<std::uint32_t>(limits::kBlockBytes / size_class_bytes(place->word.size_class));
    SmallBlock blank{place->word.size_class, cells, 0, true, std::vector<std::uint64_t>((cells + 63) / 64)};
    SmallBlock& small = small_.try_emplace(place->block, std::move(blank)).first->second;
    std::uint64_t mask = std::uint64_t{1} << (place->cell % 64);
    if (place->cell >= small.cells || (small.taken[place->cell / 64] & mask) != 0) continue;
    small.taken[place->cell / 64] |= mask;
    ++small.used;
  }
  if (used == 0) {
    arena_->chunk(chunk).owner.store(0, std::memory_order_release);
    return;
  }
  chunks_.push_back(chunk);
  adopted_[chunk] = used;
}

}  // namespace tv::shm
