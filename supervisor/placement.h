// Placement: which actor lives on which worker. A pure function of the configuration, and of what the daemon has placed before.
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
  bool present = true;  // else a member that its pool may get, between its size and max_size; or one that is `removed`
  bool settled = true;  // it has a worker; one that was never present has none: `worker` is only one that would do
  bool required = true;  // the daemon is not ready before it is
  const config::Labels* labels = nullptr;  // of the configuration, as args
  bool removed = false;  // the configuration does not have it any more; its number is its name's for the daemon's life
};

// What a daemon has given numbers to already, in the order of the numbers: these last as long as it lives, whatever its configuration becomes.
struct Known {
  struct Actor {
    std::string name;
    std::string type;        // empty: not known here
    std::size_t worker = 0;  // in whose mailbox its mail is, if it is settled
    bool settled = true;
    bool present = true;
  };
  struct Pool {
    std::string name;
    ActorId first = 0;
    std::uint32_t size = 0;  // members that it may have
  };
  std::vector<std::string> workers;
  std::vector<Actor> actors;
  std::vector<Pool> pools;
};

struct Placement {
  std::vector<PlacedActor> actors;   // by ActorId: those that were known, then the actors of the file, then the members of its pools
  std::vector<ActorId> first_member;  // of each pool
};

// The configuration as this daemon can have it: workers keep their numbers, new ones come behind them; a pool whose file does not say to what it
// may grow does not grow beyond the numbers that it has.
config::Config as_known(config::Config config, const Known& known);

// Pools go round-robin over the processes of their workers, each beginning with the first one. Errors: a worker or device that the
// configuration does not have (the loader refuses those), more actors than the directory takes; and where something is known: what cannot be
// while it lasts (kUnsupported). Whoever is known stays where it is. REQUIRES that the configuration is as_known().
Result<Placement> place(const config::Config& config, const Known& known = {});

// Whether an actor or pool may live on that worker.
bool may_have(const config::Config& config, const config::Actor& actor, std::size_t worker);
bool may_have(const config::Config& config, const config::Pool& pool, std::size_t worker);

// Where members of the pool may live. REQUIRES that place() was content.
// The one of them with the fewest actors (by worker), the first where several have; nothing of none.
std::optional<std::size_t> least_loaded(const std::vector<std::size_t>& homes, const std::vector<std::size_t>& actors_on);
std::vector<std::size_t> homes_of_pool(const config::Config& config, const config::Pool& pool);

}  // namespace tv::supervisor
