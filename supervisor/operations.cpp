#include "supervisor/operations.h"

#include <signal.h>

#include <algorithm>

#include "config/log.h"
#include "config/units.h"
#include "supervisor/text.h"

namespace tv::supervisor {
namespace {

std::string in_quotes(const std::string& name) { return "\"" + name + "\""; }

std::string offer(const std::string& name, const std::vector<std::string>& known) {
  auto near = config::nearest(name, known);
  return near.empty() ? "" : "; did you mean " + in_quotes(near) + "?";
}

std::string several(std::size_t count, const char* one, const std::string& name) {
  return count == 1 ? one + (" " + in_quotes(name)) : std::to_string(count) + " " + one + "s of " + in_quotes(name);
}

}  // namespace

Result<Operations::Target> Operations::resolve(const std::string& name) const {
  Target target;
  target.workers = config::workers_named(config_, name);
  if (!target.workers.empty()) return target;
  if (auto actor = actors_.find(name)) {
    target.actors = {*actor};
    return target;
  }
  std::vector<std::string> known;
  for (std::size_t p = 0; p < config_.pools.size(); ++p) {
    known.push_back(config_.pools[p].name);
    if (config_.pools[p].name != name) continue;
    target.actors = actors_.of_pool(p);
    return target;
  }
  if (auto group = supervision_.find_group(name)) {
    target.groups = {supervision_.node_of_group(*group)};
    return target;
  }
  for (const auto& worker : config_.workers) known.push_back(worker.name);
  for (const auto& actor : actors_.all())
    if (actor.placed.present) known.push_back(actor.placed.name);
  for (const auto& group : config_.groups) known.push_back(group.name);
  return Error{Errc::kNotFound, "no worker, actor, pool or group is called " + in_quotes(name) + offer(name, known)};
}

Result<std::size_t> Operations::one_worker(const std::string& name) const {
  auto found = config::workers_named(config_, name);
  if (found.empty()) {
    std::vector<std::string> known;
    for (const auto& worker : config_.workers) known.push_back(worker.name);
    return Error{Errc::kNotFound, "no worker is called " + in_quotes(name) + offer(name, known)};
  }
  if (found.size() > 1)
    return Error{Errc::kInvalidArgument, in_quotes(name) + " is " + std::to_string(found.size()) + " processes; name one of them, such as " +
                                             in_quotes(config_.workers[found.front()].name)};
  return found.front();
}

Result<std::string> Operations::kill(const std::string& name, int signal) {
  if (signal < 1 || signal > SIGRTMAX)
    return Error{Errc::kInvalidArgument, "signal " + std::to_string(signal) + " does not exist; 1 to " + std::to_string(SIGRTMAX) + " do"};
  auto index = TV_TRY(one_worker(name));
  const Worker& worker = workers_.all()[index];
  pid_t pid = worker.pid();
  TV_TRY(workers_.signal(index, signal));
  log::notice("signal sent by an administrator", {{"worker", worker.config->name}, {"pid", pid}, {"signal", signal_name(signal)}});
  return signal_name(signal) + " sent to worker " + in_quotes(worker.config->name) + " (pid " + std::to_string(pid) + ")";
}

Result<std::string> Operations::restart(const std::string& name) {
  auto target = TV_TRY(resolve(name));
  log::notice("restart ordered", {{"name", name}});
  for (auto worker : target.workers) workers_.restart(worker);
  for (auto actor : target.actors) TV_TRY(restart_actor(actor));
  for (auto group : target.groups) {
    TV_TRY(check_groups_around(group, "group " + in_quotes(name)));
    supervision_.restart(group);
  }
  if (!target.groups.empty()) return "group " + in_quotes(name) + " being restarted";
  if (!target.workers.empty()) return several(target.workers.size(), "worker", name) + " being restarted";
  return several(target.actors.size(), "actor", name) + " being restarted";
}

Result<std::size_t> Operations::start_actors(const std::vector<ActorId>& actors) {
  std::size_t started = 0;
  for (ActorId id : actors) {
    const Actor& actor = actors_[id];
    if (actor.state == shm::ActorState::kSuspended)
      return Error{Errc::kUnavailable, "actor " + in_quotes(actor.placed.name) + " is suspended; tensorctl resume " + actor.placed.name};
    if (!actor.placed.present || (actor.state != shm::ActorState::kStopped && actor.state != shm::ActorState::kFailed)) continue;
    TV_TRY(restart_actor(id));
    ++started;
  }
  return started;
}

Result<std::string> Operations::start(const std::string& name) {
  auto target = TV_TRY(resolve(name));
  log::notice("start ordered", {{"name", name}});
  std::size_t started = 0;
  for (auto worker : target.workers) {
    auto state = workers_.all()[worker].state;
    if (state != WorkerState::kStopped && state != WorkerState::kFailed) continue;
    workers_.restart(worker);
    ++started;
  }
  if (!target.workers.empty() && started > 0) return several(started, "worker", name) + " being started";
  started = TV_TRY(start_actors(target.actors));
  if (started > 0) return several(started, "actor", name) + " being started";
  for (auto group : target.groups) {
    auto state = supervision_.group_state(group);
    if (state != "stopped" && state != "failed") continue;
    TV_TRY(check_groups_around(group, "group " + in_quotes(name)));
    supervision_.restart(group);
    return "group " + in_quotes(name) + " being started";
  }
  return in_quotes(name) + " runs already";
}

Result<std::string> Operations::stop(const std::string& name) {
  auto target = TV_TRY(resolve(name));
  log::notice("stop ordered", {{"name", name}});
  for (auto worker : target.workers) workers_.stop(worker);
  for (auto actor : target.actors) supervision_.stop(supervision_.node_of(actor));
  for (auto group : target.groups) supervision_.stop(group);
  if (!target.groups.empty()) return "group " + in_quotes(name) + " being stopped";
  if (!target.workers.empty()) return several(target.workers.size(), "worker", name) + " being stopped";
  return several(target.actors.size(), "actor", name) + " being stopped";
}

Result<std::string> Operations::reset_failed(const std::string& name) {
  if (name.empty()) return reset_all();
  auto target = TV_TRY(resolve(name));
  log::notice("reset ordered", {{"name", name}});
  for (auto worker : target.workers) workers_.reset_failed(worker);
  for (auto actor : target.actors) reset_actor(actor);
  for (auto group : target.groups) supervision_.reset_failed(group);
  return in_quotes(name) + " reset: what had failed is started again, earlier deaths are forgotten";
}

// One whose state on disk could not be restored has not failed for the tree: it was never to start.
void Operations::reset_actor(ActorId id) {
  if (checkpoints_ && checkpoints_->withheld(id)) (void)restart_actor(id);
  supervision_.reset_failed(supervision_.node_of(id));
}

std::string Operations::reset_all() {
  log::notice("reset ordered", {{"name", "everything"}});
  std::size_t failed = 0;
  for (const auto& worker : workers_.all()) {
    failed += worker.state == WorkerState::kFailed ? 1 : 0;
    workers_.reset_failed(worker.index);
  }
  for (NodeId node = 1; node < supervision_.tree().size(); ++node) {
    failed += supervision_.tree().state(node) == NodeState::kFailed ? 1 : 0;
    supervision_.reset_failed(node);
  }
  for (ActorId id = 0; id < actors_.all().size(); ++id) {
    if (!checkpoints_ || !checkpoints_->withheld(id)) continue;
    ++failed;
    reset_actor(id);
  }
  return failed == 0 ? "nothing had failed; earlier deaths are forgotten" : std::to_string(failed) + " that had failed being started again";
}

Result<std::string> Operations::replay_dead_letter(std::uint64_t id) {
  const DeadLetter& letter = *TV_TRY(dead_letters_.find(id));
  const Actor& actor = actors_[letter.actor];
  const Worker& worker = workers_.all()[actor.placed.worker];  // in whose mailbox its mail is, wherever it lives
  // A failed actor would refuse it, and one that is stopped may not be there when it is read.
  if (actor.state == shm::ActorState::kStopped || actor.state == shm::ActorState::kFailed)
    return Error{Errc::kUnavailable, "actor " + in_quotes(actor.placed.name) + " is " + std::string(shm::actor_state_name(actor.state)) +
                                         "; tensorctl restart " + actor.placed.name + " first"};
  if (auto sent = replay_.send(letter, worker.participant()); !sent) {
    if (sent.error().code == Errc::kOverloaded)
      return Error{Errc::kOverloaded, "the mailbox of worker " + in_quotes(worker.config->name) + " is full; try again"};
    return Error{sent.error().code, "dead letter " + std::to_string(id) + ": " + sent.error().message};
  }
  std::string what = actor.placed.name + "." + letter.method;
  log::info("dead letter replayed", {{"id", id}, {"actor", actor.placed.name}, {"method", letter.method}});
  dead_letters_.remove(id);
  return "dead letter " + std::to_string(id) + " sent to " + what + " again";
}

Result<std::string> Operations::purge_dead_letters(std::uint64_t id) {
  std::size_t count = dead_letters_.all().size();
  if (id == 0) {
    dead_letters_.clear();
    log::info("dead letters purged", {{"count", count}});
    return std::to_string(count) + (count == 1 ? " dead letter purged" : " dead letters purged");
  }
  const DeadLetter& letter = *TV_TRY(dead_letters_.find(id));
  log::info("dead letter purged", {{"id", id}, {"actor", actors_[letter.actor].placed.name}, {"method", letter.method}});
  dead_letters_.remove(id);
  return "dead letter " + std::to_string(id) + " purged";
}

// The name of a tensor, or which one may be meant.
Result<void> Operations::known(const std::string& name) const {
  std::vector<std::string> names;
  for (auto& info : names_.cache().list()) names.push_back(std::move(info.name));
  if (std::find(names.begin(), names.end(), name) != names.end()) return {};
  auto shown = printable(name, limits::kMaxObjectName);
  return Error{Errc::kNotFound, "no tensor is published or cached as " + in_quotes(shown) + offer(shown, names)};
}

Result<std::string> Operations::pin_name(const std::string& name) {
  TV_TRY(known(name));
  TV_TRY(names_.cache().pin(name));
  log::info("cached tensor pinned by an administrator", {{"name", name}});
  return in_quotes(name) + " pinned: it is not evicted until it is unpinned";
}

Result<std::string> Operations::unpin_name(const std::string& name) {
  TV_TRY(known(name));
  TV_TRY(names_.cache().unpin(name));
  log::info("cached tensor unpinned by an administrator", {{"name", name}});
  return in_quotes(name) + " is not pinned any more";
}

Result<std::string> Operations::remove_name(const std::string& name) {
  TV_TRY(known(name));
  TV_TRY(names_.withdraw(name));
  log::notice("name removed by an administrator", {{"name", name}});
  return in_quotes(name) + " removed";
}

Result<void> Operations::no_checkpoints(const std::string& name) const {
  return Error{Errc::kInvalidArgument, (name.empty() ? "no actor's commits go" : "the commits of " + in_quotes(name) + " do not go") +
                                           std::string(" to disk; write [checkpoints] directory, or checkpoint = { disk = true }")};
}

Result<std::vector<ActorId>> Operations::checkpoint(const std::string& name) {
  std::vector<ActorId> actors;
  if (name.empty()) {
    for (ActorId id = 0; id < actors_.all().size(); ++id)
      if (actors_[id].placed.present) actors.push_back(id);
  } else {
    auto target = TV_TRY(resolve(name));
    if (actors_.find(name)) target.actors = {*actors_.find(name)};  // where it is a worker's name as well
    if (target.actors.empty()) return Error{Errc::kInvalidArgument, in_quotes(name) + " is a worker; name an actor or a pool"};
    actors = target.actors;
  }
  std::erase_if(actors, [this](ActorId id) { return !checkpoints_ || !checkpoints_->on_disk(id); });
  if (actors.empty()) TV_TRY(no_checkpoints(name));
  // What is there goes to disk meanwhile: a method may run for longer than anybody waits.
  for (ActorId id : actors) {
    checkpoints_->hurry(id);
    if (workers_.ask_for_commit(id)) checkpoints_->expect(id);
  }
  return actors;
}

Result<std::string> Operations::restore_checkpoint(const std::string& name, std::uint64_t generation) {
  auto id = actors_.find(name);
  if (!id) {
    std::vector<std::string> known;
    for (const auto& actor : actors_.all())
    if (actor.placed.present) known.push_back(actor.placed.name);
    return Error{Errc::kNotFound, "no actor is called " + in_quotes(name) + offer(name, known)};
  }
  if (!checkpoints_ || !checkpoints_->on_disk(*id)) TV_TRY(no_checkpoints(name));
  if (generation == 0) return Error{Errc::kInvalidArgument, "generations are counted from 1"};
  const Worker& worker = workers_.all()[actors_[*id].host];
  if (has_process(worker.state) && worker.state != WorkerState::kReady)
    return Error{Errc::kUnavailable, "worker " + in_quotes(worker.config->name) + " is " + std::string(state_name(worker.state)) + "; try again"};
  log::notice("restore ordered", {{"actor", name}, {"generation", generation}});
  TV_TRY(checkpoints_->restore(*id, generation, [this, id = *id] { return supervision_.stop_to_restore(id); },
                               [this, id = *id] { supervision_.start_restored(id); }));
  return "actor " + in_quotes(name) + " being restored from generation " + std::to_string(generation);
}

Result<void> Operations::restart_actor(ActorId id) {
  if (checkpoints_ && checkpoints_->withheld(id)) {
    checkpoints_->retry(id, [this, id] { supervision_.restart(supervision_.node_of(id)); });
    return {};
  }
  if (checkpoints_ && checkpoints_->restores(id).going_on)
    return Error{Errc::kUnavailable, "actor " + in_quotes(actors_[id].placed.name) + " is being restored, and starts when that is done"};
  const Actor& actor = actors_[id];
  const Worker& worker = workers_.all()[actor.host];
  if (worker.state == WorkerState::kStopped || worker.state == WorkerState::kFailed)
    return Error{Errc::kUnavailable, "actor " + in_quotes(actor.placed.name) + " cannot start: its worker " + in_quotes(worker.config->name) + " is " +
                                         std::string(state_name(worker.state)) + "; restart the worker"};
  TV_TRY(check_groups_around(supervision_.node_of(id), "actor " + in_quotes(actor.placed.name)));
  supervision_.restart(supervision_.node_of(id));
  return {};
}

// A group that is down has no child that runs.
Result<void> Operations::check_groups_around(NodeId node, const std::string& what) const {
  auto group = supervision_.tree().blocked_by(node);
  if (!group) return {};
  const auto& name = supervision_.tree().spec(*group).name;
  return Error{Errc::kUnavailable, what + " cannot start: its group " + in_quotes(name) + " is " + supervision_.group_state(*group) +
                                       "; tensorctl restart " + name};
}

}  // namespace tv::supervisor
