// Suspension, members of pools that come and go, and the end. Part of Supervision.
#include "supervisor/hang_report.h"
#include "supervisor/supervision.h"
#include "supervisor/text.h"

namespace tv::supervisor {
namespace {

std::string in_quotes(const std::string& name) { return "\"" + name + "\""; }

}  // namespace

void Supervision::suspend(ActorId actor) {
  withheld_.erase(actor);
  suspended_.insert(actor);
  tree_->stop(node_of(actor), now());
  carry_out();
}

void Supervision::admit(ActorId actor, std::size_t worker) {
  bool fresh = actors_.admit(actor, worker);
  std::size_t host = actors_[actor].host;
  if (fresh && hosts_->hosting(host) == Hosting::kLive)
    orders_.host(static_cast<ParticipantId>(host) + 1, {{actor, actors_[actor].incarnation, &actors_[actor].placed, true, {}}});
  tree_->admit(node_of(actor), now());
  carry_out();
}

void Supervision::dismiss(ActorId actor) {
  actors_.dismiss(actor);
  tree_->dismiss(node_of(actor), now());
  carry_out();
}

// --- the end

void Supervision::wind_down() {
  tree_->wind_down(now());
  carry_out();
}

bool Supervision::runs_on(std::size_t worker) const {
  for (ActorId id : actors_.of_worker(worker))
    if (tree_->runs(node_of(id))) return true;
  return false;
}

std::string Supervision::what_runs_on(std::size_t worker) const {
  for (ActorId id : actors_.of_worker(worker)) {
    if (arena_.cell(id).running.load(std::memory_order_relaxed) == 0) continue;
    auto method = method_at_hand(arena_, static_cast<ParticipantId>(actors_[id].placed.worker) + 1, id);
    return "code of actor " + in_quotes(actors_[id].placed.name + (method.empty() ? "" : "." + method)) + " was running";
  }
  return "no actor's code was running";
}

void Supervision::note_forced(std::size_t worker, const std::string& why) {
  forced_.push_back("worker " + in_quotes(config_.workers[worker].name) + ": " + why + "; " + what_runs_on(worker));
}

void Supervision::note_forced(ActorId actor) {
  std::size_t worker = actors_[actor].host;
  forced_.push_back("actor " + in_quotes(actors_[actor].placed.name) + " on worker " + in_quotes(config_.workers[worker].name) + ": " +
                    what_runs_on(worker));
}

}  // namespace tv::supervisor
