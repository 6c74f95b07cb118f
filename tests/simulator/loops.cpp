#include "tests/simulator/loops.h"

#include <signal.h>

#include <algorithm>

namespace tv::simulator {

using namespace supervisor;
using shm::Doing;

namespace {

std::string name_of(std::size_t worker) { return "worker " + std::to_string(worker); }

constexpr Nanoseconds kDeathTakes = 50ms;

}  // namespace

Loops::Loops(Stage& stage, std::vector<WatchLimits> limits, Died died)
    : stage_(stage), limits_(std::move(limits)), died_(std::move(died)), loops_(limits_.size()) {
  for (const auto& each : limits_)
    lateness_.push_back(stage_.chance(15)
                            ? Nanoseconds{static_cast<std::int64_t>(stage_.below(static_cast<std::uint64_t>(each.watchdog.count() + 1)))}
                            : 0ns);
}

Nanoseconds Loops::patience(std::size_t worker) const { return limits_[worker].watchdog > 0ns ? limits_[worker].watchdog / 5 : 2s; }

Nanoseconds Loops::longest_watchdog() const {
  Nanoseconds longest{0};
  for (const auto& limits : limits_) longest = std::max(longest, limits.watchdog);
  return longest;
}

Nanoseconds Loops::shortest_watchdog() const {
  auto shortest = longest_watchdog();
  for (const auto& limits : limits_)
    if (limits.watchdog > 0ns) shortest = std::min(shortest, limits.watchdog);
  return shortest;
}

// --- what a process does

void Loops::process_begins(std::size_t worker) {
  Loop& loop = loops_[worker];
  auto life = loop.life;
  auto looks = loop.looks;
  loop = {};
  loop.life = life + 1;
  loop.looks = looks;
  loop.alive = true;
  loop.beat_at = stage_.now();
}

void Loops::process_ended(std::size_t worker) {
  unwatch(worker);
  loops_[worker].alive = false;
  loops_[worker].waiting.clear();
}

void Loops::beat(Loop& loop) {
  ++loop.beat;
  loop.beat_at = stage_.now();
}

void Loops::turn(std::size_t worker, std::function<void()> act) {
  if (!loops_[worker].alive) return;
  loops_[worker].waiting.push_back(std::move(act));
  go_round(worker);
}

void Loops::go_round(std::size_t worker) {
  auto life = loops_[worker].life;
  for (;;) {
    Loop& loop = loops_[worker];
    if (!loop.alive || loop.life != life || loop.stopped) return;
    std::function<void()> act;
    if (loop.at_its_end) {
      act = std::exchange(loop.at_its_end, nullptr);
      loop.running = false;
      loop.code = {};
      loop.leaf = kNoNode;
    } else if (!blocked(loop) && !loop.waiting.empty()) {
      act = std::move(loop.waiting.front());
      loop.waiting.pop_front();
    } else {
      return;
    }
    beat(loop);
    act();
  }
}

void Loops::run(std::size_t worker, Doing doing, NodeId leaf, Nanoseconds duration, std::int64_t until, std::function<void()> then) {
  Loop& loop = loops_[worker];
  if (!loop.alive || blocked(loop)) return stage_.complain(name_of(worker) + " does two things at once");
  loop.running = true;
  loop.code = {doing, until};
  loop.leaf = leaf;
  stage_.at(duration, [this, worker, life = loop.life, then = std::move(then)] {
    Loop& mine = loops_[worker];
    if (!mine.alive || mine.life != life || mine.stuck) return;
    mine.at_its_end = then;
    go_round(worker);
  });
}

void Loops::hang(std::size_t worker, Doing doing, NodeId leaf, std::int64_t until) {
  Loop& loop = loops_[worker];
  if (!loop.alive || loop.stuck) return;
  loop.stuck = true;
  loop.code = {doing, until};
  loop.leaf = leaf;
  expect_end(worker);
}

void Loops::stop(std::size_t worker) {
  Loop& loop = loops_[worker];
  if (!loop.alive || loop.stuck || loop.stopped) return;
  loop.stopped = true;
  expect_end(worker);
}

void Loops::go_on(std::size_t worker) {
  Loop& loop = loops_[worker];
  if (!loop.alive || !loop.stopped) return;
  loop.stopped = false;
  ++loop.episode;
  stage_.note(name_of(worker) + " goes on");
  if (loop.aborted) return died_(worker, hung("hung, and took SIGABRT when it went on"));
  go_round(worker);
}

// --- the watchdog

void Loops::watch(std::size_t worker) {
  Loop& loop = loops_[worker];
  if (limits_[worker].watchdog <= 0ns) return;
  loop.watched = true;
  loop.watch = begin_watch(limits_[worker], loop.beat, stage_.now());
  look_later(worker);
  expect_end(worker);
}

void Loops::unwatch(std::size_t worker) {
  loops_[worker].watched = false;
  ++loops_[worker].looks;
}

void Loops::look_later(std::size_t worker) {
  Loop& loop = loops_[worker];
  auto late = Nanoseconds{static_cast<std::int64_t>(stage_.below(static_cast<std::uint64_t>(lateness_[worker].count() + 1)))};
  if (stage_.chance(50)) late = lateness_[worker];
  stage_.in_the_background_at(Nanoseconds{loop.watch.due_ns - stage_.now()} + late, [this, worker, looks = ++loop.looks] {
    if (loops_[worker].looks == looks) look_at(worker);
  });
}

void Loops::look_at(std::size_t worker) {
  Loop& loop = loops_[worker];
  auto action = look(loop.watch, limits_[worker], {loop.beat, loop.code}, stage_.now());
  if (loop.watch.state != WatchState::kKilled) look_later(worker);
  switch (action) {
    case WatchAction::kNone:
      return;
    case WatchAction::kAsk:
      loop.asked_at = stage_.awake();
      return stage_.at(
          Nanoseconds{static_cast<std::int64_t>(stage_.below(static_cast<std::uint64_t>(limits_[worker].watchdog.count() / 20)))},
          [this, worker, life = loop.life] {
            if (loops_[worker].life == life) turn(worker, [] {});
          });
    case WatchAction::kAbort:
      return strike(worker, SIGABRT);
    case WatchAction::kKill:
      return strike(worker, SIGKILL);
  }
}

// The rules, as the README of the supervisor tells them: whom it may hit, and when.
void Loops::strike(std::size_t worker, int signal) {
  Loop& loop = loops_[worker];
  auto name = name_of(worker);
  stage_.note(name + " gets " + (signal == SIGABRT ? "SIGABRT" : "SIGKILL"));
  if (!loop.alive) return stage_.complain(name + " has no process, and is hit by its watchdog");
  if (!loop.stuck && !loop.stopped) return stage_.complain(name + " is well, and is hit by its watchdog");
  if (signal == SIGKILL) {
    if (!loop.aborted || stage_.now() - loop.aborted_at < limits_[worker].grace.count())
      return stage_.complain(name + " is killed, and had no grace");
  } else {
    auto watchdog = limits_[worker].watchdog.count();
    if (loop.code.doing == Doing::kStart || loop.code.doing == Doing::kStop)
      return stage_.complain(name + " is hit in on_start or on_stop");
    if (loop.code.until_ns > stage_.now()) return stage_.complain(name + " is hit in the time that it has announced");
    if (stage_.now() - loop.beat_at < watchdog - 2) return stage_.complain(name + " is hit too soon after its last turn");
    bool looks_in_time = lateness_[worker] == 0ns;
    if (looks_in_time && stage_.awake() - loop.asked_at < watchdog / 3) return stage_.complain(name + " is hit, and has hardly been asked");
    loop.aborted = true;
    loop.aborted_at = stage_.now();
    ++stage_.outcome.hangs;
    if (loop.stopped || stage_.chance(15)) return;  // a stopped process takes it later, one that waits in the kernel never
  }
  stage_.at(Nanoseconds{1us} * stage_.below(5'000), [this, worker, life = loop.life] {
    if (loops_[worker].alive && loops_[worker].life == life) died_(worker, hung("hung"));
  });
}

// It hangs, or is found hanging when its watch begins.
bool Loops::hangs(const Loop& loop) {
  return loop.watched && (loop.stuck || loop.stopped) && loop.code.doing != Doing::kStart && loop.code.doing != Doing::kStop;
}

void Loops::expect_end(std::size_t worker) {
  Loop& loop = loops_[worker];
  ++loop.episode;
  if (hangs(loop)) check_end(worker, loop.life, loop.episode, stage_.awake(), stage_.now() - stage_.awake());
}

// Within one and a half watchdogs, or when the time is over that it has announced, and its grace. Where the machine was frozen meanwhile
// that begins anew; where looks come late there are at most five of them, one more than else.
void Loops::check_end(std::size_t worker, std::uint64_t life, std::uint64_t episode, std::int64_t since, std::int64_t frozen_before) {
  const Loop& loop = loops_[worker];
  if (!loop.alive || loop.life != life || loop.episode != episode || !hangs(loop)) return;
  const auto& limits = limits_[worker];
  auto patience = limits.watchdog.count() * 3 / 2 + limits.grace.count() + kDeathTakes.count();
  auto late = lateness_[worker].count();
  if (late > 0) patience += limits.watchdog.count() / 2 + 5 * late;
  auto frozen = stage_.now() - stage_.awake();
  if (frozen != frozen_before) since = stage_.awake();
  auto left = since + patience - stage_.awake();
  if (loop.code.until_ns > 0)
    left = std::max(left, loop.code.until_ns + (late > 0 ? patience : limits.grace.count() + kDeathTakes.count()) - stage_.now());
  if (left <= 0) return stage_.complain(name_of(worker) + " hangs, and lives on");
  stage_.at(Nanoseconds{left}, [=, this] { check_end(worker, life, episode, since, frozen); });
}

}  // namespace tv::simulator
