// Actors: what the supervisor knows of every actor, and what the directory in the arena says of it. Decides nothing: supervision.h does.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "config/config.h"
#include "shm/directory.h"
#include "supervisor/assignment.h"
#include "supervisor/placement.h"

namespace tv::supervisor {

struct Actor {
  PlacedActor placed;
  shm::ActorState state = shm::ActorState::kStarting;
  Incarnation incarnation = 0;
  std::string message;  // why it is stopped or failed, or what it waits for
  std::uint16_t flags = 0;  // of shm::ActorWhere
  std::string commit_error;  // why the last commit that failed did, however long ago
  std::optional<bool> healthy;  // says its own check; nothing: it has not been asked in this life
  std::string health_reason;    // of one that is not
  std::size_t host = 0;      // on which worker it lives: placed.worker, in whose mailbox its mail always is, until it is moved
  std::uint64_t starts = 0;  // how often it has become ready, as far as this process knows
  std::string moved;         // from where and why, while it lives on another one
};

struct Handover;  // handover.h

class Actors {
 public:
  // Writes all actors and pools to the directory.
  static Result<Actors> create(const config::Config& config, shm::DirectoryWriter& directory);

  // Actors as an earlier supervisor left them, in a directory that has been taken over. Those that `config` has beyond them are added to it; those
  // that it lacks stay behind as `removed`. kCorrupt when the two cannot be reconciled (place()). Where each lives is what the arena says: who
  // reads its mailbox.
  static Result<Actors> go_on(const config::Config& config, shm::DirectoryWriter& directory, const shm::Arena& arena, const Handover& handover);

  const std::vector<Actor>& all() const { return actors_; }
  const Actor& operator[](ActorId id) const { return actors_[id]; }
  std::vector<ActorId> of_worker(std::size_t worker) const;  // members that its pool may get again included
  std::vector<ActorId> of_pool(std::size_t pool) const;      // members that it has, in order
  std::optional<ActorId> find(const std::string& name) const;
  // Known, and lives on that worker.
  bool belongs(ActorId id, std::size_t worker) const {
    return id < actors_.size() && actors_[id].placed.settled && !actors_[id].placed.removed && actors_[id].host == worker;
  }
  std::vector<ActorId> possible_of_pool(std::size_t pool) const;  // those that it may get included
  // The member is there from now on. One that has not been yet gets this worker for good, whose mailbox is its own; true if so.
  bool admit(ActorId id, std::size_t worker);
  void dismiss(ActorId id) { actors_[id].placed.present = false; }
  std::size_t present_count() const;

  // A process is to host them: each gets its next incarnation.
  std::vector<AssignedActor> assign(std::span<const ActorId> ids);
  std::vector<ActorId> of_mailbox(std::size_t worker) const;  // whose mail is in that worker's mailbox
  // It lives on `host` from now on; `why` is empty when it comes home.
  void move(ActorId id, std::size_t host, std::string why);
  // Tells the directory, if it is something new.
  void set(ActorId id, shm::ActorState state, const std::string& message = {});
  void set_flags(ActorId id, std::uint16_t flags);
  void commit_failed(ActorId id, const std::string& why) { actors_[id].commit_error = why; }

  // Forgotten when it is not ready any more.
  void set_health(ActorId id, bool healthy, const std::string& reason);
  std::vector<ActorId> unhealthy() const;

  bool all_well() const;  // every one ready, or stopped because somebody said so
  std::size_t ready_count() const;

 private:
  explicit Actors(shm::DirectoryWriter& directory) : directory_(&directory) {}
  Result<void> add(const config::Config& config, Placement placement);
  void write(ActorId id);

  shm::DirectoryWriter* directory_;
  std::vector<Actor> actors_;
};

}  // namespace tv::supervisor
