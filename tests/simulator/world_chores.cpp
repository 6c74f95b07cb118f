// Chores, as Maintenance and Operations (supervisor/maintenance.h, operations.h) begin them and carry them out. Part of World.
#include <algorithm>

#include "tests/simulator/world.h"

namespace tv::simulator {

using namespace supervisor;

// As Supervision::show.
World::Shown World::show(NodeId leaf) const {
  const Actor& actor = actors_[leaf];
  auto worker = workers_[actor.host].state;
  if (!actor.placed.present) return Shown::kStopped;
  if (actor.suspended) return Shown::kSuspended;
  switch (tree_->state(leaf)) {
    case NodeState::kUp:
      return Shown::kReady;
    case NodeState::kFailed:
      return Shown::kFailed;
    case NodeState::kStopped:
    case NodeState::kFinished:
      return Shown::kStopped;
    case NodeState::kStopping:
      return tree_->held(leaf) ? Shown::kStopped : Shown::kComing;
    case NodeState::kStarting:
      if (stranded(leaf) || worker == WorkerState::kFailed) return Shown::kFailed;
      return worker == WorkerState::kStopped ? Shown::kStopped : Shown::kComing;
    case NodeState::kWaiting:
    case NodeState::kDelayed:
      return Shown::kComing;
    case NodeState::kDown:
      break;
  }
  auto group = tree_->blocked_by(leaf);
  if (!group) return Shown::kComing;
  return tree_->state(*group) == NodeState::kFailed ? Shown::kFailed : Shown::kStopped;
}

Seen World::see(NodeId leaf) const {
  Seen seen{Life::kComing, actors_[leaf].readies, "", actors_[leaf].host};
  if (tree_->state(leaf) == NodeState::kStopping) {
    seen.life = Life::kLeaving;
    return seen;
  }
  switch (show(leaf)) {
    case Shown::kReady:
      seen.life = Life::kReady;
      break;
    case Shown::kStopped:
    case Shown::kSuspended:
      seen.life = Life::kDown;
      break;
    case Shown::kFailed:
      seen.life = Life::kFailed;
      break;
    case Shown::kComing:
      break;
  }
  return seen;
}

// --- orders

void World::inject_chore() {
  auto chosen = static_cast<NodeId>(1 + below(specs_.size() - 1));
  std::vector<NodeId> actors;
  std::string name;
  auto target = below(3);
  std::size_t w = below(workers_.size());
  if (target == 0 && is_actor(chosen) && actors_[chosen].placed.present) {
    name = name_of(chosen);
    actors = {chosen};
  } else if (target == 1 || pools_.empty()) {
    name = "worker " + std::to_string(w);
    for (NodeId leaf : leaves_on(w))
      if (actors_[leaf].placed.present) actors.push_back(leaf);
  } else {
    auto pool = below(pools_.size());
    name = "pool " + std::to_string(pool);
    for (NodeId member : pools_[pool].members)
      if (actors_[member].placed.present) actors.push_back(member);
    if (chance(50)) return scale(pool, below(pools_[pool].members.size() + 1));
  }
  auto what = below(6);
  if (what == 5) {
    note("an administrator undrains " + name);
    return undrain(actors);
  }
  auto chore = what < 2 ? Chore::kRoll : what == 2 ? Chore::kDrain : what == 3 ? Chore::kSuspend : Chore::kResume;
  std::vector<Unit> units;
  if (chore == Chore::kRoll && name.starts_with("worker")) {
    units.push_back({name, {actors.begin(), actors.end()}, w});
    // Of several processes that go by one name.
    for (std::size_t other = 0; other < workers_.size(); ++other) {
      if (other == w || !chance(60)) continue;
      Unit unit{"worker " + std::to_string(other), {}, other};
      for (NodeId leaf : leaves_on(other))
        if (actors_[leaf].placed.present) unit.actors.push_back(leaf);
      units.push_back(unit);
    }
  } else {
    for (NodeId leaf : actors) units.push_back({name_of(leaf), {leaf}, std::nullopt});
  }
  begin_chore(chore, name, std::move(units));
}

void World::begin_chore(Chore chore, const std::string& name, std::vector<Unit> units) {
  bool empties = chore == Chore::kDrain || chore == Chore::kRoll || chore == Chore::kShrink;
  bool suspended = false, busy = false;
  for (const auto& unit : units)
    for (ActorId actor : unit.actors) {
      suspended = suspended || actors_[actor].suspended;
      busy = busy || chore_rules_.in_a_chore(actor);
    }
  if (empties && suspended) return;
  note("an administrator orders: " + std::string(chore_name(chore)) + " of " + name);
  auto begun = upkeep_.begin(chore, name, units);
  if (begun.ok() == busy) return complain("somebody is in two chores, or may not be in one");
  if (!begun) return;
  ++stage_.outcome.chores;
  chore_rules_.begin(*begun, chore, name, units);
  chores_.insert(*begun);
  look();
}

void World::scale(std::size_t pool, std::size_t size) {
  auto name = "pool " + std::to_string(pool);
  note("an administrator scales " + name + " to " + std::to_string(size));
  upkeep_.cancel_scaling(name);
  chore_rules_.cancel_scaling(name);
  look();
  std::vector<NodeId> present, absent;
  for (NodeId member : pools_[pool].members) (actors_[member].placed.present ? present : absent).push_back(member);
  bool grows = size > present.size();
  auto& which = grows ? absent : present;
  if (!grows) std::reverse(which.begin(), which.end());
  which.resize(grows ? size - present.size() : present.size() - size);
  std::vector<Unit> units;
  for (NodeId member : which) units.push_back({name_of(member), {member}, std::nullopt});
  begin_chore(grows ? Chore::kGrow : Chore::kShrink, name, std::move(units));
}

void World::undrain(const std::vector<NodeId>& actors) {
  upkeep_.undrain(actors);
  chore_rules_.undrain(actors);
  look();
}

// --- looks

void World::look_soon() {
  if (std::exchange(look_soon_, true)) return;
  stage_.at(0ns, [this] {
    look_soon_ = false;
    look();
  });
}

void World::look() {
  if (!stage_.well()) return;
  mail_->tell_callers();
  std::map<ActorId, Seen> seen;
  for (NodeId n = 1; n < specs_.size(); ++n)
    if (is_actor(n)) seen[n] = see(n);
  auto look = [&seen](ActorId actor) { return seen.at(actor); };
  auto deeds = upkeep_.advance(look);
  if (auto wrong = chore_rules_.check(deeds, look, upkeep_); !wrong.empty()) return complain(wrong);
  // A unit is there until the next call, and what is done now may lead to one.
  for (const auto& deed : deeds) carry_out(deed);
  if (!deeds.empty()) look_soon();
}

void World::carry_out(const Deed& deed) {
  NodeId leaf = deed.actor;
  if (deed.kind != Deed::Kind::kTell)
    note("chore " + std::to_string(deed.chore) + ": deed " + std::to_string(static_cast<int>(deed.kind)) + " " +
         (deed.unit ? deed.unit->name : ""));
  switch (deed.kind) {
    case Deed::Kind::kAskSettled: {
      std::size_t w = actors_[leaf].host;
      return order(w, [this, w, leaf, token = deed.token] { mail_->settle(w, leaf, token); });
    }
    case Deed::Kind::kRestart: {
      bool refused = false;
      if (deed.unit->worker) {
        workers_[*deed.unit->worker].trial = {};
        raise(*deed.unit->worker, WorkerEvent::kRestart);
      } else {
        for (ActorId actor : std::vector<ActorId>(deed.unit->actors)) refused = refused || !restart_actor(actor);
      }
      if (!refused) return;
      upkeep_.refused(deed.chore, "it cannot be");
      return chore_rules_.refused(deed.chore);
    }
    case Deed::Kind::kStop:
      return stop(leaf);
    case Deed::Kind::kStart:
      return restart(leaf);
    case Deed::Kind::kSuspend:
      actors_[leaf].suspended = true;
      return event(
          "suspend", [&] { tree_->stop(leaf, stage_.now()); },
          [&](const auto& delays) { return reference_->stop(leaf, delays, stage_.now()); });
    case Deed::Kind::kResume:
      if (actors_[leaf].suspended) restart(leaf);
      return;
    case Deed::Kind::kDismiss:
      if (mail_->left(leaf) > 0) complain(name_of(leaf) + " goes, and leaves mail behind");
      if (actors_[leaf].leaf != Leaf::kNone && workers_[actors_[leaf].host].process.has.contains(leaf))
        complain(name_of(leaf) + " goes, and is not down");
      actors_[leaf].placed.present = false;
      actors_[leaf].leaf = Leaf::kNone;
      return event(
          "dismiss", [&] { tree_->dismiss(leaf, stage_.now()); },
          [&](const auto& delays) { return reference_->dismiss(leaf, delays, stage_.now()); });
    case Deed::Kind::kAdmit: {
      auto home = home_for(leaf);
      if (!home) {
        upkeep_.refused(deed.chore, "nowhere");
        return chore_rules_.refused(deed.chore);
      }
      auto& placed = actors_[leaf].placed;
      placed.present = true;
      if (!std::exchange(placed.settled, true)) {
        auto& others = placed.may_live_on;
        if (std::erase(others, *home) > 0) others.insert(std::lower_bound(others.begin(), others.end(), placed.worker), placed.worker);
        placed.worker = actors_[leaf].host = *home;
      }
      return event(
          "admit", [&] { tree_->admit(leaf, stage_.now()); },
          [&](const auto& delays) { return reference_->admit(leaf, delays, stage_.now()); });
    }
    case Deed::Kind::kTell:
      return;
  }
}

// False: it cannot be, says Operations.
bool World::restart_actor(NodeId leaf) {
  auto state = workers_[actors_[leaf].host].state;
  if (state == WorkerState::kStopped || state == WorkerState::kFailed || tree_->blocked_by(leaf)) return false;
  restart(leaf);
  return true;
}

std::optional<std::size_t> World::home_for(NodeId leaf) {
  const auto& placed = actors_[leaf].placed;
  if (placed.settled) return placed.worker;
  auto homes = pools_[*placed.pool].homes;
  std::erase_if(homes, [this](std::size_t w) {
    auto state = workers_[w].state;
    return state == WorkerState::kStopped || state == WorkerState::kFailed || !mailboxes_.at_home(w);
  });
  std::vector<std::size_t> actors_on(workers_.size());
  for (NodeId n = 1; n < specs_.size(); ++n)
    if (is_actor(n)) actors_on[actors_[n].host] += actors_[n].placed.present ? 1 : 0;
  return least_loaded(homes, actors_on);
}

// One that goes on waits for somebody who may still come, or for a worker that nobody watches.
void World::check_chores_at_the_end() {
  for (ChoreId id : chores_) {
    const auto* task = upkeep_.find(id);
    if (!task || task->state != Upkeep::State::kGoing) continue;
    bool excused = false;
    for (std::size_t i = 0; i < task->units.size(); ++i) {
      if (task->steps[i] == Upkeep::Step::kDone) continue;
      for (ActorId actor : task->units[i].actors) {
        auto seen = see(actor);
        bool hangs = !loops_->free(actors_[actor].host) && !loops_->has_watchdog(actors_[actor].host);
        excused = excused || seen.life == Life::kComing || seen.life == Life::kLeaving || hangs;
      }
    }
    if (!excused) complain("the " + std::string(chore_name(task->chore)) + " of " + task->name + " goes on, and waits for nobody");
  }
}

}  // namespace tv::simulator
