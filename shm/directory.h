// The directory in the arena: who is where. Actors, pools and named objects, written by the supervisor alone, read by everybody
// without asking it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shm/arena.h"
#include "shm/handle.h"

namespace tv::shm {

std::string_view actor_state_name(ActorState state);

struct NamedHandle {
  Handle handle;              // 0 for one that was spilled
  std::uint64_t version = 0;  // 1 for the first publication; only ever grows
  NamePlace place = NamePlace::kArena;
  std::uint32_t entry = 0;  // in the table of names
  std::uint32_t care = 0;   // kNameCached, kNamePinned
};

// A pool as its entry says, in bounds whatever it says: members are ActorIds below kMaxActors.
struct PoolView {
  std::string_view name;
  std::string_view type;
  ActorId first = 0;
  std::uint32_t size = 0;
  std::uint32_t routing = 0;  // config::Routing
};

// Readers. Thread-safe, wait-free but for retries while the supervisor writes the same entry.
class Directory {
 public:
  explicit Directory(std::shared_ptr<Arena> arena) : arena_(std::move(arena)) {}

  std::optional<ActorId> find_actor(std::string_view name) const;
  std::optional<std::uint32_t> find_pool(std::string_view name) const;
  std::uint32_t actor_count() const;
  std::uint32_t pool_count() const;
  std::string_view actor_name(ActorId id) const;  // "" for an unknown one
  std::string_view actor_type(ActorId id) const;
  ActorWhere where(ActorId id) const;  // kUnused for an unknown one
  std::string actor_message(ActorId id) const;
  PoolView pool(std::uint32_t index) const;       // of size 0 for an unknown one
  std::string participant_name(ParticipantId id) const;

  std::optional<NamedHandle> find_name(std::string_view name) const;
  // Tells the supervisor, without waking it, that the name has been used now: what was used least lately is evicted first.
  void note_use(std::uint32_t entry) const;
  std::vector<std::pair<std::string, NamedHandle>> names() const;
  std::uint64_t version() const { return arena_->header().directory_version.load(std::memory_order_acquire); }
  const std::shared_ptr<Arena>& arena() const { return arena_; }

 private:
  std::shared_ptr<Arena> arena_;
};

// The supervisor's side. One thread of one process.
class DirectoryWriter {
 public:
  explicit DirectoryWriter(std::shared_ptr<Arena> arena) : arena_(std::move(arena)) {}

  // Goes on where an earlier supervisor of this arena was when it died; makes entries whole that it was writing.
  void take_over();

  // In the order of their ids; a pool's members follow each other.
  Result<ActorId> add_actor(std::string_view name, std::string_view type, ParticipantId participant, std::uint32_t pool = 0xffff'ffff);
  Result<std::uint32_t> add_pool(std::string_view name, std::string_view type, ActorId first, std::uint32_t size, std::uint32_t routing);
  // The actor of that number: added if it is the next one, else there under that name already. kCorrupt if the number is another's.
  Result<void> have_actor(ActorId id, std::string_view name, std::string_view type, ParticipantId participant, std::uint32_t pool);
  std::uint32_t pools() const { return pools_; }
  std::optional<std::uint32_t> find_pool(std::string_view name) const;
  // Callers see it with their next call.
  void set_routing(std::uint32_t pool, std::uint32_t routing);
  // Changes where and why, then rings every doorbell with the supervisor's bit, so that callers look at their open calls.
  void set_actor(ActorId id, ActorWhere where, std::string_view message = {});
  void set_participant(ParticipantId id, ParticipantKind kind, std::int32_t pid, Incarnation incarnation, std::string_view name);

  // The caller holds the handle while it is published. Returns the version, the handle that was replaced (0: none), and the entry.
  // `care`: kNameCached, kNamePinned.
  struct Replaced {
    std::uint64_t version;
    Handle previous;
    std::uint32_t entry;
  };
  Result<Replaced> publish(std::string_view name, Handle handle, std::uint32_t care = 0);
  void set_care(std::uint32_t entry, std::uint32_t care) { arena_->name(entry).care.store(care, std::memory_order_release); }
  Result<Handle> withdraw(std::string_view name);

  // For the cache, by entry. Readers of the entry wait while `let_go` runs, and then find the name gone, or spilled (its version stays); if
  // it returns false nothing has changed.
  template <class LetGo>
  bool evict(std::uint32_t entry, NamePlace to, LetGo let_go);
  // A spilled one is in the arena again.
  void restore(std::uint32_t entry, Handle handle);

 private:
  // The entry of a name that is in use.
  NameEntry* find(std::string_view name);
  void retire(NameEntry& entry);
  void forget_retired();
  void announce();

  std::shared_ptr<Arena> arena_;
  std::uint32_t actors_ = 0;
  std::uint32_t pools_ = 0;
  // Entries of withdrawn names lengthen every probe: beyond so many of them those at the ends of probes are forgotten.
  std::uint32_t retired_ = 0;
  std::uint32_t forget_at_ = limits::kMaxNames / 4;
  std::uint64_t forgotten_version_ = 0;  // the highest of names whose entries have been given up: new names begin behind it
};

// The sequence lock of a directory entry, held by its one writer.
class EntryLock {
 public:
  explicit EntryLock(HalfWord& sequence) : sequence_(sequence) {
    // Odd already if a supervisor died here: its entry is rewritten now.
    start_ = sequence.load(std::memory_order_relaxed) | 1;
    sequence.store(start_, std::memory_order_relaxed);  // what follows are release stores
  }
  ~EntryLock() { sequence_.store(start_ + 1, std::memory_order_release); }
  EntryLock(const EntryLock&) = delete;
  EntryLock& operator=(const EntryLock&) = delete;

 private:
  HalfWord& sequence_;
  std::uint32_t start_;
};

template <class LetGo>
bool DirectoryWriter::evict(std::uint32_t entry, NamePlace to, LetGo let_go) {
  NameEntry& name = arena_->name(entry);
  {
    EntryLock lock(name.sequence);
    if (!let_go()) return false;
    name.handle.store(0, std::memory_order_release);
    name.place.store(static_cast<std::uint32_t>(to), std::memory_order_release);
  }
  if (to == NamePlace::kArena) retire(name);
  return true;
}

}  // namespace tv::shm
