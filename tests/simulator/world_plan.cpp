// What there is in a world: groups, actors, pools and workers, all of them the seed's choice. Part of World.
#include <signal.h>

#include <algorithm>

#include "tests/simulator/world.h"

namespace tv::simulator {

using namespace supervisor;
using config::CauseAction;
using config::RestartType;
using config::Strategy;

namespace {

constexpr int kMaxDepth = 4;
constexpr std::size_t kMaxNodes = 40;

}  // namespace

NodeId World::add(bool group, NodeId parent) {
  auto id = static_cast<NodeId>(specs_.size());
  NodeSpec spec;
  spec.name = (group ? "g" : "a") + std::to_string(id);
  spec.is_group = group;
  spec.parent = parent;
  spec.backoff = some_backoff();
  if (parent == 0 && chance(40)) spec.probation = Nanoseconds{1s} * (1 + below(600));
  if (group) {
    spec.strategy = static_cast<Strategy>(below(3));
    if (chance(60)) spec.budget = config::Budget{static_cast<std::uint32_t>(below(4)), Nanoseconds{1s} * (1 + below(60))};
  } else {
    spec.restart = chance(60) ? RestartType::kPermanent : chance(50) ? RestartType::kTransient : RestartType::kTemporary;
    // Of those that stand before it, so that there is no cycle.
    for (NodeId other = 1; other < id; ++other)
      if (is_actor(other) && below(12) == 0) spec.after.push_back(other);
  }
  specs_.push_back(std::move(spec));
  children_.emplace_back();
  children_[parent].push_back(id);
  actors_.emplace_back();
  return id;
}

config::Backoff World::some_backoff() {
  config::Backoff backoff;
  backoff.min = Nanoseconds{1ms} * below(500);
  backoff.max = backoff.min + Nanoseconds{1ms} * below(20'000);
  backoff.factor = 1.0 + static_cast<double>(below(30)) / 10;
  backoff.jitter = chance(30) ? 0 : static_cast<double>(below(11)) / 10;
  backoff.reset = Nanoseconds{1s} * below(40);
  backoff.intensity = static_cast<std::uint32_t>(below(5));
  backoff.period = Nanoseconds{1s} * (1 + below(60));
  return backoff;
}

void World::plan_tree() {
  specs_.emplace_back();
  children_.emplace_back();
  actors_.emplace_back();
  for (auto n = 1 + below(5); n > 0; --n) {
    if (chance(30))
      add(false, 0);
    else
      plan_group(add(true, 0), 1);
  }
  if (chance(70)) plan_pool(0);
}

void World::plan_group(NodeId self, int depth) {
  for (auto n = 1 + below(4); n > 0; --n) {
    if (specs_.size() < kMaxNodes && depth < kMaxDepth && chance(30))
      plan_group(add(true, self), depth + 1);
    else if (specs_.size() < kMaxNodes && depth < kMaxDepth && chance(10))
      plan_pool(self);
    else
      add(false, self);
  }
}

// In a group it is a group of its own.
void World::plan_pool(NodeId parent) {
  NodeId self = parent;
  if (parent != 0) {
    self = add(true, parent);
    specs_[self].strategy = Strategy::kOneForOne;
  }
  Pool pool;
  auto size = below(3), most = std::max<std::uint64_t>(size, 1) + below(3);
  auto like = some_backoff();
  for (std::uint64_t i = 0; i < most; ++i) {
    NodeId member = add(false, self);
    specs_[member].restart = RestartType::kPermanent;
    specs_[member].backoff = like;
    actors_[member].placed.pool = pools_.size();
    actors_[member].placed.present = actors_[member].placed.settled = i < size;
    pool.members.push_back(member);
  }
  pools_.push_back(std::move(pool));
}

void World::plan_workers() {
  workers_.resize(1 + below(4));
  for (auto& worker : workers_) {
    worker.backoff = some_backoff();
    worker.backoff.intensity += 3;
    worker.room = 3 + below(40);
    auto somehow = [this] { return chance(60) ? CauseAction::kGiveUp : CauseAction::kRestartElsewhere; };
    if (chance(20)) worker.causes.exit_codes[70] = somehow();
    if (chance(20)) worker.causes.signals[SIGSEGV] = somehow();
    if (chance(20)) worker.causes.oom = somehow();
    if (chance(20)) worker.causes.hang = somehow();
    if (chance(20)) worker.causes.device_error = somehow();
    if (chance(50)) worker.causes.could_not_start = CauseAction::kRestart;
    if (chance(30)) worker.probation = Nanoseconds{1s} * (1 + below(60));
    if (chance(85)) worker.watch = {Nanoseconds{1ms} * (500 + below(chance(50) ? 3'000 : 30'000)), Nanoseconds{1ms} * (100 + below(5'000))};
  }
  auto any = [this] {
    std::vector<std::size_t> homes;
    for (std::size_t w = 0; w < workers_.size(); ++w)
      if (chance(50)) homes.push_back(w);
    if (homes.empty()) homes.push_back(below(workers_.size()));
    return homes;
  };
  for (auto& pool : pools_) {
    pool.homes = any();
    for (std::size_t i = 0; i < pool.members.size(); ++i) place(pool.members[i], pool.homes, pool.homes[i % pool.homes.size()]);
  }
  for (NodeId n = 1; n < specs_.size(); ++n) {
    if (!is_actor(n)) continue;
    if (!actors_[n].placed.pool) {
      auto homes = any();
      auto home = homes[below(homes.size())];
      place(n, homes, home);
    }
    if (chance(50)) disk_.add(n);
  }
  mailboxes_ = Mailboxes(workers_.size());
  move_rules_.begin(workers_.size());
}

// As placement.h: it lives on `home`, and may go to the others, unless it is not to migrate.
void World::place(NodeId actor, const std::vector<std::size_t>& homes, std::size_t home) {
  auto& placed = actors_[actor].placed;
  placed.name = name_of(actor);
  placed.worker = actors_[actor].host = home;
  if (chance(80)) placed.may_live_on = homes;
  std::erase(placed.may_live_on, home);
}

void World::tell_plan() {
  for (NodeId n = 1; n < specs_.size(); ++n) {
    const auto& spec = specs_[n];
    std::string line = spec.name + " in " + (spec.parent == 0 ? "no group" : name_of(spec.parent)) + ": ";
    if (spec.is_group) {
      line += std::string(config::to_string(spec.strategy));
    } else {
      const auto& placed = actors_[n].placed;
      line += std::string(config::to_string(spec.restart)) + ", worker " + std::to_string(placed.worker);
      for (auto other : placed.may_live_on) line += " or " + std::to_string(other);
      if (placed.pool) line += ", of pool " + std::to_string(*placed.pool) + (placed.present ? "" : ", not yet");
    }
    if (spec.budget) line += ", " + std::to_string(spec.budget->intensity) + " restarts of all";
    line += ", " + std::to_string(spec.backoff.intensity) + " of its own";
    for (NodeId other : spec.after) line += ", after " + name_of(other);
    note(std::move(line));
  }
  for (std::size_t w = 0; w < workers_.size(); ++w)
    note("worker " + std::to_string(w) + ": watchdog " + std::to_string(workers_[w].watch.watchdog.count() / 1'000'000) + " ms, grace " +
         std::to_string(workers_[w].watch.grace.count() / 1'000'000) + " ms");
}

}  // namespace tv::simulator
