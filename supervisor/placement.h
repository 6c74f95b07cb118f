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
  std::vector<std::size_t> may_live_on = {};  // besides `worker`: where it may go when that is given up; ascending
};

struct Placement {
  std::vector<PlacedActor> actors;   // by ActorId: the actors of the file, then the members of its pools
  std::vector<ActorId> first_member;  // of each pool
};

// Pools go round-robin over the processes of their workers, each beginning with the first one. Errors: a worker or device that the
// configuration does not have (the loader refuses those), more actors than the directory takes.
Result<Placement> place(const config::Config& config);

}  // namespace tv::supervisor
