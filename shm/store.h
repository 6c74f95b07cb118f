// Store: one participant's door to the objects of the arena. Creates, holds and drops; hands out Tensors that hold while they live.
//
// Each process makes one for its participant number. Thread-safe. Private counts say how often this process refers to an object; the
// shared word has one bit for all of them, so a crash leaves one bit to clear and no count to mend.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "shm/allocator.h"
#include "shm/arena.h"
#include "shm/handle.h"
#include "shm/tensor_spec.h"

namespace tv::shm {

class Store;

// A sealed tensor, held while this object lives. Copies are cheap (a private count); moving is free. Its bytes never change.
class Tensor {
 public:
  Tensor() = default;
  Tensor(const Tensor& other);
  Tensor(Tensor&& other) noexcept = default;
  Tensor& operator=(Tensor other) noexcept;
  ~Tensor();

  explicit operator bool() const { return store_ != nullptr; }
  Handle handle() const { return handle_; }
  const TensorSpec& spec() const { return *spec_; }
  const void* data() const { return data_; }
  std::uint64_t bytes() const { return bytes_; }
  // From the arena's beginning: the same in every process.
  std::uint64_t offset() const;
  const std::shared_ptr<Store>& store() const { return store_; }

 private:
  friend class Store;
  friend class Draft;
  Tensor(std::shared_ptr<Store> store, Handle handle, TensorSpec spec, const void* data, std::uint64_t bytes);

  std::shared_ptr<Store> store_;
  Handle handle_;
  std::shared_ptr<const TensorSpec> spec_;
  const void* data_ = nullptr;
  std::uint64_t bytes_ = 0;
};

// A tensor that is being written. Dropped unsealed, its memory is given back.
class Draft {
 public:
  Draft(Draft&&) noexcept = default;
  Draft& operator=(Draft&&) = delete;
  ~Draft();

  void* data() const { return data_; }
  std::uint64_t bytes() const { return bytes_; }
  std::span<std::byte> span() const { return {static_cast<std::byte*>(data_), bytes_}; }
  Handle handle() const { return handle_; }
  const TensorSpec& spec() const { return spec_; }

  // Makes the content final and visible. The draft is spent.
  Tensor seal() &&;

 private:
  friend class Store;
  Draft(std::shared_ptr<Store> store, Handle handle, const TensorSpec& spec, void* data, std::uint64_t bytes)
      : store_(std::move(store)), handle_(handle), spec_(spec), data_(data), bytes_(bytes) {}

  std::shared_ptr<Store> store_;
  Handle handle_;
  TensorSpec spec_;
  void* data_;
  std::uint64_t bytes_;
};

class Store : public std::enable_shared_from_this<Store> {
 public:
  // The participant's slot must belong to this process (the supervisor gave it the number). `self` may be kSupervisor.
  static Result<std::shared_ptr<Store>> open(std::shared_ptr<Arena> arena, ParticipantId self);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  const std::shared_ptr<Arena>& arena() const { return arena_; }
  ParticipantId self() const { return self_; }

  // Unsealed and writable, 64-byte aligned. Errors: kArenaFull (names [arena] size), kLimit ([arena] objects), kOutOfMemory,
  // kInvalidArgument (a spec that cannot be).
  Result<Draft> create(const TensorSpec& spec, ActorId creator = kNoActor);
  // create, copy, seal. `bytes` must be what spec.storage_bytes() says.
  Result<Tensor> put(const TensorSpec& spec, std::span<const std::byte> bytes, ActorId creator = kNoActor);
  // kStaleHandle when the object is gone; kUnavailable when it is not sealed.
  Result<Tensor> get(Handle handle);

  // The private count itself, for those who keep handles rather than Tensors (mail in flight, the supervisor's custody).
  Result<void> hold(Handle handle);
  void drop(Handle handle);  // must balance a hold

  // Takes back what others have freed. Called by create when it needs room; by the supervisor now and then.
  void collect();

  // How many objects this process refers to.
  std::uint64_t held() const;

  // Supervisor only: makes chunks and blocks of a dead participant its own (shm/recover.h).
  void adopt(std::uint32_t chunk) { allocator_.adopt_chunk(chunk); }

 private:
  friend class Tensor;
  friend class Draft;
  Store(std::shared_ptr<Arena> arena, ParticipantId self);
  void seal(Handle handle);

  static constexpr std::size_t kStripes = 64;
  std::mutex& stripe(std::uint32_t index) const { return stripes_[index % kStripes]; }

  std::shared_ptr<Arena> arena_;
  ParticipantId self_;
  Allocator allocator_;
  mutable std::mutex stripes_[kStripes];   // guard counts_ by index
  std::unique_ptr<std::uint32_t[], void (*)(std::uint32_t*)> counts_;  // one a slot; untouched pages cost nothing
  std::atomic<std::uint64_t> held_{0};
};

}  // namespace tv::shm
