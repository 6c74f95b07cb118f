#include "shm/store.h"

#include <algorithm>
#include <cstring>

#include "shm/doorbell.h"
#include "shm/heartbeat.h"
#include "shm/object_header.h"
#include "shm/origin.h"
#include "shm/usage.h"

namespace tv::shm {
namespace {

// How long a waiter for room sleeps before it asks again: whoever was to wake it may have died.
constexpr Nanoseconds kAskAgain = 50ms;

Error stale(Handle handle) {
  return Error{Errc::kStaleHandle, "handle " + to_string(handle) + " is stale: its tensor has been freed; hold a tensor for as long as "
                                   "its handle is passed around"};
}

// The slot is alive and of this generation.
bool is_current(const ObjectSlot& slot, Handle handle) {
  std::uint64_t tag = slot.tag.load(std::memory_order_acquire);
  return tag_state(tag) != SlotState::kFree && tag_generation(tag) == handle.generation();
}

bool add_bit(ObjectSlot& slot, std::uint64_t mask) {
  std::uint64_t holders = slot.holders.load(std::memory_order_relaxed);
  do {
    if (holders == 0) return false;
  } while (!slot.holders.compare_exchange_weak(holders, holders | mask, std::memory_order_acq_rel, std::memory_order_relaxed));
  return true;
}

bool may_pass(const Error& why) { return why.code == Errc::kArenaFull || why.code == Errc::kLimit; }

Error unfinished() { return Error{Errc::kUnavailable, "its producer gave up before it was written"}; }

}  // namespace

Hold::Hold(const Hold& other) : store_(other.store_), handle_(other.handle_) {
  if (store_) store_->hold_again(handle_);
}

Hold& Hold::operator=(Hold other) noexcept {
  std::swap(store_, other.store_);
  std::swap(handle_, other.handle_);
  return *this;
}

Hold::~Hold() {
  if (store_) store_->drop(handle_);
}

std::uint64_t Tensor::offset() const { return store()->arena()->offset_of(data_); }

bool Pending::ready() const {
  TV_ASSERT(hold_);
  return hold_.store()->wait_sealed(handle(), Deadline{0}).ok();
}

Result<Tensor> Pending::wait(Deadline deadline) const {
  TV_ASSERT(hold_);
  TV_TRY(hold_.store()->wait_sealed(handle(), deadline));
  return hold_.store()->sealed(hold_);
}

Draft::~Draft() {
  if (!hold_) return;
  // Mostly nobody else has the handle, and nobody has to be told.
  if (hold_.store()->drop_if_sole(handle())) {
    hold_.release();
  } else {
    std::move(*this).fail(unfinished());
  }
}

Tensor Draft::seal() && {
  hold_.store()->finish(handle(), SlotState::kSealed);
  return Tensor(std::move(hold_), spec_, data_, bytes_);
}

void Draft::fail(const Error& why) && {
  Hold hold = std::move(hold_);
  write_failure(*hold.store()->arena(), hold.handle().index(), why);
  hold.store()->finish(hold.handle(), SlotState::kFailed);
}

Store::Store(std::shared_ptr<Arena> arena, ParticipantId self)
    : arena_(std::move(arena)), self_(self), allocator_(*arena_, self),
      patience_(std::clamp<std::int64_t>(arena_->header().patience_ns, 0, limits::kMaxPatienceNs)),
      counts_(arena_->geometry().slots()) {}

Store::~Store() = default;

Result<std::shared_ptr<Store>> Store::open(std::shared_ptr<Arena> arena, ParticipantId self) {
  TV_ASSERT(self < limits::kMaxParticipants);
  return std::shared_ptr<Store>(new Store(std::move(arena), self));
}

void Store::limit(const Limits& limits) {
  allocator_.limit_blocks(limits.blocks);
  most_objects_ = limits.objects;
}

// Before the object is ours, so that we never hold more than we may.
Result<void> Store::count_object() {
  if (most_objects_ == 0) return {};
  if (objects_.fetch_add(1, std::memory_order_relaxed) < most_objects_) return {};
  forget_object();
  return Error{Errc::kOverloaded, "this client holds " + std::to_string(most_objects_) + " tensors, which is what [clients] objects allows each; let go of some"};
}

void Store::forget_object() {
  if (most_objects_ != 0) objects_.fetch_sub(1, std::memory_order_relaxed);
}

Result<Draft> Store::create(const TensorSpec& spec, ActorId creator) {
  return create(spec, creator, patience_);
}

Result<Draft> Store::create(const TensorSpec& spec, ActorId creator, Nanoseconds patience) {
  std::uint64_t bytes = TV_TRY(spec.storage_bytes());
  TV_TRY(count_object());
  auto allocated = allocate(bytes, patience);
  if (!allocated) {
    forget_object();
    return allocated.error();
  }
  auto place = *allocated;

  Origin origin = current_origin();
  write_header(*arena_, place.slot, spec, bytes, origin.label);
  ObjectSlot& slot = arena_->slot(place.slot);
  std::uint64_t generation = (tag_generation(slot.tag.load(std::memory_order_relaxed)) + 1) & Handle::kGenerationMask;
  if (generation == 0) generation = 1;  // zero bits are no handle
  slot.offset = place.offset;
  slot.footprint = place.footprint;
  slot.payload_bytes = bytes;
  slot.created_ns = monotonic_ns();
  slot.creator = self_;
  slot.creator_actor = creator == kNoActor ? origin.actor : creator;
  slot.incarnation = arena_->participant(self_).incarnation.load(std::memory_order_relaxed);
  slot.waiters.store(0, std::memory_order_relaxed);
  {
    std::lock_guard lock(stripe(place.slot));
    counts_[place.slot] = 1;
    // Dead before the tag: a free slot with a bit, which the clean-up clears. Dead after it: an object that only the dead one held.
    slot.holders.store(bit(self_), std::memory_order_release);
    slot.tag.store(make_tag(generation, SlotState::kUnsealed), std::memory_order_release);
  }
  held_.fetch_add(1, std::memory_order_relaxed);
  Hold hold = Hold::adopt(shared_from_this(), Handle::make(place.slot, generation));
  return Draft(std::move(hold), spec, arena_->base() + place.offset, bytes);
}

Result<Allocator::Allocation> Store::allocate(std::uint64_t bytes, Nanoseconds patience) {
  auto place = allocator_.allocate(bytes);
  // More than its kind of participant may have at all: no waiting helps.
  const Geometry& g = arena_->geometry();
  bool never = bytes > std::uint64_t{is_client() ? g.client_blocks : g.worker_blocks()} * limits::kBlockBytes;
  if (place || never || !may_pass(place.error())) return place;
  return wait_for_room(bytes, Deadline::in(patience), place.error());
}

bool Store::is_client() const {
  return arena_->participant(self_).kind.load(std::memory_order_relaxed) == static_cast<std::uint32_t>(ParticipantKind::kClient);
}

// Asks everybody for room, and tries again whenever some has been given back.
Result<Allocator::Allocation> Store::wait_for_room(std::uint64_t bytes, Deadline patience, Error why) {
  ArenaHeader& header = arena_->header();
  while (may_pass(why) && !patience.passed()) {
    header.wanted_bytes.store(std::max<std::uint64_t>(bytes, 1), std::memory_order_relaxed);
    header.room_waiters.store(1, std::memory_order_seq_cst);
    std::uint32_t seen = header.room.load(std::memory_order_seq_cst);
    header.supervisor_bell.fetch_add(1, std::memory_order_seq_cst);
    futex_wake(header.supervisor_bell, 1);
    // What was given back before anybody knew of us is found here; what comes later changes `room`.
    auto place = allocator_.allocate(bytes);
    if (place) {
      header.wanted_bytes.store(0, std::memory_order_relaxed);  // others who wait say it again
      return place;
    }
    why = place.error();
    futex_wait(header.room, seen, Deadline{std::min(patience.ns, Deadline::in(kAskAgain).ns)});
    beat();
  }
  header.wanted_bytes.store(0, std::memory_order_relaxed);
  if (why.code == Errc::kArenaFull)
    why.message += "; " + block_shortage(*arena_, is_client()) + "; " + largest_holders(*arena_) + "; see tensorctl arena top";
  return why;
}

Result<Tensor> Store::put(const TensorSpec& spec, std::span<const std::byte> bytes, ActorId creator) {
  auto draft = TV_TRY(create(spec, creator));
  if (bytes.size() != draft.bytes())
    return Error{Errc::kInvalidArgument, "tensor " + to_string(spec) + " has " + std::to_string(draft.bytes()) + " bytes, not " +
                                             std::to_string(bytes.size())};
  if (!bytes.empty()) std::memcpy(draft.data(), bytes.data(), bytes.size());
  return std::move(draft).seal();
}

// Dead after the tag, before the wake: the clean-up wakes the waiters of every object that the dead one made.
void Store::finish(Handle handle, SlotState state) {
  ObjectSlot& slot = arena_->slot(handle.index());
  slot.tag.store(make_tag(handle.generation(), state), std::memory_order_seq_cst);
  if (slot.waiters.load(std::memory_order_seq_cst) != 0) futex_wake(slot.tag, 1 << 20);
}

// REQUIRES that the caller holds it.
Result<void> Store::wait_sealed(Handle handle, Deadline deadline) const {
  ObjectSlot& slot = arena_->slot(handle.index());
  for (;;) {
    std::uint64_t tag = slot.tag.load(std::memory_order_seq_cst);
    if (tag_state(tag) != SlotState::kUnsealed) return {};
    if (deadline.passed()) return Error{Errc::kDeadlineExceeded, "tensor " + to_string(handle) + " has not been sealed in time"};
    slot.waiters.store(1, std::memory_order_seq_cst);
    // The kernel looks at the tag again: a seal in between changes its low half, the state.
    futex_wait(slot.tag, static_cast<std::uint32_t>(tag), Deadline{std::min(deadline.ns, Deadline::in(kBeatEvery).ns)});
    beat();
  }
}

Result<Tensor> Store::sealed(Hold hold) {
  Handle handle = hold.handle();
  const ObjectSlot& slot = arena_->slot(handle.index());
  SlotState state = tag_state(slot.tag.load(std::memory_order_acquire));
  if (state == SlotState::kFailed) {
    Error why = read_failure(*arena_, handle.index());
    return Error{why.code, "tensor " + to_string(handle) + " will never be there: " + why.message};
  }
  if (state != SlotState::kSealed)
    return Error{Errc::kUnavailable, "tensor " + to_string(handle) + " is still being written; wait for it (Store::wait)"};
  auto content = TV_TRY(read_header(*arena_, handle.index()));
  return Tensor(std::move(hold), content.spec, arena_->base() + content.offset, content.bytes);
}

Result<Tensor> Store::get(Handle handle) {
  TV_TRY(hold(handle));
  return sealed(Hold::adopt(shared_from_this(), handle));
}

Result<Pending> Store::pending(Handle handle) {
  TV_TRY(hold(handle));
  return Pending(Hold::adopt(shared_from_this(), handle));
}

Result<Tensor> Store::wait(Handle handle, Deadline deadline) {
  auto pending = TV_TRY(this->pending(handle));
  return pending.wait(deadline);
}

Result<void> Store::hold(Handle handle) {
  std::uint32_t index = handle.index();
  if (!handle || index >= arena_->geometry().slots())
    return Error{Errc::kInvalidArgument, "handle " + to_string(handle) + " is not of this arena"};
  // A chunk that nobody has leased may have no memory: a look at its slots would ask for some.
  if (arena_->chunk(index / limits::kSlotsPerChunk).owner.load(std::memory_order_relaxed) == 0) return stale(handle);
  ObjectSlot& slot = arena_->slot(index);
  std::lock_guard lock(stripe(index));
  if (counts_[index] > 0) {
    // Held by us, so it lives: the handle is of this life or of an earlier one.
    if (!is_current(slot, handle)) return stale(handle);
    ++counts_[index];
  } else {
    TV_TRY(count_object());
    if (!add_bit(slot, bit(self_))) {
      forget_object();
      return stale(handle);
    }
    // The generation is checked after the bit: from here on it cannot change under us.
    if (!is_current(slot, handle)) {
      forget_object();
      if (slot.holders.fetch_and(~bit(self_), std::memory_order_acq_rel) == bit(self_)) let_go(index);
      return stale(handle);
    }
    counts_[index] = 1;
  }
  held_.fetch_add(1, std::memory_order_relaxed);
  return {};
}

void Store::hold_again(Handle handle) {
  std::lock_guard lock(stripe(handle.index()));
  TV_ASSERT(counts_[handle.index()] > 0);
  ++counts_[handle.index()];
  held_.fetch_add(1, std::memory_order_relaxed);
}

void Store::drop(Handle handle) {
  std::uint32_t index = handle.index();
  ObjectSlot& slot = arena_->slot(index);
  held_.fetch_sub(1, std::memory_order_relaxed);
  std::lock_guard lock(stripe(index));
  TV_ASSERT(counts_[index] > 0);
  if (--counts_[index] > 0) return;
  forget_object();
  // Dead between the two: the clean-up finds an object without holders and marks it.
  if (slot.holders.fetch_and(~bit(self_), std::memory_order_acq_rel) == bit(self_)) let_go(index);
}

// Nobody holds it any more: its memory goes back to its owner, which often is ourselves.
void Store::let_go(std::uint32_t index) {
  if (!allocator_.release(index)) return mark_freed(*arena_, index);
  if (self_ == kSupervisor) allocator_.trim();  // it makes little, and has no use for a block of its own between two of them
}

bool Store::drop_if_sole(Handle handle) {
  std::uint32_t index = handle.index();
  ObjectSlot& slot = arena_->slot(index);
  std::lock_guard lock(stripe(index));
  if (counts_[index] != 1) return false;
  std::uint64_t only_us = bit(self_);
  if (!slot.holders.compare_exchange_strong(only_us, 0, std::memory_order_acq_rel)) return false;
  counts_[index] = 0;
  forget_object();
  held_.fetch_sub(1, std::memory_order_relaxed);
  let_go(index);
  return true;
}

void Store::collect() {
  allocator_.collect();
  if (self_ == kSupervisor) allocator_.trim();
}

void Store::make_room() {
  if (arena_->header().wanted_bytes.load(std::memory_order_relaxed) == 0) return;
  allocator_.collect();
  allocator_.trim();
}

void Store::fail_for(std::uint32_t index, const Error& why) {
  ObjectSlot& slot = arena_->slot(index);
  std::uint64_t headers = arena_->chunk_headers_offset(index / limits::kSlotsPerChunk);
  if (!arena_->allow_writing(headers, kChunkHeaderBytes, true)) return;
  write_failure(*arena_, index, why);
  (void)arena_->allow_writing(headers, kChunkHeaderBytes, false);
  finish(Handle::make(index, tag_generation(slot.tag.load(std::memory_order_relaxed))), SlotState::kFailed);
}

bool Store::holds(std::uint32_t index) const {
  std::lock_guard lock(stripe(index));
  return counts_[index] > 0;
}

std::uint64_t Store::held() const { return held_.load(std::memory_order_relaxed); }

}  // namespace tv::shm
