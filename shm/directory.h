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
  Handle handle;
  std::uint64_t version = 0;  // 1 for the first publication
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
  ActorWhere where(ActorId id) const;             // kUnused for an unknown one
  std::string actor_message(ActorId id) const;
  PoolView pool(std::uint32_t index) const;       // of size 0 for an unknown one
  std::string participant_name(ParticipantId id) const;

  std::optional<NamedHandle> find_name(std::string_view name) const;
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

  // In the order of their ids; a pool's members follow each other.
  Result<ActorId> add_actor(std::string_view name, std::string_view type, ParticipantId participant, std::uint32_t pool = 0xffff'ffff);
  Result<std::uint32_t> add_pool(std::string_view name, std::string_view type, ActorId first, std::uint32_t size, std::uint32_t routing);
  // Changes where and why, then rings every doorbell with the supervisor's bit, so that callers look at their open calls.
  void set_actor(ActorId id, ActorWhere where, std::string_view message = {});
  void set_participant(ParticipantId id, ParticipantKind kind, std::int32_t pid, Incarnation incarnation, std::string_view name);

  // The caller holds the handle while it is published. Returns the version, and the handle that was replaced (0: none).
  struct Replaced {
    std::uint64_t version;
    Handle previous;
  };
  Result<Replaced> publish(std::string_view name, Handle handle);
  Result<Handle> withdraw(std::string_view name);

 private:
  void announce();

  std::shared_ptr<Arena> arena_;
  std::uint32_t actors_ = 0;
  std::uint32_t pools_ = 0;
  std::uint32_t names_ = 0;
};

}  // namespace tv::shm
