#include "shm/allocator.h"

#include <algorithm>
#include <utility>

namespace tv::shm {

Allocator::Allocator(const Arena& arena, ParticipantId self)
    : arena_(arena), self_(self), slots_(arena, self), blocks_(arena, self), units_(arena.geometry().blocks), given_out_(arena.geometry().slots()),
      sparse_class_(arena.geometry().slots()), sparse_objects_(size_class_count()) {}

Result<Allocator::Allocation> Allocator::allocate(std::uint64_t bytes) {
  bytes = std::max<std::uint64_t>(bytes, 1);  // an empty tensor has a place, too
  std::lock_guard lock(mutex_);
  collect_locked();
  std::uint32_t slot = TV_TRY(slots_.take());
  auto memory = take_memory(bytes);
  if (!memory) {
    slots_.put(slot);
    return memory.error();
  }
  given_out_.note(slot, *memory);
  if (memory->kind == BlockKind::kUnits && bytes <= limits::kLargestCellBytes) {
    std::uint32_t size_class = size_class_for(bytes);
    sparse_class_[slot] = static_cast<std::uint8_t>(size_class + 1);
    ++sparse_objects_[size_class];
  }
  return Allocation{slot, memory->offset(arena_), memory->footprint()};
}

Result<Place> Allocator::take_memory(std::uint64_t bytes) {
  bool cell = bytes <= limits::kLargestCellBytes && !is_sparse(bytes);
  auto memory = cell ? take_cell(bytes) : take_units(bytes);
  if (memory || memory.error().code != Errc::kArenaFull) return memory;
  // Empty blocks of other classes may be just what is missing.
  trim_locked();
  return cell ? take_cell(bytes) : take_units(bytes);
}

// Until half a block's worth of units is taken by the class.
bool Allocator::is_sparse(std::uint64_t bytes) const {
  std::uint32_t size_class = size_class_for(bytes);
  if (cells_.has_block(size_class)) return false;
  std::uint64_t units = (bytes + limits::kUnitBytes - 1) / limits::kUnitBytes;
  return sparse_objects_[size_class] * units < Place::kUnitsPerBlock / 2;
}

Result<Place> Allocator::take_cell(std::uint64_t bytes) {
  std::uint32_t size_class = size_class_for(bytes);
  auto cell = cells_.take(size_class);
  if (!cell) {
    std::uint32_t block = TV_TRY(blocks_.lease(1));
    blocks_.set_kind(block, BlockKind::kCells, static_cast<std::uint16_t>(size_class));
    cells_.add(block, size_class);
    cell = cells_.take(size_class);
  }
  return Place{BlockKind::kCells, 0, static_cast<std::uint16_t>(size_class), cell->block, cell->cell, 0};
}

Result<Place> Allocator::take_units(std::uint64_t bytes) {
  std::uint64_t units = (bytes + limits::kUnitBytes - 1) / limits::kUnitBytes;
  if (units > std::uint64_t{arena_.geometry().blocks} * Place::kUnitsPerBlock)
    return Error{Errc::kArenaFull, "a tensor of " + std::to_string(bytes >> 20) + " MiB is larger than the arena; raise [arena] size"};
  auto count = static_cast<std::uint32_t>(units);
  if (count == 1 && spare_unit_) return *std::exchange(spare_unit_, std::nullopt);
  if (count <= Place::kUnitsPerBlock) {
    if (auto spot = units_.take(count)) return Place{BlockKind::kUnits, 0, 0, spot->block, spot->unit, count};
  }
  std::uint32_t blocks = (count + Place::kUnitsPerBlock - 1) / Place::kUnitsPerBlock;
  std::uint32_t first = TV_TRY(blocks_.lease(blocks));
  for (std::uint32_t n = 0; n < blocks; ++n) blocks_.set_kind(first + n, BlockKind::kUnits);
  units_.add(first, count);
  return Place{BlockKind::kUnits, 0, 0, first, 0, count};
}

bool Allocator::release(std::uint32_t slot) {
  std::lock_guard lock(mutex_);
  if (!slots_.owns(slot)) return false;
  release_locked(slot);
  return true;
}

void Allocator::release_locked(std::uint32_t index) {
  ObjectSlot& slot = arena_.slot(index);
  std::uint64_t tag = slot.tag.load(std::memory_order_acquire);
  // Marked twice, or in use again since, or never ours: nothing to do.
  if (!slots_.owns(index) || !given_out_.is_out(index)) return;
  if (tag_state(tag) == SlotState::kFree || slot.holders.load(std::memory_order_acquire) != 0) return;
  auto place = given_out_.take(index);
  if (std::uint8_t sparse = std::exchange(sparse_class_[index], std::uint8_t{0}); sparse != 0) --sparse_objects_[sparse - 1u];
  slot.tag.store(make_tag(tag_generation(tag), SlotState::kFree), std::memory_order_release);
  if (place) release_memory(*place);
  slots_.put(index);
}

void Allocator::release_memory(const Place& place) {
  if (place.kind == BlockKind::kCells) {
    if (cells_.release(place.block, place.first)) blocks_.give_up(place.block, 1);
  } else if (may_keep_unit(place)) {
    spare_unit_ = place;
  } else {
    release_units(place);
  }
}

bool Allocator::may_keep_unit(const Place& place) const {
  bool wanted = arena_.header().wanted_bytes.load(std::memory_order_relaxed) != 0;
  return place.units == 1 && !spare_unit_ && self_ != kSupervisor && !units_.is_adopted(place.block) && !wanted;
}

void Allocator::release_spare_unit() {
  if (auto place = std::exchange(spare_unit_, std::nullopt)) release_units(*place);
}

void Allocator::release_units(const Place& place) {
  // Neighbouring blocks that become empty are given up as one run, so that a tensor of the same size finds them again.
  std::uint32_t first = 0, count = 0;
  auto give_up = [&] {
    if (count > 0) blocks_.give_up(first, count);
    count = 0;
  };
  units_.release(place, [&](std::uint32_t block) {
    if (count > 0 && block != first + count) give_up();
    if (count++ == 0) first = block;
  });
  give_up();
}

void Allocator::collect() {
  std::lock_guard lock(mutex_);
  collect_locked();
}

void Allocator::collect_locked() {
  slots_.take_freed([this](std::uint32_t slot) { release_locked(slot); });
}

void Allocator::trim() {
  std::lock_guard lock(mutex_);
  trim_locked();
}

void Allocator::trim_idle() {
  std::lock_guard lock(mutex_);
  collect_locked();
  release_spare_unit();
  for (std::uint32_t block : cells_.take_empty()) blocks_.give_up(block, 1);
  blocks_.trim(limits::kIdleKeptBlocks);
}

void Allocator::trim_locked() {
  release_spare_unit();
  for (std::uint32_t block : cells_.take_empty()) blocks_.give_back(block, 1);
  blocks_.trim();
}

void Allocator::adopt_chunk(std::uint32_t chunk) {
  std::lock_guard lock(mutex_);
  std::uint32_t in_use = 0;
  for (std::uint32_t i = 0; i < limits::kSlotsPerChunk; ++i) {
    const ObjectSlot& slot = arena_.slot(chunk * limits::kSlotsPerChunk + i);
    if (tag_state(slot.tag.load(std::memory_order_acquire)) == SlotState::kFree) continue;
    ++in_use;
    auto place = place_of(arena_, slot);
    if (!place) {
      given_out_.note_without_place(chunk * limits::kSlotsPerChunk + i);
      continue;
    }
    given_out_.note(chunk * limits::kSlotsPerChunk + i, *place);
    if (place->kind == BlockKind::kCells) {
      cells_.adopt(place->block, place->size_class, place->first);
    } else {
      units_.adopt(*place);
    }
  }
  if (in_use == 0) {
    arena_.chunk(chunk).owner.store(0, std::memory_order_release);
    announce_room(arena_);
  } else {
    slots_.adopt(chunk, in_use);
  }
}

}  // namespace tv::shm
