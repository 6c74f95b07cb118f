// Orders of upkeep, by name. Part of Operations.
#include <algorithm>

#include "config/log.h"
#include "config/units.h"
#include "supervisor/operations.h"

namespace tv::supervisor {
namespace {

std::string in_quotes(const std::string& name) { return "\"" + name + "\""; }

}  // namespace

Result<ChoreId> Operations::begin(Chore chore, const std::string& name) {
  auto target = TV_TRY(resolve(name));
  if (!target.groups.empty())
    return Error{Errc::kInvalidArgument, in_quotes(name) + " is a group: name a worker, an actor or a pool; tensorctl describe group " + name + " shows its children"};
  std::vector<Unit> units;
  // A worker that is rolled is restarted as a whole; the other chores are its actors' own.
  for (auto worker : target.workers) {
    std::vector<ActorId> actors;
    for (ActorId id : actors_.of_worker(worker))
      if (actors_[id].placed.present) actors.push_back(id);
    if (chore == Chore::kRoll) units.push_back({config_.workers[worker].name, actors, worker});
    else target.actors.insert(target.actors.end(), actors.begin(), actors.end());
  }
  for (ActorId id : target.actors) units.push_back({actors_[id].placed.name, {id}, std::nullopt});
  return maintenance_->begin(chore, name, std::move(units));
}

Result<std::string> Operations::undrain(const std::string& name) {
  auto target = TV_TRY(resolve(name));
  for (auto worker : target.workers)
    for (ActorId id : actors_.of_worker(worker)) target.actors.push_back(id);
  std::erase_if(target.actors, [this](ActorId id) { return !actors_[id].placed.present; });
  log::notice("undrain ordered", {{"name", name}});
  maintenance_->undrain(target.actors);
  return in_quotes(name) + " takes new messages again";
}

Result<ChoreId> Operations::scale(const std::string& name, std::uint32_t size) {
  std::vector<std::string> known;
  for (std::size_t p = 0; p < config_.pools.size(); ++p) {
    if (config_.pools[p].name == name) return maintenance_->scale(p, size);
    known.push_back(config_.pools[p].name);
  }
  auto near = config::nearest(name, known);
  return Error{Errc::kNotFound, "no pool is called " + in_quotes(name) + (near.empty() ? "" : "; did you mean " + in_quotes(near) + "?")};
}

Result<void> Operations::restart_unit(const Unit& unit) {
  if (unit.worker) {
    workers_.restart(*unit.worker);
    return {};
  }
  for (ActorId id : unit.actors) TV_TRY(restart_actor(id));
  return {};
}

}  // namespace tv::supervisor
