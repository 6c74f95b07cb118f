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
  std::string commit_error;  // why the last commit that failed did, however long ago
  std::size_t host = 0;      // on which worker it lives: placed.worker, in whose mailbox its mail always is, until it is moved
  std::string moved;         // from where and why, while it lives on another one
};

class Actors {
 public:
  // Writes all actors and pools to the directory.
  static Result<Actors> create(const config::Config& config, shm::DirectoryWriter& directory);

  const std::vector<Actor>& all() const { return actors_; }
  const Actor& operator[](ActorId id) const { return actors_[id]; }
  std::vector<ActorId> of_worker(std::size_t worker) const;
  std::vector<ActorId> of_pool(std::size_t pool) const;
  std::optional<ActorId> find(const std::string& name) const;
  // Known, and lives on that worker.
  bool belongs(ActorId id, std::size_t worker) const { return id < actors_.size() && actors_[id].host == worker; }

  // A process is to host them: each gets its next incarnation.
  std::vector<AssignedActor> assign(std::span<const ActorId> ids);
  std::vector<ActorId> of_mailbox(std::size_t worker) const;  // whose mail is in that worker's mailbox
  // It lives on `host` from now on; `why` is empty when it comes home.
  void move(ActorId id, std::size_t host, std::string why);
  // Tells the directory, if it is something new.
  void set(ActorId id, shm::ActorState state, const std::string& message = {});
  void commit_failed(ActorId id, const std::string& why) { actors_[id].commit_error = why; }

  bool all_well() const;  // every one ready, or stopped because somebody said so
  std::size_t ready_count() const;

 private:
  explicit Actors(shm::DirectoryWriter& directory) : directory_(&directory) {}
  void write(ActorId id);

  shm::DirectoryWriter* directory_;
  std::vector<Actor> actors_;
};

}  // namespace tv::supervisor
