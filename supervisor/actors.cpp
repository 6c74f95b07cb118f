#include "supervisor/actors.h"

#include <algorithm>

namespace tv::supervisor {
namespace {

using shm::ActorState;

ParticipantId participant_of(std::size_t worker) { return static_cast<ParticipantId>(worker) + 1; }

bool comes_back(config::RestartType type, Ending ending) {
  if (ending == Ending::kAsked) return true;  // somebody restarts the worker with all that is in it
  switch (type) {
    case config::RestartType::kPermanent: return true;
    case config::RestartType::kTransient: return ending == Ending::kAbnormal;
    case config::RestartType::kTemporary: return false;
  }
  return true;
}

}  // namespace

Result<Actors> Actors::create(const config::Config& config, shm::DirectoryWriter& directory) {
  Placement placement = TV_TRY(place(config));
  Actors actors(directory);
  for (auto& placed : placement.actors) {
    std::uint32_t pool = placed.pool ? static_cast<std::uint32_t>(*placed.pool) : 0xffff'ffff;
    ActorId id = TV_TRY(directory.add_actor(placed.name, placed.type, participant_of(placed.worker), pool));
    TV_ASSERT(id == actors.actors_.size());
    actors.actors_.push_back({std::move(placed)});
  }
  for (std::size_t p = 0; p < config.pools.size(); ++p) {
    const auto& pool = config.pools[p];
    TV_TRY(directory.add_pool(pool.name, pool.type, placement.first_member[p], pool.size, static_cast<std::uint32_t>(pool.routing)));
  }
  return actors;
}

std::vector<ActorId> Actors::of_worker(std::size_t worker) const {
  std::vector<ActorId> ids;
  for (ActorId id = 0; id < actors_.size(); ++id)
    if (actors_[id].placed.worker == worker) ids.push_back(id);
  return ids;
}

std::vector<ActorId> Actors::of_pool(std::size_t pool) const {
  std::vector<ActorId> ids;
  for (ActorId id = 0; id < actors_.size(); ++id)
    if (actors_[id].placed.pool == pool) ids.push_back(id);
  return ids;
}

std::optional<ActorId> Actors::find(const std::string& name) const {
  for (ActorId id = 0; id < actors_.size(); ++id)
    if (actors_[id].placed.name == name) return id;
  return std::nullopt;
}

std::vector<AssignedActor> Actors::assign(std::size_t worker) {
  std::vector<AssignedActor> assigned;
  for (ActorId id : of_worker(worker)) {
    Actor& actor = actors_[id];
    actor.hosted = actor.wanted;
    if (!actor.wanted) continue;
    ++actor.incarnation;
    // Mail waits in both states; callers see the difference.
    set(id, actor.state == ActorState::kRestarting ? ActorState::kRestarting : ActorState::kStarting);
    assigned.push_back({id, actor.incarnation, &actor.placed});
  }
  return assigned;
}

void Actors::ready(ActorId id) { set(id, ActorState::kReady); }

void Actors::failed(ActorId id, const std::string& why) { set(id, ActorState::kFailed, why); }

void Actors::worker_ended(std::size_t worker, Ending ending) {
  for (ActorId id : of_worker(worker)) {
    Actor& actor = actors_[id];
    actor.hosted = false;
    if (!actor.wanted) continue;
    if (comes_back(actor.placed.restart, ending)) {
      set(id, ActorState::kRestarting);
    } else {
      actor.wanted = false;
      set(id, ActorState::kStopped, "its worker ended, and it is " + std::string(config::to_string(actor.placed.restart)));
    }
  }
}

void Actors::worker_stopped(std::size_t worker) {
  for (ActorId id : of_worker(worker))
    if (actors_[id].wanted) set(id, ActorState::kStopped, "its worker is stopped");
}

void Actors::worker_failed(std::size_t worker, const std::string& why) {
  for (ActorId id : of_worker(worker))
    if (actors_[id].wanted) set(id, ActorState::kFailed, "its worker failed: " + why);
}

void Actors::stop(ActorId id) {
  actors_[id].wanted = false;
  set(id, ActorState::kStopped, "stopped by an administrator");
}

void Actors::withhold(ActorId id, const std::string& why) {
  actors_[id].wanted = false;
  set(id, ActorState::kFailed, why);
}

void Actors::restart(ActorId id) {
  actors_[id].wanted = true;
  set(id, actors_[id].incarnation == 0 ? ActorState::kStarting : ActorState::kRestarting);
}

bool Actors::all_settled() const {
  return std::none_of(actors_.begin(), actors_.end(), [](const Actor& actor) {
    return actor.state == ActorState::kStarting || actor.state == ActorState::kRestarting;
  });
}

bool Actors::all_well() const {
  return std::all_of(actors_.begin(), actors_.end(), [](const Actor& actor) {
    return actor.state == ActorState::kReady || actor.state == ActorState::kStopped;
  });
}

std::size_t Actors::ready_count() const {
  return static_cast<std::size_t>(
      std::count_if(actors_.begin(), actors_.end(), [](const Actor& actor) { return actor.state == ActorState::kReady; }));
}

void Actors::set(ActorId id, ActorState state, std::string message) {
  Actor& actor = actors_[id];
  actor.state = state;
  actor.message = std::move(message);
  directory_->set_actor(id, {static_cast<std::uint8_t>(participant_of(actor.placed.worker)), state, 0, actor.incarnation}, actor.message);
}

}  // namespace tv::supervisor
