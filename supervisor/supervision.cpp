#include "supervisor/supervision.h"

#include <algorithm>

#include "config/log.h"
#include "config/units.h"
#include "supervisor/migration.h"

namespace tv::supervisor {
namespace {

using shm::ActorState;

std::vector<PlacedActor> placed(const Actors& actors) {
  std::vector<PlacedActor> placed;
  for (const auto& actor : actors.all()) placed.push_back(actor.placed);
  return placed;
}

std::string in_quotes(const std::string& name) { return "\"" + name + "\""; }

}  // namespace

Supervision::Supervision(EventLoop& loop, const config::Config& config, Actors& actors, const shm::Arena& arena, WorkerOrders& orders,
                         std::function<void()> changed)
    : loop_(loop),
      config_(config),
      actors_(actors),
      arena_(arena),
      orders_(orders),
      changed_(std::move(changed)),
      plan_(plan_tree(config, placed(actors))),
      actor_of_(plan_.nodes.size(), kNoActor),
      was_up_(actors.all().size(), false),
      readies_(actors.all().size(), 0),
      stale_(actors.all().size(), false) {
  for (ActorId id = 0; id < plan_.of_actor.size(); ++id) actor_of_[plan_.of_actor[id]] = id;
  // The seed is for jitter, which is to differ from daemon to daemon.
  tree_.emplace(plan_.nodes, Limits{config.supervisor.stop_grace, config.supervisor.start_timeout}, static_cast<std::uint64_t>(monotonic_ns()));
  for (ActorId id = 0; id < actors_.all().size(); ++id)
    if (!actors_[id].placed.present) tree_->dismiss(node_of(id), 0);
}

void Supervision::start(Hosts& hosts) {
  hosts_ = &hosts;
  tree_->start(now());
  carry_out();
}

std::int64_t Supervision::now() const { return monotonic_ns(); }

// --- events

std::vector<AssignedActor> Supervision::assign(std::span<const ActorId> actors) {
  auto assigned = actors_.assign(actors);
  for (auto& each : assigned) {
    NodeId node = node_of(each.id);
    stale_[each.id] = false;
    told_.erase(each.id);
    each.held = tree_->state(node) != NodeState::kStarting || stranded(each.id);
    bool gone = actors_[each.id].state == ActorState::kFailed;
    if (each.held && gone) each.failure = actors_[each.id].message;
  }
  return assigned;
}

// For those that start with it the worker's own start_timeout counts.
std::vector<AssignedActor> Supervision::assign(std::size_t worker) { return assign(std::span<const ActorId>(actors_.of_worker(worker))); }

std::vector<AssignedActor> Supervision::assign_moved(std::span<const ActorId> actors) {
  auto assigned = assign(actors);
  for (const auto& each : assigned)
    if (!each.held) tree_->began(node_of(each.id), now());
  arm();
  return assigned;
}

// Its mail is read by a worker on which it may not live, since others whose mail is in the same mailbox have gone there.
bool Supervision::stranded(ActorId actor) const { return !may_live(actors_[actor].placed, actors_[actor].host); }

// Cleared in any case: the next process begins with nothing at hand.
NodeId Supervision::take_culprit(const std::vector<ActorId>& actors) {
  NodeId culprit = kNoNode;
  for (ActorId id : actors)
    if (arena_.cell(id).running.exchange(0, std::memory_order_acquire) != 0 && culprit == kNoNode) culprit = node_of(id);
  return culprit;
}

std::vector<NodeId> Supervision::nodes_of(const std::vector<ActorId>& actors) const {
  std::vector<NodeId> nodes;
  for (ActorId id : actors) nodes.push_back(node_of(id));
  return nodes;
}

Verdict Supervision::worker_ended(std::size_t worker, const Ending& ending) {
  auto actors = actors_.of_worker(worker);
  Verdict verdict;
  verdict.culprit = take_culprit(actors);
  if (ending.asked) {
    verdict.culprit = kNoNode;
    tree_->left(nodes_of(actors), now());
  } else {
    // What the whole worker cannot do is nobody's in it.
    if (ending.cause.hopeless) verdict.culprit = kNoNode;
    verdict.given_up = tree_->died(nodes_of(actors), verdict.culprit, ending.cause, ending.gives_up, now());
  }
  if (verdict.culprit != kNoNode)
    log::notice("death charged", {{"actor", tree_->spec(verdict.culprit).name}, {"worker", config_.workers[worker].name}});
  carry_out();
  return verdict;
}

bool Supervision::actor_ready(ActorId actor) {
  NodeId node = node_of(actor);
  if (tree_->state(node) == NodeState::kStopping) return false;  // its stop is on the way
  if (tree_->state(node) != NodeState::kStarting) {
    if (tree_->state(node) != NodeState::kUp) orders_.stop_actor(static_cast<ParticipantId>(actors_[actor].host) + 1, actor);
    return false;
  }
  was_up_[actor] = true;
  ++readies_[actor];
  tree_->up(node, now());
  carry_out();
  return true;
}

void Supervision::actor_failed(ActorId actor, const std::string& why) {
  const auto& causes = config_.workers[actors_[actor].host].causes;
  auto cause = start_failed(why);
  tree_->start_failed(node_of(actor), cause, gives_up(causes, cause), now());
  carry_out();
}

void Supervision::actor_stopped(ActorId actor) {
  tree_->down(node_of(actor), now());
  carry_out();
}

void Supervision::stop(NodeId node) {
  restoring_.erase(actor_of_[node]);
  suspended_.erase(actor_of_[node]);
  tree_->stop(node, now());
  carry_out();
}

void Supervision::restart(NodeId node) {
  restoring_.erase(actor_of_[node]);
  suspended_.erase(actor_of_[node]);
  withheld_.erase(actor_of_[node]);
  tree_->restart(node, now());
  carry_out();
}

void Supervision::reset_failed(NodeId node) {
  tree_->reset_failed(node, now());
  carry_out();
}

// To the tree it is one that an administrator wants stopped: nothing but restart() of itself brings it back.
void Supervision::withhold(ActorId actor, const std::string& why) {
  stop(node_of(actor));
  withheld_[actor] = why;
  show(actor);
}

bool Supervision::stop_to_restore(ActorId actor) {
  NodeId node = node_of(actor);
  withheld_.erase(actor);
  restoring_.insert(actor);
  tree_->stop(node, now());
  carry_out();
  return tree_->state(node) == NodeState::kStopping;
}

void Supervision::start_restored(ActorId actor) {
  if (restoring_.contains(actor)) restart(node_of(actor));
}

// --- steps

// What carrying out one step leads to at once is done by the same loop.
void Supervision::carry_out() {
  if (std::exchange(carrying_out_, true)) return;
  for (auto steps = tree_->take(); !steps.empty(); steps = tree_->take())
    for (const auto& step : steps) obey(step);
  carrying_out_ = false;
  arm();
  show_all();
  changed_();
}

void Supervision::obey(const Step& step) {
  switch (step.kind) {
    case Step::Kind::kStart: return start_leaf(actor_of_[step.node]);
    case Step::Kind::kStop: return stop_leaf(actor_of_[step.node]);
    case Step::Kind::kKill: {
      bool starting = tree_->state(step.node) == NodeState::kStarting;
      std::size_t host = actors_[actor_of_[step.node]].host;
      if (tree_->winding_down()) note_forced(actor_of_[step.node]);
      auto cause = starting ? could_not_start("actor " + in_quotes(tree_->spec(step.node).name) + " was not ready within " +
                                                  config::format_duration(config_.supervisor.start_timeout) + " ([supervisor] start_timeout)",
                                              false)
                            : Cause{"killed by SIGKILL: actor " + in_quotes(tree_->spec(step.node).name) + " did not stop within " +
                                    config::format_duration(config_.supervisor.stop_grace) + " ([supervisor] stop_grace)"};
      return hosts_->kill(host, std::move(cause));
    }
    default: return tell(step);
  }
}

// One whose worker has no process is started with the next one.
void Supervision::start_leaf(ActorId actor) {
  std::size_t worker = actors_[actor].host;
  if (hosts_->hosting(worker) != Hosting::kLive || stranded(actor)) return;
  if (stale_[actor]) {
    stale_[actor] = false;
    told_.insert(actor);
    if (actors_[actor].incarnation == 0) (void)actors_.assign({&actor, 1});  // it has been in no process before
    orders_.host(static_cast<ParticipantId>(worker) + 1, {{actor, actors_[actor].incarnation, &actors_[actor].placed, true, {}}});
  }
  orders_.start_actor(static_cast<ParticipantId>(worker) + 1, actor);
  tree_->began(node_of(actor), now());
}

void Supervision::stop_leaf(ActorId actor) {
  std::size_t worker = actors_[actor].host;
  switch (hosts_->hosting(worker)) {
    case Hosting::kLive: return orders_.stop_actor(static_cast<ParticipantId>(worker) + 1, actor);
    case Hosting::kLeaving: return;  // the end of its process is the stop
    default: return tree_->down(node_of(actor), now());
  }
}

void Supervision::tell(const Step& step) const {
  const auto& name = tree_->spec(step.node).name;
  const char* what = tree_->spec(step.node).is_group ? "group" : "actor";
  switch (step.kind) {
    case Step::Kind::kRestarts:
      return log::notice(std::string(what) + " restarts",
                         {{what, name}, {"delay", config::format_duration(step.delay)}, {"cause", step.why}});
    case Step::Kind::kGroupFails:
      return log::error("group fails", {{"group", name}, {"cause", step.why}});
    case Step::Kind::kFailed:
      return log::error(std::string(what) + " failed", {{what, name}, {"cause", step.why}, {"next", "tensorctl reset-failed " + name}});
    case Step::Kind::kChance:
      return log::notice(std::string(what) + " gets another chance", {{what, name}});
    default: return;
  }
}

void Supervision::arm() {
  auto due = tree_->next_due();
  if (!due) return timer_.reset();
  timer_ = loop_.after(Nanoseconds{std::max<std::int64_t>(*due - now(), 0)}, [this] {
    timer_.reset();
    tree_->tick(now());
    carry_out();
  });
}

// --- what is said of actors

void Supervision::show_all() {
  for (ActorId id = 0; id < actors_.all().size(); ++id) show(id);
}

void Supervision::show_worker(std::size_t worker) {
  for (ActorId id : actors_.of_worker(worker)) show(id);
}

void Supervision::show(ActorId id) {
  NodeId node = node_of(id);
  std::size_t worker = actors_[id].host;
  ActorState coming = was_up_[id] ? ActorState::kRestarting : ActorState::kStarting;
  if (actors_[id].placed.removed) return actors_.set(id, ActorState::kStopped, "the configuration does not have it any more");
  if (!actors_[id].placed.present)
    return actors_.set(id, ActorState::kStopped, actors_[id].placed.pool ? "its pool is smaller now; tensorctl scale" : "it is being removed from the configuration");
  if (restoring_.contains(id)) return actors_.set(id, coming, "is being restored");
  if (auto withheld = withheld_.find(id); withheld != withheld_.end())
    return actors_.set(id, withheld->second == kToBeRead ? coming : ActorState::kFailed, withheld->second);
  if (suspended_.contains(id)) return actors_.set(id, ActorState::kSuspended, "suspended by an administrator; tensorctl resume");
  switch (tree_->state(node)) {
    case NodeState::kUp: return actors_.set(id, ActorState::kReady);
    case NodeState::kFailed: return actors_.set(id, ActorState::kFailed, tree_->why(node));
    case NodeState::kStopped: return actors_.set(id, ActorState::kStopped, "stopped by an administrator");
    case NodeState::kFinished:
      return actors_.set(id, ActorState::kStopped, "it ended, and it is " + std::string(config::to_string(actors_[id].placed.restart)));
    case NodeState::kStopping:
      if (tree_->held(node)) return actors_.set(id, ActorState::kStopped, "stopped by an administrator");
      return actors_.set(id, coming, "being stopped");
    case NodeState::kStarting:
      if (stranded(id)) {
        std::size_t home = actors_[id].placed.worker;
        return actors_.set(id, ActorState::kFailed, "its worker failed: " + hosts_->trouble(home) + "; its placement does not allow worker " +
                                                        in_quotes(config_.workers[worker].name) + ", where the others of worker " +
                                                        in_quotes(config_.workers[home].name) + " went");
      }
      if (hosts_->hosting(worker) == Hosting::kFailed) return actors_.set(id, ActorState::kFailed, "its worker failed: " + hosts_->trouble(worker));
      if (hosts_->hosting(worker) == Hosting::kStopped) return actors_.set(id, ActorState::kStopped, "its worker is stopped");
      return actors_.set(id, coming);
    case NodeState::kWaiting:
      return actors_.set(id, coming, "waits for " + in_quotes(tree_->spec(tree_->waits_for(node)).name) + " (after)");
    case NodeState::kDelayed: return actors_.set(id, coming, "is restarted after a delay");
    case NodeState::kDown: break;
  }
  auto group = tree_->blocked_by(node);
  if (!group) return actors_.set(id, coming, "waits for its turn in its group");
  const auto& name = tree_->spec(*group).name;
  if (tree_->state(*group) == NodeState::kFailed) return actors_.set(id, ActorState::kFailed, "its group " + in_quotes(name) + " failed: " + tree_->why(*group));
  actors_.set(id, ActorState::kStopped, "its group " + in_quotes(name) + " is stopped");
}

std::optional<std::size_t> Supervision::find_group(const std::string& name) const {
  for (std::size_t g = 0; g < config_.groups.size(); ++g)
    if (config_.groups[g].name == name) return g;
  return std::nullopt;
}

std::string Supervision::group_state(NodeId group) const {
  switch (tree_->state(group)) {
    case NodeState::kUp: return tree_->ready(group) ? "ready" : "restarting";
    case NodeState::kStarting: return "starting";
    case NodeState::kDelayed: return "restarting";
    case NodeState::kStopping: return tree_->held(group) ? "stopping" : "restarting";
    case NodeState::kFailed: return "failed";
    case NodeState::kStopped: return "stopped";
    default: break;
  }
  auto above = tree_->blocked_by(group);
  if (!above) return "starting";
  return tree_->state(*above) == NodeState::kFailed ? "failed" : "stopped";
}

std::string Supervision::group_message(NodeId group) const {
  if (tree_->state(group) == NodeState::kFailed) return tree_->why(group);
  auto above = tree_->blocked_by(group);
  return above ? "its group " + in_quotes(tree_->spec(*above).name) + " is " + group_state(*above) : "";
}

bool Supervision::settled() const {
  for (NodeId node = 1; node < tree_->size(); ++node) {
    if (!tree_->in_motion(node) || tree_->dismissed(node)) continue;
    ActorId actor = actor_of_[node];
    if (actor == kNoActor) return false;
    if (stranded(actor)) continue;
    auto hosting = hosts_->hosting(actors_[actor].host);
    if (hosting != Hosting::kStopped && hosting != Hosting::kFailed) return false;
  }
  return true;
}

bool Supervision::groups_well() const {
  return std::none_of(plan_.of_group.begin(), plan_.of_group.end(), [this](NodeId node) { return tree_->state(node) == NodeState::kFailed; });
}

}  // namespace tv::supervisor
