#include "supervisor/placement.h"

#include <algorithm>
#include <map>

#include "config/limits.h"

namespace tv::supervisor {
namespace {

Error nowhere(const std::string& what, const std::string& name) {
  return Error{Errc::kInvalidArgument, what + " \"" + name + "\" has no worker to live on; name one that the configuration has"};
}

std::vector<std::size_t> homes_of(const config::Config& config, const config::Actor& actor) {
  if (!actor.worker.empty()) return config::workers_named(config, actor.worker);
  return actor.device ? config::workers_with(config, *actor.device) : std::vector<std::size_t>();
}

std::vector<std::size_t> homes_of(const config::Config& config, const config::Pool& pool) {
  std::vector<std::size_t> homes;
  for (const auto& reference : pool.workers)
    for (auto worker : config::workers_named(config, reference))
      if (std::find(homes.begin(), homes.end(), worker) == homes.end()) homes.push_back(worker);
  if (pool.workers.empty() && pool.device) homes = config::workers_with(config, *pool.device);
  return homes;
}

std::vector<std::size_t> others(std::vector<std::size_t> homes, std::size_t home, bool migrate) {
  std::erase(homes, home);
  if (!migrate) homes.clear();
  std::sort(homes.begin(), homes.end());
  return homes;
}

bool contains(const std::vector<std::size_t>& workers, std::size_t worker) {
  return std::find(workers.begin(), workers.end(), worker) != workers.end();
}

// Of those that nobody has any more.
const config::Arg::Table kNoArgs;
const std::vector<std::string> kAfterNobody;
const config::Labels kNoLabels;

class Placer {
 public:
  Placer(const config::Config& config, const Known& known) : config_(config), known_(known) {
    for (ActorId id = 0; id < known.actors.size(); ++id) number_of_.emplace(known.actors[id].name, id);
    for (const auto& pool : known.pools) pool_of_.emplace(pool.name, &pool);
    placement_.actors.resize(known.actors.size());
  }

  Result<Placement> run() {
    for (const auto& actor : config_.actors) TV_TRY(add_actor(actor));
    for (std::size_t p = 0; p < config_.pools.size(); ++p) TV_TRY(add_pool(p));
    if (placement_.actors.size() > limits::kMaxActors)
      return Error{Errc::kLimit, std::to_string(placement_.actors.size()) + " actors, members of pools" +
                                     (known_.actors.empty() ? "" : " and those that the daemon has had before") + " included; at most " +
                                     std::to_string(limits::kMaxActors) + " are possible"};
    for (ActorId id = 0; id < known_.actors.size(); ++id)
      if (placement_.actors[id].name.empty()) bury(id);
    return std::move(placement_);
  }

 private:
  Result<void> add_actor(const config::Actor& actor) {
    auto homes = homes_of(config_, actor);
    if (homes.empty()) return nowhere("actor", actor.name);
    if (pool_of_.contains(actor.name)) return Error{Errc::kUnsupported, "\"" + actor.name + "\" was a pool's name"};
    PlacedActor placed{actor.name, actor.type, actor.plugin, homes.front(), std::nullopt, actor.restart, actor.checkpoint, &actor.args,
                       actor.delivery, &actor.after, actor.health};
    placed.required = actor.required;
    placed.labels = &actor.labels;
    TV_TRY(put(std::move(placed), homes, actor.migrate));
    return {};
  }

  Result<void> add_pool(std::size_t p) {
    const auto& pool = config_.pools[p];
    auto homes = homes_of(config_, pool);
    if (homes.empty()) return nowhere("pool", pool.name);
    if (number_of_.contains(pool.name)) return Error{Errc::kUnsupported, "\"" + pool.name + "\" was an actor's name"};
    std::uint32_t size = std::max(pool.size, pool.max_size);
    if (size > limits::kMaxActors) return Error{Errc::kLimit, "pool \"" + pool.name + "\" is larger than the directory of actors"};
    auto known = pool_of_.find(pool.name);
    if (known != pool_of_.end() && size > known->second->size)
      return Error{Errc::kUnsupported, "pool \"" + pool.name + "\" has numbers for " + std::to_string(known->second->size) + " members"};
    ActorId first = known != pool_of_.end() ? known->second->first : static_cast<ActorId>(placement_.actors.size());
    placement_.first_member.push_back(first);
    for (std::uint32_t i = 0; i < size; ++i) {
      std::size_t home = homes[i % homes.size()];
      PlacedActor placed{pool.name + "/" + std::to_string(i), pool.type, pool.plugin, home, p, pool.restart, pool.checkpoint, &pool.args,
                         pool.delivery, &pool.after, pool.health, {}, i < pool.size, i < pool.size};
      placed.required = pool.required;
      placed.labels = &pool.labels;
      auto id = TV_TRY(put(std::move(placed), homes, pool.migrate));
      if (id != first + i) return Error{Errc::kUnsupported, "the members of pool \"" + pool.name + "\" would not follow each other"};
    }
    return {};
  }

  // Where it is known, in the place that it has had.
  Result<ActorId> put(PlacedActor placed, const std::vector<std::size_t>& homes, bool migrate) {
    auto number = number_of_.find(placed.name);
    if (number != number_of_.end() && known_.actors[number->second].settled) {
      const auto& was = known_.actors[number->second];
      if (!contains(homes, was.worker))
        return Error{Errc::kUnsupported, "\"" + placed.name + "\" lives on worker \"" + config_.workers[was.worker].name + "\", where it may not live any more"};
      placed.worker = was.worker;
    }
    placed.may_live_on = others(homes, placed.worker, migrate);
    if (number == number_of_.end()) {
      placement_.actors.push_back(std::move(placed));
      return static_cast<ActorId>(placement_.actors.size() - 1);
    }
    placement_.actors[number->second] = std::move(placed);
    return number->second;
  }

  void bury(ActorId id) {
    const auto& was = known_.actors[id];
    PlacedActor& placed = placement_.actors[id];
    placed.name = was.name;
    placed.type = was.type;
    placed.worker = was.worker;
    placed.args = &kNoArgs;
    placed.after = &kAfterNobody;
    placed.labels = &kNoLabels;
    placed.present = false;
    placed.removed = true;
  }

  const config::Config& config_;
  const Known& known_;
  std::map<std::string, ActorId> number_of_;
  std::map<std::string, const Known::Pool*> pool_of_;
  Placement placement_;
};

}  // namespace

config::Config as_known(config::Config config, const Known& known) {
  auto place_of = [&](const config::Worker& worker) {
    return std::find(known.workers.begin(), known.workers.end(), worker.name) - known.workers.begin();
  };
  std::stable_sort(config.workers.begin(), config.workers.end(),
                   [&](const config::Worker& a, const config::Worker& b) { return place_of(a) < place_of(b); });
  for (auto& pool : config.pools) {
    auto was = std::find_if(known.pools.begin(), known.pools.end(), [&](const Known::Pool& other) { return other.name == pool.name; });
    if (was != known.pools.end() && pool.any_max_size && pool.size <= was->size) pool.max_size = was->size;
  }
  return config;
}

Result<Placement> place(const config::Config& config, const Known& known) {
  for (std::size_t i = 0; i < known.workers.size(); ++i)
    if (i >= config.workers.size() || config.workers[i].name != known.workers[i])
      return Error{Errc::kUnsupported, "worker \"" + known.workers[i] + "\" is gone"};
  return Placer(config, known).run();
}

bool may_have(const config::Config& config, const config::Actor& actor, std::size_t worker) { return contains(homes_of(config, actor), worker); }
bool may_have(const config::Config& config, const config::Pool& pool, std::size_t worker) { return contains(homes_of(config, pool), worker); }

std::optional<std::size_t> least_loaded(const std::vector<std::size_t>& homes, const std::vector<std::size_t>& actors_on) {
  auto least = std::min_element(homes.begin(), homes.end(), [&](std::size_t a, std::size_t b) { return actors_on[a] < actors_on[b]; });
  return least == homes.end() ? std::nullopt : std::optional(*least);
}

std::vector<std::size_t> homes_of_pool(const config::Config& config, const config::Pool& pool) {
  auto homes = homes_of(config, pool);
  TV_ASSERT(!homes.empty());
  return homes;
}

}  // namespace tv::supervisor
