// Placement: which actor lives on which worker. A pure function of the configuration.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/ids.h"
#include "config/result.h"

namespace tv::supervisor {

struct PlacedActor {
  std::string name;
  std::string type;
  std::string plugin;
  std::size_t worker = 0;  // index into config.workers
  std::optional<std::size_t> pool;
  config::RestartType restart = config::RestartType::kPermanent;
  config::Checkpoint checkpoint;
  const config::Arg::Table* args = nullptr;  // of the configuration, which outlives this
  config::Delivery delivery;
  const std::vector<std::string>* after = nullptr;  // of the configuration, as args
  config::HealthCheck health;
  std::vector<std::size_t> may_live_on = {};  // besides `worker`: where it may go when that is given up; ascending
  bool present = true;  // else a member that its pool may get, between its size and max_size
  bool settled = true;  // it has a worker; one that was never present has none: `worker` is only one that would do
  bool required = true;  // the daemon is not ready before it is
  const config::Labels* labels = nullptr;  // of the configuration, as args
};

struct Placement {
  std::vector<PlacedActor> actors;   // by ActorId: the actors of the file, then the members of its pools
  std::vector<ActorId> first_member;  // of each pool
};

// Pools go round-robin over the processes of their workers, each beginning with the first one. Errors: a worker or device that the
// configuration does not have (the loader refuses those), more actors than the directory takes.
Result<Placement> place(const config::Config& config);

// Where members of the pool may live. REQUIRES that place() was content.
// The one of them with the fewest actors (by worker), the first where several have; nothing of none.
std::optional<std::size_t> least_loaded(const std::vector<std::size_t>& homes, const std::vector<std::size_t>& actors_on);
std::vector<std::size_t> homes_of_pool(const config::Config& config, const config::Pool& pool);

}  // namespace tv::supervisor
