// Operations: what an administrator may order, by name: kill, restart and stop of workers, actors and pools; replay and purge of dead
// letters; named tensors.
//
// They begin what was ordered and say so; `tensorctl status` shows how it goes on. Errors: kNotFound (with the nearest name),
// kInvalidArgument, kUnavailable.
#pragma once

#include <string>
#include <vector>

#include "supervisor/checkpoints.h"
#include "supervisor/maintenance.h"
#include "supervisor/names.h"
#include "supervisor/replay.h"
#include "supervisor/workers.h"

namespace tv::supervisor {

class Operations {
 public:
  Operations(const config::Config& config, Workers& workers, Actors& actors, Supervision& supervision, DeadLetters& dead_letters,
             Replay& replay, Names& names, Checkpoints* checkpoints)
      : config_(config),
        workers_(workers),
        actors_(actors),
        supervision_(supervision),
        dead_letters_(dead_letters),
        replay_(replay),
        names_(names),
        checkpoints_(checkpoints) {}

  Result<std::string> kill(const std::string& worker, int signal);
  // Only where [inject] is enabled (kUnsupported). Told in the log.
  Result<std::string> inject(const std::string& name, const Fault& fault);
  // A worker's name, or that of several; an actor's; a pool's; a supervision group's. Workers come first where a name is both.
  Result<std::string> restart(const std::string& name);
  // The same for what of it is stopped or failed; the rest goes on undisturbed. kUnavailable: suspended, which resume ends.
  Result<std::string> start(const std::string& name);
  Result<std::string> stop(const std::string& name);
  // Starts what is failed; the others' earlier deaths are forgiven. Empty: everything.
  Result<std::string> reset_failed(const std::string& name);
  // To the letter's actor, which must be there or be about to be (kUnavailable) and have room in its mailbox (kOverloaded).
  Result<std::string> replay_dead_letter(std::uint64_t id);
  Result<std::string> purge_dead_letters(std::uint64_t id);  // 0: all
  // Of cached tensors (kInvalidArgument for published ones); a spilled one cannot be pinned (kUnavailable).
  Result<std::string> pin_name(const std::string& name);
  Result<std::string> unpin_name(const std::string& name);
  Result<std::string> remove_name(const std::string& name);
  // The last commit of an actor goes to disk now; those of a pool's members; of all actors for "". Which ones these are.
  Result<std::vector<ActorId>> checkpoint(const std::string& name);
  // Stops the actor, puts the generation in the place of its commit, starts it.
  Result<std::string> restore_checkpoint(const std::string& name, std::uint64_t generation);

  // operations_upkeep.cpp: drains, rolling restarts, suspensions of workers, actors and pools; sizes of pools. The maintenance outlives this.
  void use(Maintenance& maintenance) { maintenance_ = &maintenance; }
  Result<ChoreId> begin(Chore chore, const std::string& name);
  Result<std::string> undrain(const std::string& name);
  Result<ChoreId> scale(const std::string& pool, std::uint32_t size);
  Result<void> restart_unit(const Unit& unit);
  const Upkeep::Task* chore(ChoreId id) const { return maintenance_->upkeep().find(id); }

 private:
  struct Target {
    std::vector<std::size_t> workers;
    std::vector<ActorId> actors;
    std::vector<NodeId> groups;
  };
  Result<Target> resolve(const std::string& name) const;
  Result<std::size_t> one_worker(const std::string& name) const;
  Result<ActorId> one_actor(const std::string& name) const;
  Result<void> restart_actor(ActorId id);
  Result<std::size_t> start_actors(const std::vector<ActorId>& actors);
  Result<void> no_checkpoints(const std::string& name) const;
  void reset_actor(ActorId id);
  Result<void> check_groups_around(NodeId node, const std::string& what) const;
  std::string reset_all();
  Result<void> known(const std::string& name) const;

  const config::Config& config_;
  Workers& workers_;
  Actors& actors_;
  Supervision& supervision_;
  DeadLetters& dead_letters_;
  Replay& replay_;
  Names& names_;
  Maintenance* maintenance_ = nullptr;
  Checkpoints* checkpoints_;  // null: the configuration wants none
};

}  // namespace tv::supervisor
