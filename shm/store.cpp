#include "shm/store.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "shm/doorbell.h"

namespace tv::shm {
namespace {

Error stale(Handle handle) {
  return Error{Errc::kStaleHandle, "handle " + to_string(handle) + " is stale: its tensor has been freed; hold a tensor for as long as "
                                   "its handle is passed around"};
}

// Says that an object has lost its last holder: the bit first, then the word that makes the owner look.
void mark_freed(const Arena& arena, std::uint32_t index) {
  ChunkEntry& chunk = arena.chunk(index / limits::kSlotsPerChunk);
  std::uint32_t i = index % limits::kSlotsPerChunk;
  chunk.freed[i / 64].fetch_or(std::uint64_t{1} << (i % 64), std::memory_order_seq_cst);
  std::uint64_t owner = chunk.owner.load(std::memory_order_seq_cst);
  if (owner > 0 && owner <= limits::kMaxParticipants)
    arena.participant(static_cast<ParticipantId>(owner - 1)).freed.store(1, std::memory_order_seq_cst);
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

// The header lies in the block of another participant: believed only as far as it fits the slot.
Result<TensorSpec> read_header(const Arena& arena, const ObjectSlot& slot) {
  std::uint64_t end = slot.offset + slot.footprint;
  if (slot.offset < arena.geometry().blocks_at || end > arena.geometry().total_bytes || end < slot.offset ||
      slot.payload_bytes + sizeof(TensorHeader) > slot.footprint)
    return Error{Errc::kCorrupt, "an object's slot points outside the arena"};
  TensorHeader header;
  std::memcpy(&header, arena.base() + slot.offset, sizeof header);
  auto dtype = dtype_from_number(header.dtype);
  if (header.magic != kTensorMagic || !dtype || header.dims > limits::kMaxDims || header.storage_bytes != slot.payload_bytes)
    return Error{Errc::kCorrupt, "an object's header holds nonsense"};
  TensorSpec spec;
  spec.dtype = *dtype;
  spec.dims = header.dims;
  std::copy(std::begin(header.shape), std::end(header.shape), spec.shape.begin());
  std::copy(std::begin(header.strides), std::end(header.strides), spec.strides.begin());
  spec.scale = header.scale;
  spec.zero_point = header.zero_point;
  auto bytes = spec.storage_bytes();
  if (!bytes || *bytes != header.storage_bytes) return Error{Errc::kCorrupt, "an object's header contradicts its size"};
  return spec;
}

void write_header(const Arena& arena, std::uint64_t offset, const TensorSpec& spec, std::uint64_t bytes) {
  auto* header = new (arena.base() + offset) TensorHeader{};
  header->magic = kTensorMagic;
  header->dtype = static_cast<std::uint8_t>(spec.dtype);
  header->dims = spec.dims;
  header->storage_bytes = bytes;
  std::copy(spec.shape.begin(), spec.shape.end(), header->shape);
  std::copy(spec.strides.begin(), spec.strides.end(), header->strides);
  header->scale = spec.scale;
  header->zero_point = spec.zero_point;
}

std::size_t counts_bytes(const Arena& arena) { return std::size_t{arena.geometry().slots()} * sizeof(std::uint32_t); }

}  // namespace

Tensor::Tensor(std::shared_ptr<Store> store, Handle handle, TensorSpec spec, const void* data, std::uint64_t bytes)
    : store_(std::move(store)), handle_(handle), spec_(std::make_shared<const TensorSpec>(spec)), data_(data), bytes_(bytes) {}

Tensor::Tensor(const Tensor& other)
    : store_(other.store_), handle_(other.handle_), spec_(other.spec_), data_(other.data_), bytes_(other.bytes_) {
  if (store_) TV_ASSERT(store_->hold(handle_).ok());  // held already: cannot fail
}

Tensor& Tensor::operator=(Tensor other) noexcept {
  std::swap(store_, other.store_);
  std::swap(handle_, other.handle_);
  std::swap(spec_, other.spec_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Tensor::~Tensor() {
  if (store_) store_->drop(handle_);
}

std::uint64_t Tensor::offset() const { return store_->arena()->offset_of(data_); }

Draft::~Draft() {
  if (store_) store_->drop(handle_);
}

Tensor Draft::seal() && {
  store_->seal(handle_);
  return Tensor(std::move(store_), handle_, spec_, data_, bytes_);
}

Store::Store(std::shared_ptr<Arena> arena, ParticipantId self)
    : arena_(std::move(arena)), self_(self), allocator_(arena_, self), counts_(nullptr, nullptr) {}

Store::~Store() {
  if (counts_) ::munmap(counts_.release(), counts_bytes(*arena_));
}

Result<std::shared_ptr<Store>> Store::open(std::shared_ptr<Arena> arena, ParticipantId self) {
  TV_ASSERT(self < limits::kMaxParticipants);
  std::shared_ptr<Store> store(new Store(std::move(arena), self));
  void* counts = ::mmap(nullptr, counts_bytes(*store->arena_), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (counts == MAP_FAILED) return system_error("cannot map the table of references", errno);
  // Unmapped by the destructor, which knows its size.
  store->counts_ = {static_cast<std::uint32_t*>(counts), [](std::uint32_t*) {}};
  return store;
}

Result<Draft> Store::create(const TensorSpec& spec, ActorId creator) {
  std::uint64_t bytes = TV_TRY(spec.storage_bytes());
  std::uint64_t total = sizeof(TensorHeader) + (bytes + limits::kAlignment - 1) / limits::kAlignment * limits::kAlignment;
  auto place = TV_TRY(allocator_.allocate(total));

  write_header(*arena_, place.offset, spec, bytes);
  ObjectSlot& slot = arena_->slot(place.slot);
  std::uint64_t generation = (tag_generation(slot.tag.load(std::memory_order_relaxed)) + 1) & Handle::kGenerationMask;
  if (generation == 0) generation = 1;  // zero bits are no handle
  slot.offset = place.offset;
  slot.footprint = place.footprint;
  slot.payload_bytes = bytes;
  slot.created_ns = monotonic_ns();
  slot.creator = self_;
  slot.creator_actor = creator;
  {
    std::lock_guard lock(stripe(place.slot));
    counts_[place.slot] = 1;
    // Dead before the tag: a free slot with a bit, which the clean-up clears. Dead after it: an object that only the dead one held.
    slot.holders.store(bit(self_), std::memory_order_release);
    slot.tag.store(make_tag(generation, SlotState::kUnsealed), std::memory_order_release);
  }
  held_.fetch_add(1, std::memory_order_relaxed);
  return Draft(shared_from_this(), Handle::make(place.slot, generation), spec, arena_->base() + place.offset + sizeof(TensorHeader), bytes);
}

Result<Tensor> Store::put(const TensorSpec& spec, std::span<const std::byte> bytes, ActorId creator) {
  auto draft = TV_TRY(create(spec, creator));
  if (bytes.size() != draft.bytes())
    return Error{Errc::kInvalidArgument, "tensor " + to_string(spec) + " has " + std::to_string(draft.bytes()) + " bytes, not " +
                                             std::to_string(bytes.size())};
  if (!bytes.empty()) std::memcpy(draft.data(), bytes.data(), bytes.size());
  return std::move(draft).seal();
}

void Store::seal(Handle handle) {
  ObjectSlot& slot = arena_->slot(handle.index());
  slot.tag.store(make_tag(handle.generation(), SlotState::kSealed), std::memory_order_release);
  if (slot.waiters.load(std::memory_order_acquire) != 0) futex_wake(slot.waiters, 1 << 20);
}

Result<Tensor> Store::get(Handle handle) {
  if (auto held = hold(handle); !held) return held.error();
  const ObjectSlot& slot = arena_->slot(handle.index());
  SlotState state = tag_state(slot.tag.load(std::memory_order_acquire));
  if (state != SlotState::kSealed) {
    drop(handle);
    if (state == SlotState::kFailed)
      return Error{Errc::kUnavailable, "tensor " + to_string(handle) + " will never be there: its producer died while writing it"};
    return Error{Errc::kUnavailable, "tensor " + to_string(handle) + " is still being written; pass handles on after seal()"};
  }
  auto spec = read_header(*arena_, slot);
  if (!spec) {
    drop(handle);
    return spec.error();
  }
  return Tensor(shared_from_this(), handle, *spec, arena_->base() + slot.offset + sizeof(TensorHeader), slot.payload_bytes);
}

Result<void> Store::hold(Handle handle) {
  std::uint32_t index = handle.index();
  if (!handle || index >= arena_->geometry().slots())
    return Error{Errc::kInvalidArgument, "handle " + to_string(handle) + " is not of this arena"};
  ObjectSlot& slot = arena_->slot(index);
  std::lock_guard lock(stripe(index));
  if (counts_[index] > 0) {
    // Held by us, so it lives: the handle is of this life or of an earlier one.
    if (!is_current(slot, handle)) return stale(handle);
    ++counts_[index];
  } else {
    if (!add_bit(slot, bit(self_))) return stale(handle);
    // The generation is checked after the bit: from here on it cannot change under us.
    if (!is_current(slot, handle)) {
      if (slot.holders.fetch_and(~bit(self_), std::memory_order_acq_rel) == bit(self_)) mark_freed(*arena_, index);
      return stale(handle);
    }
    counts_[index] = 1;
  }
  held_.fetch_add(1, std::memory_order_relaxed);
  return {};
}

void Store::drop(Handle handle) {
  std::uint32_t index = handle.index();
  ObjectSlot& slot = arena_->slot(index);
  held_.fetch_sub(1, std::memory_order_relaxed);
  std::lock_guard lock(stripe(index));
  TV_ASSERT(counts_[index] > 0);
  if (--counts_[index] > 0) return;
  // Dead between the two: the clean-up finds an object without holders and marks it.
  if (slot.holders.fetch_and(~bit(self_), std::memory_order_acq_rel) == bit(self_)) mark_freed(*arena_, index);
}

void Store::collect() { allocator_.collect(); }

std::uint64_t Store::held() const { return held_.load(std::memory_order_relaxed); }

}  // namespace tv::shm
