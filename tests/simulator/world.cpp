#include "tests/simulator/world.h"

#include <signal.h>

#include <algorithm>
#include <functional>
#include <tuple>

#include "tests/simulator/wind_down.h"

namespace tv::simulator {

using namespace supervisor;
using config::RestartType;
using config::Strategy;

namespace {

constexpr int kMaxDepth = 4;
constexpr std::size_t kMaxNodes = 40;
constexpr Limits kLimits{10s, 60s};
constexpr std::uint64_t kMostEvents = 200'000;

std::string time_text(std::int64_t ns) { return std::to_string((ns - 3'600'000'000'000) / 1000) + " us"; }

}  // namespace

World::World(std::uint64_t seed, int max_faults) : random_(seed), max_faults_(max_faults) {
  plan_tree();
  plan_workers();
  tree_ = std::make_unique<Tree>(specs_, kLimits, seed);
  reference_ = std::make_unique<Reference>(specs_);
  leaves_.resize(specs_.size(), Leaf::kNone);
  tries_.resize(specs_.size(), 0);
}

// --- what there is

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
      if (!specs_[other].is_group && below(12) == 0) spec.after.push_back(other);
  }
  specs_.push_back(std::move(spec));
  children_.emplace_back();
  children_[parent].push_back(id);
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
  for (auto n = 1 + below(5); n > 0; --n) {
    if (chance(30)) add(false, 0);
    else plan_group(add(true, 0), 1);
  }
}

void World::plan_group(NodeId self, int depth) {
  for (auto n = 1 + below(4); n > 0; --n) {
    if (specs_.size() < kMaxNodes && depth < kMaxDepth && chance(30)) plan_group(add(true, self), depth + 1);
    else add(false, self);
  }
}

void World::plan_workers() {
  workers_.resize(1 + below(4));
  for (auto& worker : workers_) {
    worker.backoff = some_backoff();
    worker.backoff.intensity += 3;
    if (chance(20)) worker.causes.exit_codes[70] = config::CauseAction::kGiveUp;
    if (chance(20)) worker.causes.signals[SIGSEGV] = config::CauseAction::kGiveUp;
    if (chance(20)) worker.causes.oom = config::CauseAction::kGiveUp;
    if (chance(20)) worker.causes.hang = config::CauseAction::kGiveUp;
    if (chance(50)) worker.causes.could_not_start = config::CauseAction::kRestart;
  }
  worker_of_.resize(specs_.size(), 0);
  for (NodeId n = 1; n < specs_.size(); ++n) {
    if (specs_[n].is_group) continue;
    worker_of_[n] = below(workers_.size());
    workers_[worker_of_[n]].leaves.push_back(n);
  }
}

// --- time

void World::at(Nanoseconds delay, std::function<void()> run) {
  events_.push_back({now_ + std::max<std::int64_t>(delay.count(), 0), ++order_, std::move(run)});
  std::push_heap(events_.begin(), events_.end());
}

void World::note(std::string what) { outcome_.trace.push_back(time_text(now_) + ": " + std::move(what)); }

void World::complain(const std::string& what) {
  if (!outcome_.violation.empty()) return;
  outcome_.violation = what;
  note("VIOLATION: " + what);
}

bool World::fault() {
  if (calm_ || faults_ >= max_faults_) return false;
  ++faults_;
  return true;
}

Outcome World::run() {
  for (NodeId n = 1; n < specs_.size(); ++n) {
    const auto& spec = specs_[n];
    std::string line = spec.name + " in " + (spec.parent == 0 ? "no group" : specs_[spec.parent].name) + ": ";
    line += spec.is_group ? std::string(config::to_string(spec.strategy)) : std::string(config::to_string(spec.restart)) + ", worker " + std::to_string(worker_of_[n]);
    if (spec.budget) line += ", " + std::to_string(spec.budget->intensity) + " restarts of all";
    line += ", " + std::to_string(spec.backoff.intensity) + " of its own";
    for (NodeId other : spec.after) line += ", after " + specs_[other].name;
    note(std::move(line));
  }
  event("start", [&] { tree_->start(now_); }, [&](const auto&) { return reference_->start(now_); });
  for (std::size_t w = 0; w < workers_.size(); ++w) raise(w, WorkerEvent::kStart);
  for (int n = 5 + static_cast<int>(below(60)); n > 0; --n) at(Nanoseconds{1ms} * below(120'000), [this] { inject(); });
  at(121s, [this] { calm_ = true; });
  while (!events_.empty() && outcome_.violation.empty()) {
    std::pop_heap(events_.begin(), events_.end());
    auto event = std::move(events_.back());
    events_.pop_back();
    now_ = event.at;
    event.run();
    if (++outcome_.steps > kMostEvents) complain("it does not settle: " + std::to_string(kMostEvents) + " events");
  }
  if (outcome_.violation.empty()) check_end();
  outcome_.faults = faults_;
  return std::move(outcome_);
}

// The tree wants to be looked at.
void World::wake() {
  auto due = tree_->next_due();
  if (!due || (wake_at_ > now_ && wake_at_ <= *due)) return;
  wake_at_ = std::max(*due, now_);
  at(Nanoseconds{wake_at_ - now_}, [this, planned = wake_at_] {
    if (planned != wake_at_) return;  // another look comes before
    wake_at_ = 0;
    event("tick", [&] { tree_->tick(now_); }, [&](const auto& delays) { return reference_->tick(delays, now_); });
  });
}

// --- the tree, and the reference beside it

template <class Real, class Model>
void World::event(const std::string& what, Real real, Model model) {
  if (!outcome_.violation.empty()) return;
  real();
  auto steps = tree_->take();
  std::vector<std::string> orders;
  std::vector<Reference::Delay> delays;
  for (const auto& step : steps) {
    const auto& name = specs_[step.node].name;
    if (step.kind == Step::Kind::kStart) orders.push_back("start " + name);
    if (step.kind == Step::Kind::kStop) orders.push_back("stop " + name);
    if (step.kind == Step::Kind::kRestarts) {
      delays.push_back({step.node, step.delay});
      ++outcome_.restarts;
      note(name + " restarts in " + std::to_string(step.delay.count()) + " ns");
    }
    if (step.kind == Step::Kind::kGroupFails) note(name + " fails");
    if (step.kind == Step::Kind::kFailed) {
      ++outcome_.failures;
      note(name + " failed: " + step.why);
    }
    if (step.kind == Step::Kind::kChance) note("chance for " + name);
  }
  for (const auto& order : orders) note(order);
  std::sort(orders.begin(), orders.end());
  auto expected = model(delays);
  if (!reference_->complaint().empty()) complain(what + ": " + reference_->complaint());
  if (orders != expected) {
    std::string all;
    for (const auto& order : expected) all += (all.empty() ? "" : ", ") + order;
    complain(what + ": by the rules it should have been: " + (all.empty() ? "nothing" : all));
  }
  for (NodeId n = 1; n < specs_.size() && outcome_.violation.empty(); ++n)
    if ((tree_->state(n) == NodeState::kFailed) != reference_->failed(n)) complain(what + ": " + specs_[n].name + " is failed for one of them only");
  carry_out(steps);
  // Whatever state the tree is in, it can end from here.
  if (outcome_.violation.empty() && outcome_.steps % 16 == 0)
    if (auto wrong = wind_down(*tree_, now_, outcome_.steps); !wrong.empty()) complain(what + ", then the end: " + wrong);
  wake();
}

void World::carry_out(const std::vector<Step>& steps) {
  for (const auto& step : steps) {
    if (!outcome_.violation.empty()) return;
    NodeId leaf = step.node;
    std::size_t w = worker_of_[leaf];
    switch (step.kind) {
      case Step::Kind::kStart:
        check_start(leaf);
        leaves_[leaf] = Leaf::kStarting;
        if (live(w)) begin(leaf);
        break;
      case Step::Kind::kStop:
        check_stop(leaf);
        leaves_[leaf] = Leaf::kStopping;
        ++tries_[leaf];
        if (live(w)) {
          if (chance(5) && fault()) {
            note(specs_[leaf].name + " does not stop");
            break;
          }
          at(Nanoseconds{1us} * (1 + below(50'000)), [this, leaf, life = workers_[w].process.life] {
            if (workers_[worker_of_[leaf]].process.life != life || leaves_[leaf] != Leaf::kStopping) return;
            leaves_[leaf] = Leaf::kNone;
            note(specs_[leaf].name + " has stopped");
            event("down", [&] { tree_->down(leaf, now_); }, [&](const auto& delays) { return reference_->down(leaf, delays, now_); });
          });
        } else if (!workers_[w].process.alive) {
          at(0ns, [this, leaf] {
            if (leaves_[leaf] != Leaf::kStopping) return;
            leaves_[leaf] = Leaf::kNone;
            event("down", [&] { tree_->down(leaf, now_); }, [&](const auto& delays) { return reference_->down(leaf, delays, now_); });
          });
        }
        break;
      case Step::Kind::kKill:
        note("kill the process of " + specs_[leaf].name);
        die_later(w, Cause{"killed", true, false, false, CauseKind::kSignal, SIGKILL},
                  leaves_[leaf] == Leaf::kStarting ? leaf : kNoNode, Nanoseconds{1ms} * below(30'000));
        break;
      default: break;
    }
  }
}

// Started once, one after the other, and not in a loop at one moment.
void World::check_start(NodeId leaf) {
  if (leaves_[leaf] != Leaf::kNone) complain(specs_[leaf].name + " is started, and is there already");
  if (now_ != starts_at_) starts_now_.clear();
  starts_at_ = now_;
  if (++starts_now_[leaf] > 3) complain(specs_[leaf].name + " is started again and again at one moment");
  for (NodeId other : specs_[leaf].after)
    if (leaves_[other] != Leaf::kUp) complain(specs_[leaf].name + " is started before " + specs_[other].name + " is ready");
}

// In reverse: of two children of one_for_all that are both to go, the later one goes first. Any group that is stopped as a whole does so.
void World::check_stop(NodeId leaf) {
  if (leaves_[leaf] != Leaf::kStarting && leaves_[leaf] != Leaf::kUp) complain(specs_[leaf].name + " is stopped, and does not run");
}

// --- workers

bool World::live(std::size_t w) const {
  const auto& worker = workers_[w];
  return worker.process.alive && (worker.state == WorkerState::kStarting || worker.state == WorkerState::kReady);
}

void World::raise(std::size_t w, WorkerEvent event) {
  auto step = next_step(workers_[w].state, event);
  workers_[w].state = step.next;
  perform(w, step.actions);
}

void World::perform(std::size_t w, std::uint32_t actions) {
  Worker& worker = workers_[w];
  if (actions & kDisarm) ++worker.timer;
  if (actions & kForgive) worker.history = {};
  if (actions & kCancel) ++worker.ticket;
  if (actions & kAcquire) {
    at(Nanoseconds{1us} * (1 + below(5'000)), [this, w, ticket = ++worker.ticket] {
      if (ticket == workers_[w].ticket) raise(w, WorkerEvent::kProcess);
    });
  }
  if (actions & kAssign) assign(w);
  if (actions & kSendStop) {
    worker.process.leaving = true;
    if (chance(10) && fault()) note("worker " + std::to_string(w) + " ignores the order to stop");
    else die_later(w, Cause{"exit code 0", false, false, false, CauseKind::kExit, 0}, kNoNode, Nanoseconds{1ms} * below(5'000));
  }
  if (actions & kKill) die_later(w, Cause{"killed", true, false, false, CauseKind::kSignal, SIGKILL}, kNoNode, Nanoseconds{1ms} * below(3'000));
  if (actions & kArmStart) arm(w, kLimits.start_timeout, WorkerEvent::kStartTimeout);
  if (actions & kArmGrace) arm(w, kLimits.stop_grace, WorkerEvent::kGraceOver);
  if (actions & kArmBackoff) arm(w, worker.delay, WorkerEvent::kBackoffOver);
  if (actions & kReportReady) worker.ready_ns = now_;
}

void World::arm(std::size_t w, Nanoseconds delay, WorkerEvent event) {
  at(delay, [this, w, event, timer = ++workers_[w].timer] {
    if (timer == workers_[w].timer) raise(w, event);
  });
}

void World::assign(std::size_t w) {
  Worker& worker = workers_[w];
  worker.process = {true, false, false, worker.process.life + 1};
  worker.ready_ns = 0;
  note("worker " + std::to_string(w) + " has a process");
  if (chance(4) && fault()) {
    note("worker " + std::to_string(w) + " will never be ready");
  } else {
    at(Nanoseconds{1us} * (100 + below(50'000)), [this, w, life = worker.process.life] {
      if (workers_[w].process.life == life && workers_[w].process.alive) raise(w, WorkerEvent::kReady);
    });
  }
  for (NodeId leaf : worker.leaves)
    if (leaves_[leaf] == Leaf::kStarting) begin(leaf);
}

// What the process does with an order to start an actor.
void World::begin(NodeId leaf) {
  std::size_t w = worker_of_[leaf];
  tree_->began(leaf, now_);
  wake();
  auto what = below(100);
  auto delay = Nanoseconds{1us} * (1 + below(100'000));
  auto mine = [this, leaf, w, life = workers_[w].process.life, tries = ++tries_[leaf]] {
    return workers_[w].process.alive && workers_[w].process.life == life && tries_[leaf] == tries && leaves_[leaf] == Leaf::kStarting;
  };
  if (what < 2 && fault()) return note(specs_[leaf].name + " will never be ready");
  if (what < 5 && fault()) {
    return at(delay, [this, leaf, w, mine] {
      if (!mine()) return;
      Cause cause = start_failed("on_start failed");
      bool gives = gives_up(workers_[w].causes, cause);
      leaves_[leaf] = Leaf::kNone;
      note(specs_[leaf].name + "'s on_start failed");
      event("start failed", [&] { tree_->start_failed(leaf, cause, gives, now_); },
            [&](const auto& delays) { return reference_->start_failed(leaf, gives, delays, now_); });
    });
  }
  if (what < 10 && fault()) {
    return at(delay, [this, leaf, w, mine] {
      if (mine()) ended(w, Cause{"killed in on_start", true, false, false, CauseKind::kSignal, SIGSEGV}, leaf);
    });
  }
  at(delay, [this, leaf, mine] {
    if (!mine()) return;
    leaves_[leaf] = Leaf::kUp;
    note(specs_[leaf].name + " is up");
    event("up", [&] { tree_->up(leaf, now_); }, [&](const auto&) { return reference_->up(leaf, now_); });
  });
}

void World::die_later(std::size_t w, Cause cause, NodeId culprit, Nanoseconds delay) {
  if (!workers_[w].process.alive) return;
  at(delay, [this, w, cause, culprit, life = workers_[w].process.life] {
    if (workers_[w].process.alive && workers_[w].process.life == life) ended(w, cause, culprit);
  });
}

// As Workers::ended: the tree first, then the worker.
void World::ended(std::size_t w, Cause cause, NodeId culprit) {
  Worker& worker = workers_[w];
  bool asked = worker.state == WorkerState::kStopping || worker.state == WorkerState::kCycling;
  bool gives = gives_up(worker.causes, cause);
  if (asked || cause.hopeless) culprit = kNoNode;
  note("worker " + std::to_string(w) + " ended: " + cause.text + (culprit == kNoNode ? "" : ", charged to " + specs_[culprit].name));
  worker.process.alive = false;
  auto healthy = worker.ready_ns != 0 ? Nanoseconds{now_ - worker.ready_ns} : 0ns;
  worker.ready_ns = 0;
  for (NodeId leaf : worker.leaves) {
    leaves_[leaf] = Leaf::kNone;
    ++tries_[leaf];
  }
  bool given_up = false;
  if (asked) {
    event("left", [&] { tree_->left(worker.leaves, now_); }, [&](const auto& delays) { return reference_->left(worker.leaves, delays, now_); });
  } else {
    event("died", [&] { given_up = tree_->died(worker.leaves, culprit, cause, gives, now_); },
          [&](const auto& delays) { return reference_->died(worker.leaves, culprit, cause.abnormal, gives, delays, now_); });
  }
  if (asked) return raise(w, WorkerEvent::kDeathNow);
  Decision decision = Restart{0ns};
  if (given_up) {
    absolve(worker.history, culprit);
    decision = Restart{next_delay(worker.history, worker.backoff, healthy, static_cast<std::uint64_t>(now_))};
  } else if (culprit == kNoNode && gives) {
    decision = GiveUp{cause.text};
  } else {
    decision = decide(worker.history, worker.backoff, cause, healthy, now_, static_cast<std::uint64_t>(now_), culprit);
    if (worker.history.restarts.size() > worker.backoff.intensity) complain("worker " + std::to_string(w) + " restarts more often than it may");
  }
  if (std::holds_alternative<GiveUp>(decision)) {
    note("worker " + std::to_string(w) + " is given up");
    return raise(w, WorkerEvent::kDeathGiveUp);
  }
  worker.delay = std::get<Restart>(decision).delay;
  raise(w, worker.delay > 0ns ? WorkerEvent::kDeathLater : WorkerEvent::kDeathNow);
}

// --- faults

void World::inject() {
  if (!fault()) return;
  if (chance(30)) return inject_order();
  std::size_t w = below(workers_.size());
  if (!workers_[w].process.alive) return;
  static const std::vector<Cause> kCauses = {
      {"exit code 0", false, false, false, CauseKind::kExit, 0},
      {"exit code 1", true, false, false, CauseKind::kExit, 1},
      {"exit code 70", true, false, false, CauseKind::kExit, 70},
      {"exit code 75", true, false, false, CauseKind::kDeviceError, 75},
      {"exit code 78", true, true, false, CauseKind::kExit, 78},
      {"killed by SIGKILL", true, false, false, CauseKind::kSignal, SIGKILL},
      {"killed by SIGSEGV", true, false, true, CauseKind::kSignal, SIGSEGV},
      {"out of memory", true, false, false, CauseKind::kOutOfMemory, SIGKILL},
      {"hung", true, false, false, CauseKind::kHang, SIGKILL},
  };
  const Cause& cause = kCauses[below(kCauses.size())];
  if (cause.hopeless && !chance(20)) return;
  NodeId culprit = kNoNode;
  const auto& leaves = workers_[w].leaves;
  if (!leaves.empty() && chance(75)) culprit = leaves[below(leaves.size())];
  ended(w, cause, culprit);
}

void World::inject_order() {
  auto what = below(6);
  std::size_t w = below(workers_.size());
  if (what < 2) {
    note(std::string("an administrator ") + (what == 0 ? "stops" : "restarts") + " worker " + std::to_string(w));
    raise(w, what == 0 ? WorkerEvent::kStop : WorkerEvent::kRestart);
    if (what == 0) at(Nanoseconds{1s} * below(20), [this, w] { raise(w, WorkerEvent::kRestart); });
    return;
  }
  auto node = static_cast<NodeId>(1 + below(specs_.size() - 1));
  const auto& name = specs_[node].name;
  if (what == 2 || what == 3) {
    note("an administrator stops " + name);
    event("stop", [&] { tree_->stop(node, now_); }, [&](const auto& delays) { return reference_->stop(node, delays, now_); });
    if (chance(20)) return;
    at(Nanoseconds{1ms} * below(20'000), [this, node] {
      if (tree_->blocked_by(node)) return;
      note("an administrator restarts " + specs_[node].name);
      event("restart", [&] { tree_->restart(node, now_); }, [&](const auto& delays) { return reference_->restart(node, delays, now_); });
    });
  } else if (what == 4) {
    if (tree_->blocked_by(node)) return;
    note("an administrator restarts " + name);
    event("restart", [&] { tree_->restart(node, now_); }, [&](const auto& delays) { return reference_->restart(node, delays, now_); });
  } else {
    note("an administrator resets " + name);
    event("reset", [&] { tree_->reset_failed(node, now_); }, [&](const auto& delays) { return reference_->reset_failed(node, delays, now_); });
  }
}

// Faults have ceased, and nothing is to come: everybody is where he is for a reason.
void World::check_end() {
  for (NodeId n = 1; n < specs_.size(); ++n) {
    if (specs_[n].is_group) continue;
    const auto& worker = workers_[worker_of_[n]];
    bool placeless = worker.state == WorkerState::kFailed || worker.state == WorkerState::kStopped;
    auto state = tree_->state(n);
    bool running = leaves_[n] == Leaf::kUp;
    if (running != (state == NodeState::kUp)) complain(specs_[n].name + " runs for one of them only");
    if (state == NodeState::kStopping || state == NodeState::kDelayed) complain(specs_[n].name + " has been forgotten on its way");
    if (state == NodeState::kStarting && !placeless) complain(specs_[n].name + " has been forgotten while it started");
    if (state == NodeState::kDown && !tree_->blocked_by(n)) {
      // Only somebody before it in a group may be the reason, who waits himself.
      bool excused = false;
      for (NodeId other = 1; other < specs_.size(); ++other)
        excused = excused || tree_->state(other) == NodeState::kWaiting || (tree_->state(other) == NodeState::kStarting && !specs_[other].is_group);
      if (!excused) complain(specs_[n].name + " has been forgotten");
    }
    if (state == NodeState::kWaiting) {
      NodeId other = tree_->waits_for(n);
      if (other == kNoNode || tree_->ready(other)) complain(specs_[n].name + " waits for nothing");
    }
  }
}

}  // namespace tv::simulator
