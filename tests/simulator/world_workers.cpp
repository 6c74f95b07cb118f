// Workers, as Workers (supervisor/workers.h) has them, with fake processes. Part of World.
#include <signal.h>

#include <algorithm>

#include "tests/simulator/world.h"

namespace tv::simulator {

using namespace supervisor;

namespace {

const Cause kKilled{"killed", true, false, false, CauseKind::kSignal, SIGKILL};
const Cause kLeft{"exit code 0", false, false, false, CauseKind::kExit, 0};

std::string text(std::size_t w) { return "worker " + std::to_string(w); }

}  // namespace

bool World::live(std::size_t w) const {
  const auto& worker = workers_[w];
  return worker.process.alive && (worker.state == WorkerState::kStarting || worker.state == WorkerState::kReady);
}

std::vector<NodeId> World::leaves_on(std::size_t w) const {
  std::vector<NodeId> leaves;
  for (NodeId n = 1; n < specs_.size(); ++n)
    if (is_actor(n) && actors_[n].placed.settled && actors_[n].host == w) leaves.push_back(n);
  return leaves;
}

void World::act(std::size_t w, Nanoseconds delay, std::function<void()> what) {
  stage_.at(delay, [this, w, life = workers_[w].process.life, what = std::move(what)] {
    if (!workers_[w].process.alive || workers_[w].process.life != life) return;
    loops_->turn(w, what);
  });
}

void World::order(std::size_t w, std::function<void()> what) {
  auto& last = workers_[w].process.last_order;
  last = std::max(last, stage_.now() + static_cast<std::int64_t>(below(1'000'000)));
  act(w, Nanoseconds{last - stage_.now()}, std::move(what));
}

// Events that come while one is being dealt with wait for their turn.
void World::raise(std::size_t w, WorkerEvent event) {
  auto& events = workers_[w].events;
  events.push_back(event);
  if (events.size() > 1) return;
  while (!events.empty()) {
    auto step = next_step(workers_[w].state, events.front());
    workers_[w].state = step.next;
    perform(w, step.actions);
    events.pop_front();
  }
  look_soon();
}

void World::perform(std::size_t w, std::uint32_t actions) {
  Worker& worker = workers_[w];
  if (actions & kDisarm) ++worker.timer;
  if (actions & kForgive) worker.history = {};
  if (actions & kCancel) {
    ++worker.ticket;
    worker.asks = false;
  }
  if (actions & kAcquire) acquire(w);
  if (actions & kAssign) assign(w);
  if (actions & kSendStop) {
    loops_->unwatch(w);
    if (chance(10) && fault())
      note(text(w) + " ignores the order to stop");
    else
      act(w, Nanoseconds{1ms} * below(5'000), [this, w] { ended(w, kLeft, kNoNode); });
  }
  if (actions & kKill) die_later(w, kKilled, Nanoseconds{1ms} * below(3'000));
  if (actions & kArmStart) arm(w, 60s, WorkerEvent::kStartTimeout);
  if (actions & kArmGrace) arm(w, 10s, WorkerEvent::kGraceOver);
  if (actions & kArmBackoff) arm(w, worker.delay, WorkerEvent::kBackoffOver);
  if (actions & kReportReady) report_ready(w);
  if (actions & kReportStopped) {
    mailboxes_.not_wanted(w);
    move_rules_.not_wanted(w);
    check_readers();
  }
  if (actions & kReportFailed) report_failed(w);
}

void World::arm(std::size_t w, Nanoseconds delay, WorkerEvent event) {
  stage_.at(delay, [this, w, event, timer = ++workers_[w].timer] {
    if (timer == workers_[w].timer) raise(w, event);
  });
}

void World::acquire(std::size_t w) {
  ++workers_[w].chance;
  if (fetch_home(w)) ask_for_process(w);
}

void World::ask_for_process(std::size_t w) {
  workers_[w].asks = true;
  stage_.at(Nanoseconds{1us} * (1 + below(5'000)), [this, w, ticket = ++workers_[w].ticket] {
    if (ticket != workers_[w].ticket) return;
    workers_[w].asks = false;
    raise(w, WorkerEvent::kProcess);
  });
}

void World::assign(std::size_t w) {
  Worker& worker = workers_[w];
  worker.process = {true, worker.process.life + 1, 0, {}, {}};
  worker.ready_ns = 0;
  loops_->process_begins(w);
  note(text(w) + " has a process");
  for (auto mailbox : mailboxes_.read_by(w)) worker.process.reads.insert(mailbox);
  check_readers();
  for (NodeId leaf : leaves_on(w)) {
    if (disk_.has(leaf)) disk_.moved(leaf);
    if (actors_[leaf].leaf == Leaf::kStarting && !stranded(leaf)) begin(leaf);
  }
  if (chance(4) && fault())
    note(text(w) + " will never be ready");
  else
    act(w, Nanoseconds{1us} * (100 + below(50'000)), [this, w] { raise(w, WorkerEvent::kReady); });
  act(w, 0ns, [this, w] { mail_->ring(w); });
}

void World::report_ready(std::size_t w) {
  workers_[w].ready_ns = stage_.now();
  loops_->watch(w);
  call_stranded();
}

void World::report_failed(std::size_t w) {
  Worker& worker = workers_[w];
  note(text(w) + " is given up");
  move_away(w);
  if (worker.probation <= 0ns || !mailboxes_.at_home(w)) return;
  auto wait = wait_after_failure(worker.trial, worker.probation, stage_.now());
  stage_.at(wait, [this, w, chance = ++worker.chance] {
    if (chance != workers_[w].chance) return;
    note(text(w) + " gets another chance");
    if (!mailboxes_.at_home(w)) complain(text(w) + " gets another chance, and its actors are well where they are");
    workers_[w].trial.chance_ns = stage_.now();
    raise(w, WorkerEvent::kRestart);
  });
}

void World::die_later(std::size_t w, Cause cause, Nanoseconds delay) {
  if (!workers_[w].process.alive) return;
  stage_.at(delay, [this, w, cause, life = workers_[w].process.life] {
    if (workers_[w].process.alive && workers_[w].process.life == life) ended(w, cause, loops_->whose_code(w));
  });
}

// As Workers::ended: the tree first, then mailboxes that are waited for, then the worker.
void World::ended(std::size_t w, Cause cause, NodeId culprit) {
  if (!stage_.well()) return;
  Worker& worker = workers_[w];
  bool asked = worker.state == WorkerState::kStopping || worker.state == WorkerState::kCycling;
  bool gives = gives_up(worker.causes, cause);
  if (asked || cause.hopeless) culprit = kNoNode;
  note(text(w) + " ended: " + cause.text + (culprit == kNoNode ? "" : ", charged to " + name_of(culprit)));
  auto healthy = worker.ready_ns != 0 ? Nanoseconds{stage_.now() - worker.ready_ns} : 0ns;
  worker.ready_ns = 0;
  worker.process.alive = false;
  worker.process.reads.clear();
  worker.process.has.clear();
  loops_->process_ended(w);
  mail_->process_ended(w);
  auto leaves = leaves_on(w);
  for (NodeId leaf : leaves) {
    actors_[leaf].leaf = Leaf::kNone;
    ++actors_[leaf].tries;
  }
  bool given_up = false;
  auto now = stage_.now();
  if (asked) {
    event(
        "left", [&] { tree_->left(leaves, now); }, [&](const auto& delays) { return reference_->left(leaves, delays, now); });
  } else {
    event(
        "died", [&] { given_up = tree_->died(leaves, culprit, cause, gives, now); },
        [&](const auto& delays) { return reference_->died(leaves, culprit, cause.abnormal, gives, delays, now); });
  }
  auto home = mailboxes_.ended(w);
  move_rules_.process_ended(w);
  for (auto mailbox : home) come_home(mailbox);
  check_readers();
  raise(w, asked ? WorkerEvent::kDeathNow : decide_restart(w, cause, culprit, given_up, gives, healthy));
  for (auto mailbox : home)
    if (workers_[mailbox].state == WorkerState::kForking && !workers_[mailbox].asks) ask_for_process(mailbox);
}

Decision World::judge(std::size_t w, const Cause& cause, NodeId culprit, bool given_up, bool gives, Nanoseconds healthy) {
  Worker& worker = workers_[w];
  auto now = stage_.now();
  auto seed = static_cast<std::uint64_t>(now);
  if (moves_away(worker.causes, cause)) return GiveUp{"restart elsewhere"};
  if (given_up) {
    absolve(worker.history, culprit);
    return Restart{next_delay(worker.history, worker.backoff, healthy, seed)};
  }
  if (culprit == kNoNode && gives) return GiveUp{cause.text};
  if (on_trial(worker.trial, budget_of(worker.backoff), now)) return GiveUp{"failed again on probation"};
  auto decision = decide(worker.history, worker.backoff, cause, healthy, now, seed, culprit);
  if (worker.history.restarts.size() > worker.backoff.intensity) complain(text(w) + " restarts more often than it may");
  return decision;
}

WorkerEvent World::decide_restart(std::size_t w, const Cause& cause, NodeId culprit, bool given_up, bool gives, Nanoseconds healthy) {
  auto decision = judge(w, cause, culprit, given_up, gives, healthy);
  if (std::holds_alternative<GiveUp>(decision)) return WorkerEvent::kDeathGiveUp;
  workers_[w].delay = std::get<Restart>(decision).delay;
  return workers_[w].delay > 0ns ? WorkerEvent::kDeathLater : WorkerEvent::kDeathNow;
}

}  // namespace tv::simulator
