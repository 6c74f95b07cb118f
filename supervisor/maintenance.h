// Maintenance: upkeep (upkeep.h) at work. Shows it what there is, does what it says, and remembers how each chore went.
//
// One thread (the loop's). What an administrator has drained, suspended or scaled lasts as long as the daemon.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "supervisor/upkeep.h"
#include "supervisor/workers.h"

namespace tv::supervisor {

class Maintenance {
 public:
  // Everything outlives this. `restart`: of a worker or an actor, as an administrator orders it.
  struct Surroundings {
    EventLoop& loop;
    const config::Config& config;
    Workers& workers;
    Actors& actors;
    Supervision& supervision;
    WorkerOrders& orders;
    std::function<Result<void>(const Unit&)> restart;
  };
  explicit Maintenance(Surroundings surroundings) : in_(std::move(surroundings)) {}

  // Errors: kUnavailable when somebody is in another chore, or suspended with mail that the chore would have to finish; scale also kLimit, where the pool cannot have so many
  // members, or a worker cannot be told of them; nothing has changed then.
  Result<ChoreId> begin(Chore chore, const std::string& name, std::vector<Unit> units);
  Result<ChoreId> scale(std::size_t pool, std::uint32_t size);
  // Whom the removal has taken away, or was about to, is there again.
  void undo_removal(ChoreId id, const std::string& why);
  void undrain(const std::vector<ActorId>& actors);

  // After anything that may have changed; and a worker's answer.
  void look();
  void settled(ActorId actor, std::uint64_t token);

  const Upkeep& upkeep() const { return upkeep_; }
  void go_on(Upkeep::Kept kept) { upkeep_.go_on(std::move(kept)); }

 private:
  Seen see(ActorId actor) const;
  void show_flags();
  void carry_out(const Deed& deed);
  void tell(const Deed& deed) const;
  // By worker: who is to come there besides those that are there.
  using Arrivals = std::vector<std::vector<ActorId>>;
  Result<std::size_t> home_for(ActorId actor, const Arrivals& arrivals) const;
  std::vector<ActorId> newcomers(std::size_t pool, std::uint32_t size) const;
  Result<void> check_room(const std::vector<ActorId>& coming) const;
  void look_soon();

  Surroundings in_;
  Upkeep upkeep_;
  bool look_soon_ = false;
};

}  // namespace tv::supervisor
