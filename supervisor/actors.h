// Actors: what the supervisor knows of every actor, and what the directory in the arena says of it. Decides nothing about processes.
#pragma once

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
  std::string message;  // why it is stopped or failed
  bool wanted = true;   // false: left out of its worker's next assignment
  bool hosted = false;  // the worker's present process knows it
};

// How a worker's process ended, as far as its actors are concerned.
enum class Ending { kAsked, kNormal, kAbnormal };

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
  bool belongs(ActorId id, std::size_t worker) const { return id < actors_.size() && actors_[id].placed.worker == worker; }

  // The worker gets a new process: the next incarnation of those that are wanted, in the order of their ids.
  std::vector<AssignedActor> assign(std::size_t worker);
  void ready(ActorId id);
  void failed(ActorId id, const std::string& why);
  // The worker's process has ended, and the worker is to come back. Restart types decide who comes back with it.
  void worker_ended(std::size_t worker, Ending ending);
  void worker_stopped(std::size_t worker);
  void worker_failed(std::size_t worker, const std::string& why);

  void stop(ActorId id);     // not wanted any more
  void withhold(ActorId id, const std::string& why);  // not wanted, and failed, until restart()
  void restart(ActorId id);  // wanted; restarting or starting until it is ready

  bool all_settled() const;  // none is starting or restarting
  bool all_well() const;     // every one ready, or stopped because somebody said so
  std::size_t ready_count() const;

 private:
  explicit Actors(shm::DirectoryWriter& directory) : directory_(&directory) {}
  void set(ActorId id, shm::ActorState state, std::string message = {});

  shm::DirectoryWriter* directory_;
  std::vector<Actor> actors_;
};

}  // namespace tv::supervisor
