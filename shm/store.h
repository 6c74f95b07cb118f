// Store: one participant's door to the objects of the arena. Creates, holds and drops; hands out Tensors that hold while they live.
//
// The life of an object: created, unsealed and writable by its creator alone (Draft); sealed with a value (Tensor), or with an error;
// freed when nobody holds it any more. Its handle may be passed on before it is sealed (Pending): who needs the value waits for it, with a
// deadline. When its creator dies first, it is sealed with an error that names the creator and the cause.
//
// Each process makes one for its participant number. Thread-safe. Private counts say how often this process refers to an object; the
// shared word has one bit for all of them, so a crash leaves one bit to clear and no count to mend.
#pragma once

#include <memory>
#include <mutex>
#include <span>

#include "shm/allocator.h"
#include "shm/arena.h"
#include "shm/handle.h"
#include "shm/lazy_array.h"
#include "shm/tensor_spec.h"

namespace tv::shm {

class Store;

// One reference of this process to an object, whatever the object's state. Copies are cheap (a private count); moving is free.
class Hold {
 public:
  Hold() = default;
  // Takes over a count that the store has already.
  static Hold adopt(std::shared_ptr<Store> store, Handle handle) { return Hold(std::move(store), handle); }
  // Leaves the count to the store.
  void release() { store_.reset(); }
  Hold(const Hold& other);
  Hold(Hold&& other) noexcept = default;
  Hold& operator=(Hold other) noexcept;
  ~Hold();

  explicit operator bool() const { return store_ != nullptr; }
  Handle handle() const { return handle_; }
  const std::shared_ptr<Store>& store() const { return store_; }

 private:
  Hold(std::shared_ptr<Store> store, Handle handle) : store_(std::move(store)), handle_(handle) {}

  std::shared_ptr<Store> store_;
  Handle handle_;
};

// A sealed tensor, held while this object lives. Its bytes never change.
class Tensor {
 public:
  Tensor() = default;

  explicit operator bool() const { return static_cast<bool>(hold_); }
  Handle handle() const { return hold_.handle(); }
  const TensorSpec& spec() const { return spec_; }
  const void* data() const { return data_; }
  std::uint64_t bytes() const { return bytes_; }
  // From the arena's beginning: the same in every process.
  std::uint64_t offset() const;
  const std::shared_ptr<Store>& store() const { return hold_.store(); }
  const Hold& hold() const { return hold_; }

 private:
  friend class Store;
  friend class Draft;
  Tensor(Hold hold, const TensorSpec& spec, const void* data, std::uint64_t bytes)
      : hold_(std::move(hold)), spec_(spec), data_(data), bytes_(bytes) {}

  Hold hold_;
  TensorSpec spec_;
  const void* data_ = nullptr;
  std::uint64_t bytes_ = 0;
};

// A tensor that may still be unsealed, held while this object lives.
class Pending {
 public:
  Pending() = default;
  explicit Pending(Hold hold) : hold_(std::move(hold)) {}

  explicit operator bool() const { return static_cast<bool>(hold_); }
  Handle handle() const { return hold_.handle(); }
  const Hold& hold() const { return hold_; }
  bool ready() const;  // sealed, with a value or an error
  // The value once it is there; the error that it was sealed with; kDeadlineExceeded.
  Result<Tensor> wait(Deadline deadline) const;

 private:
  Hold hold_;
};

// A tensor that is being written. Dropped unsealed, it is sealed with an error, and its memory is given back once nobody waits for it.
class Draft {
 public:
  Draft(Draft&&) noexcept = default;
  Draft& operator=(Draft&&) = delete;
  ~Draft();

  void* data() const { return data_; }
  std::uint64_t bytes() const { return bytes_; }
  std::span<std::byte> span() const { return {static_cast<std::byte*>(data_), bytes_}; }
  Handle handle() const { return hold_.handle(); }
  const TensorSpec& spec() const { return spec_; }
  // For those who are to have it before it is sealed.
  Pending pending() const { return Pending(hold_); }

  // Makes the content final and visible. The draft is spent.
  Tensor seal() &&;
  // There will be no content: who waits for it gets this error (at most 184 bytes of its text). The draft is spent.
  void fail(const Error& why) &&;

 private:
  friend class Store;
  Draft(Hold hold, const TensorSpec& spec, void* data, std::uint64_t bytes)
      : hold_(std::move(hold)), spec_(spec), data_(data), bytes_(bytes) {}

  Hold hold_;
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

  // What this participant may have at once ([clients]); 0: no limit. Beyond, making or holding one more is kOverloaded. Before anything is made or held.
  struct Limits {
    std::uint32_t blocks = 0;   // leased
    std::uint32_t objects = 0;  // referred to
  };
  void limit(const Limits& limits);

  const std::shared_ptr<Arena>& arena() const { return arena_; }
  ParticipantId self() const { return self_; }

  // Unsealed and writable, 64-byte aligned. When the arena is full, waits for as long as its patience says ([arena] patience) while
  // participants give back what they keep and the supervisor evicts. Errors: kArenaFull (names [arena] size and who holds the most), kLimit
  // ([arena] objects), kOutOfMemory (of the machine), kInvalidArgument (a spec that cannot be). `creator`: current_origin() by default.
  Result<Draft> create(const TensorSpec& spec, ActorId creator = kNoActor);
  Result<Draft> create(const TensorSpec& spec, ActorId creator, Nanoseconds patience);
  // create, copy, seal. `bytes` must be what spec.storage_bytes() says.
  Result<Tensor> put(const TensorSpec& spec, std::span<const std::byte> bytes, ActorId creator = kNoActor);
  // kStaleHandle when the object is gone; kUnavailable when it is not sealed; the error that it was sealed with.
  Result<Tensor> get(Handle handle);
  // The same for one that may still be unsealed: get it and wait, or hold it.
  Result<Pending> pending(Handle handle);
  Result<Tensor> wait(Handle handle, Deadline deadline);

  // The private count itself, for those who keep handles rather than Tensors (mail in flight, the supervisor's custody).
  Result<void> hold(Handle handle);
  void drop(Handle handle);  // must balance a hold
  // One more count of what we hold already. Looks at no shared word.
  void hold_again(Handle handle);
  // Drops our only count if no other participant holds the object, and frees it; false, and nothing done, otherwise.
  bool drop_if_sole(Handle handle);

  // Takes back what others have freed. Called by create when it needs room; by the supervisor now and then.
  void collect();
  // Gives back all but a few of the blocks that are kept though nothing lies in them. Called by whoever has been idle for a while.
  void trim_idle() { allocator_.trim_idle(); }
  // Gives back everything that is not used, if somebody waits for room. Called by whoever receives mail, when the supervisor rings.
  void make_room();

  // Whether this process refers to whatever lives in the slot.
  bool holds(std::uint32_t slot) const;
  // How many objects this process refers to.
  std::uint64_t held() const;

  // Supervisor only: makes chunks and blocks of a dead participant its own (shm/recover.h).
  void adopt(std::uint32_t chunk) { allocator_.adopt_chunk(chunk); }
  // Supervisor only: seals an unsealed object of an adopted chunk with an error, and wakes those who wait for it.
  void fail_for(std::uint32_t slot, const Error& why);

 private:
  friend class Draft;
  friend class Pending;
  Store(std::shared_ptr<Arena> arena, ParticipantId self);
  Result<Allocator::Allocation> allocate(std::uint64_t bytes, Nanoseconds patience);
  Result<Allocator::Allocation> wait_for_room(std::uint64_t bytes, Deadline patience, Error why);
  bool is_client() const;
  void finish(Handle handle, SlotState state);
  Result<Tensor> sealed(Hold hold);
  Result<void> wait_sealed(Handle handle, Deadline deadline) const;
  void let_go(std::uint32_t index);
  Result<void> count_object();
  void forget_object();

  static constexpr std::size_t kStripes = 64;
  std::mutex& stripe(std::uint32_t index) const { return stripes_[index % kStripes]; }

  const std::shared_ptr<Arena> arena_;
  const ParticipantId self_;
  Allocator allocator_;
  const Nanoseconds patience_;  // of the arena, as it was when we came
  mutable std::mutex stripes_[kStripes];  // guard counts_ by index
  LazyArray<std::uint32_t> counts_;       // one a slot
  std::atomic<std::uint64_t> held_{0};
  std::uint32_t most_objects_ = 0;
  std::atomic<std::uint32_t> objects_{0};  // that counts_ has; kept where there is a limit
};

}  // namespace tv::shm
