#include "tests/simulator/world.h"

#include <algorithm>

#include "tests/simulator/wind_down.h"

namespace tv::simulator {

using namespace supervisor;

namespace {

constexpr Limits kLimits{10s, 60s};
constexpr Nanoseconds kTroubleLasts = 120s;

}  // namespace

World::World(std::uint64_t seed, int max_faults) : stage_(seed, max_faults), disk_(stage_) {
  plan_tree();
  plan_workers();
  tree_ = std::make_unique<Tree>(specs_, kLimits, seed);
  reference_ = std::make_unique<Reference>(specs_);
  for (NodeId n = 1; n < specs_.size(); ++n) {
    if (!is_actor(n) || actors_[n].placed.present) continue;
    tree_->dismiss(n, 0);
    (void)reference_->dismiss(n, {}, 0);
  }
  std::vector<WatchLimits> watch;
  for (const auto& worker : workers_) watch.push_back(worker.watch);
  loops_ =
      std::make_unique<Loops>(stage_, watch, [this](std::size_t w, Cause cause) { ended(w, std::move(cause), loops_->whose_code(w)); });
  Mail::Surroundings surroundings{
      .stage = stage_,
      .loops = *loops_,
      .takes_mail = [this](NodeId n) { return show(n) != Shown::kStopped && show(n) != Shown::kFailed && !upkeep_.drained(n); },
      .gone = [this](NodeId n) { return is_actor(n) && (show(n) == Shown::kStopped || show(n) == Shown::kFailed); },
      .reader = [this](NodeId n) { return mailboxes_.reader(actors_[n].placed.worker); },
      .served_by =
          [this](std::size_t w) {
            std::vector<NodeId> served;
            for (NodeId n : workers_[w].process.has)
              if (actors_[n].leaf == Leaf::kUp && workers_[w].process.reads.contains(actors_[n].placed.worker)) served.push_back(n);
            return served;
          },
      .handled =
          [this](NodeId n) {
            if (disk_.has(n)) disk_.commit(n);
          },
      .settled =
          [this](NodeId n, std::uint64_t token) {
            upkeep_.settled(n, token);
            chore_rules_.settled(n, token);
            look_soon();
          },
      .crash =
          [this](std::size_t w, NodeId n) {
            ended(w, Cause{"killed by SIGSEGV", true, false, true, CauseKind::kSignal, 11}, n);
          },
  };
  mail_ = std::make_unique<Mail>(std::move(surroundings), specs_.size());
}

Outcome World::run() {
  tell_plan();
  event(
      "start", [&] { tree_->start(stage_.now()); }, [&](const auto&) { return reference_->start(stage_.now()); });
  for (std::size_t w = 0; w < workers_.size(); ++w) raise(w, WorkerEvent::kStart);
  auto trouble = static_cast<std::uint64_t>(kTroubleLasts / 1ms);
  for (auto n = 10 + below(110); n > 0; --n) inject_at(stage_.now() + static_cast<std::int64_t>(below(trouble)) * 1'000'000);
  for (auto n = 20 + below(100); n > 0; --n) stage_.at(Nanoseconds{1ms} * below(trouble), [this] { send_mail(); });
  stage_.at(kTroubleLasts + 1s, [this] { stage_.calm_down(); });
  while (stage_.well() && stage_.step()) check_step();
  if (stage_.well()) check_end();
  if (stage_.well()) disk_.finish();
  while (stage_.well() && stage_.step()) {
  }
  if (stage_.well()) disk_.start_again();
  while (stage_.well() && stage_.step()) {
  }
  return std::move(stage_.outcome);
}

// The tree wants to be looked at.
void World::wake() {
  auto due = tree_->next_due();
  if (!due || (wake_at_ > stage_.now() && wake_at_ <= *due)) return;
  wake_at_ = std::max(*due, stage_.now());
  stage_.at(Nanoseconds{wake_at_ - stage_.now()}, [this, planned = wake_at_] {
    if (planned != wake_at_) return;  // another look comes before
    wake_at_ = 0;
    tick();
  });
}

void World::tick() {
  event(
      "tick", [&] { tree_->tick(stage_.now()); }, [&](const auto& delays) { return reference_->tick(delays, stage_.now()); });
}

void World::stop(NodeId node) {
  actors_[node].suspended = false;
  event(
      "stop", [&] { tree_->stop(node, stage_.now()); }, [&](const auto& delays) { return reference_->stop(node, delays, stage_.now()); });
}

void World::restart(NodeId node) {
  actors_[node].suspended = false;
  event(
      "restart", [&] { tree_->restart(node, stage_.now()); },
      [&](const auto& delays) { return reference_->restart(node, delays, stage_.now()); });
}

// --- the tree, and the reference beside it

void World::event(const std::string& what, const std::function<void()>& real, const Model& model) {
  if (!stage_.well()) return;
  real();
  auto steps = tree_->take();
  compare(what, steps, model);
  carry_out(steps);
  // Whatever state the tree is in, it can end from here.
  if (stage_.well() && stage_.outcome.steps % 32 == 0)
    if (auto wrong = wind_down(*tree_, stage_.now(), stage_.outcome.steps); !wrong.empty()) complain(what + ", then the end: " + wrong);
  wake();
  look_soon();
}

void World::compare(const std::string& what, const std::vector<Step>& steps, const Model& model) {
  std::vector<std::string> orders;
  std::vector<Reference::Delay> delays;
  for (const auto& step : steps) {
    const auto& name = name_of(step.node);
    if (step.kind == Step::Kind::kStart) orders.push_back("start " + name);
    if (step.kind == Step::Kind::kStop) orders.push_back("stop " + name);
    if (step.kind == Step::Kind::kRestarts) {
      delays.push_back({step.node, step.delay});
      ++stage_.outcome.restarts;
      note(name + " restarts in " + std::to_string(step.delay.count()) + " ns");
    }
    if (step.kind == Step::Kind::kGroupFails) note(name + " fails");
    if (step.kind == Step::Kind::kFailed) {
      ++stage_.outcome.failures;
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
  for (NodeId n = 1; n < specs_.size() && stage_.well(); ++n)
    if ((tree_->state(n) == NodeState::kFailed) != reference_->failed(n))
      complain(what + ": " + name_of(n) + " is failed for one of them only");
}

// --- what must hold

void World::check_step() {
  if (stage_.outcome.steps % 8 != 0) return;
  check_readers();
  mail_->check();
}

// Faults have ceased, and nothing is to come: everybody is where he is for a reason.
void World::check_end() {
  check_workers_at_the_end();
  for (NodeId n = 1; n < specs_.size(); ++n) {
    if (!is_actor(n)) continue;
    const auto& worker = workers_[actors_[n].host];
    bool placeless = worker.state == WorkerState::kFailed || worker.state == WorkerState::kStopped || stranded(n);
    auto state = tree_->state(n);
    bool running = actors_[n].leaf == Leaf::kUp;
    if (running != (state == NodeState::kUp)) complain(name_of(n) + " runs for one of them only");
    if (state == NodeState::kStopping || state == NodeState::kDelayed) complain(name_of(n) + " has been forgotten on its way");
    if (state == NodeState::kStarting && !placeless) complain(name_of(n) + " has been forgotten while it started");
    if (state == NodeState::kDown && !tree_->blocked_by(n)) {
      // Only somebody before it in a group may be the reason, who waits himself.
      bool excused = false;
      for (NodeId other = 1; other < specs_.size(); ++other)
        excused = excused || tree_->state(other) == NodeState::kWaiting || (tree_->state(other) == NodeState::kStarting && is_actor(other));
      if (!excused) complain(name_of(n) + " has been forgotten");
    }
    if (state == NodeState::kWaiting) {
      NodeId other = tree_->waits_for(n);
      if (other == kNoNode || tree_->ready(other)) complain(name_of(n) + " waits for nothing");
    }
  }
  check_mail_at_the_end();
  check_chores_at_the_end();
}

// Nobody waits; and nobody who could live elsewhere is left with a worker that was given up.
void World::check_workers_at_the_end() {
  for (std::size_t w = 0; w < workers_.size(); ++w) {
    auto state = workers_[w].state;
    bool rests = state == WorkerState::kReady || state == WorkerState::kStopped || state == WorkerState::kFailed;
    if (!rests) complain("worker " + std::to_string(w) + " has been forgotten on its way");
    if (state != WorkerState::kFailed) continue;
    for (auto mailbox : mailboxes_.read_by(w))
      for (const auto& candidate : candidates_for(mailbox, w))
        for (NodeId leaf : of_mailbox(mailbox))
          if (candidate.has_room && may_live(actors_[leaf].placed, candidate.worker))
            complain(name_of(leaf) + " is left with worker " + std::to_string(w) + ", and could live on worker " +
                     std::to_string(candidate.worker));
  }
}

// Mail that is left waits for somebody.
void World::check_mail_at_the_end() {
  check_readers();
  mail_->check();
  mail_->tell_callers();
  for (NodeId n = 1; n < specs_.size(); ++n) {
    if (!is_actor(n)) continue;
    bool hangs = !loops_->free(actors_[n].host) && !loops_->has_watchdog(actors_[n].host);
    if (mail_->left(n) > 0 && show(n) == Shown::kReady && !hangs) complain(name_of(n) + " is up, and its mail is not read");
    if (upkeep_.drained(n) && !upkeep_.busy(n) && mail_->left(n) > 0) complain(name_of(n) + " is drained, and has mail");
  }
}

}  // namespace tv::simulator
