#include "supervisor/placement.h"

#include <algorithm>

#include "config/limits.h"

namespace tv::supervisor {
namespace {

Error nowhere(const std::string& what, const std::string& name) {
  return Error{Errc::kInvalidArgument, what + " \"" + name + "\" has no worker to live on; name one that the configuration has"};
}

Result<std::vector<std::size_t>> homes_of(const config::Config& config, const config::Actor& actor) {
  std::vector<std::size_t> workers;
  if (!actor.worker.empty()) {
    workers = config::workers_named(config, actor.worker);
  } else if (actor.device) {
    workers = config::workers_with(config, *actor.device);
  }
  if (workers.empty()) return nowhere("actor", actor.name);
  return workers;
}

std::vector<std::size_t> others(std::vector<std::size_t> homes, std::size_t home, bool migrate) {
  std::erase(homes, home);
  if (!migrate) homes.clear();
  std::sort(homes.begin(), homes.end());
  return homes;
}

Result<std::vector<std::size_t>> homes_of(const config::Config& config, const config::Pool& pool) {
  std::vector<std::size_t> homes;
  for (const auto& reference : pool.workers)
    for (auto worker : config::workers_named(config, reference))
      if (std::find(homes.begin(), homes.end(), worker) == homes.end()) homes.push_back(worker);
  if (pool.workers.empty() && pool.device) homes = config::workers_with(config, *pool.device);
  if (homes.empty()) return nowhere("pool", pool.name);
  return homes;
}

}  // namespace

Result<Placement> place(const config::Config& config) {
  Placement placement;
  for (const auto& actor : config.actors) {
    auto homes = TV_TRY(homes_of(config, actor));
    std::size_t home = homes.front();
    placement.actors.push_back({actor.name, actor.type, actor.plugin, home, std::nullopt, actor.restart, actor.checkpoint, &actor.args,
                                actor.delivery, &actor.after, actor.health, others(std::move(homes), home, actor.migrate)});
    placement.actors.back().required = actor.required;
    placement.actors.back().labels = &actor.labels;
  }
  for (std::size_t p = 0; p < config.pools.size(); ++p) {
    const auto& pool = config.pools[p];
    auto homes = TV_TRY(homes_of(config, pool));
    placement.first_member.push_back(static_cast<ActorId>(placement.actors.size()));
    if (std::max(pool.size, pool.max_size) > limits::kMaxActors) return Error{Errc::kLimit, "pool \"" + pool.name + "\" is larger than the directory of actors"};
    for (std::uint32_t i = 0; i < std::max(pool.size, pool.max_size); ++i) {
      std::size_t home = homes[i % homes.size()];
      placement.actors.push_back({pool.name + "/" + std::to_string(i), pool.type, pool.plugin, home, p, pool.restart, pool.checkpoint, &pool.args,
                                  pool.delivery, &pool.after, pool.health, others(homes, home, pool.migrate), i < pool.size, i < pool.size});
      placement.actors.back().required = pool.required;
      placement.actors.back().labels = &pool.labels;
    }
  }
  if (placement.actors.size() > limits::kMaxActors)
    return Error{Errc::kLimit, std::to_string(placement.actors.size()) + " actors, members of pools included; at most " +
                                   std::to_string(limits::kMaxActors) + " are possible"};
  return placement;
}

std::optional<std::size_t> least_loaded(const std::vector<std::size_t>& homes, const std::vector<std::size_t>& actors_on) {
  auto least = std::min_element(homes.begin(), homes.end(), [&](std::size_t a, std::size_t b) { return actors_on[a] < actors_on[b]; });
  return least == homes.end() ? std::nullopt : std::optional(*least);
}

std::vector<std::size_t> homes_of_pool(const config::Config& config, const config::Pool& pool) {
  auto homes = homes_of(config, pool);
  TV_ASSERT(homes.ok());
  return *homes;
}

}  // namespace tv::supervisor
