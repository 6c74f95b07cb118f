// What happens to a world at random moments: deaths, hangs, orders, mail. Part of World.
#include <signal.h>

#include "tests/simulator/world.h"

namespace tv::simulator {

using namespace supervisor;

// Not all at once when the machine has been frozen for long.
void World::inject_at(std::int64_t when) {
  stage_.at(Nanoseconds{when - stage_.now()}, [this, when] {
    if (stage_.now() > when)
      inject_at(stage_.now() + static_cast<std::int64_t>(below(10'000'000'000)));
    else
      inject();
  });
}

void World::inject() {
  auto what = below(100);
  if (what < 8) return disk_.inject();
  if (!fault()) return;
  if (what < 30) return inject_order();
  if (what < 50) return inject_chore();
  if (what < 65) return inject_hang();
  if (what < 69) return inject_freeze();
  inject_death();
}

void World::inject_death() {
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
  };
  const Cause& cause = stage_.one_of(kCauses);
  if (cause.hopeless && !chance(30)) return;
  NodeId culprit = kNoNode;
  auto leaves = leaves_on(w);
  if (!leaves.empty() && chance(75)) culprit = stage_.one_of(leaves);
  ended(w, cause, culprit);
}

// A method that never returns, or SIGSTOP, which somebody may take back.
void World::inject_hang() {
  std::size_t w = below(workers_.size());
  if (!workers_[w].process.alive || !loops_->has_watchdog(w)) return;
  if (chance(50)) {
    note("worker " + std::to_string(w) + " gets SIGSTOP");
    loops_->stop(w);
    if (chance(60))
      stage_.at(Nanoseconds{1ms} * below(chance(50) ? 1'000 : 40'000), [this, w, life = workers_[w].process.life] {
        if (workers_[w].process.life == life) loops_->go_on(w);
      });
    return;
  }
  if (!loops_->free(w)) return;
  NodeId leaf = kNoNode;
  for (NodeId each : leaves_on(w))
    if (actors_[each].leaf == Leaf::kUp && chance(50)) leaf = each;
  note("worker " + std::to_string(w) + " hangs" + (leaf == kNoNode ? "" : " in " + name_of(leaf)));
  loops_->hang(w, leaf == kNoNode ? shm::Doing::kNothing : chance(80) ? shm::Doing::kMethod : shm::Doing::kHealth, leaf, 0);
}

// Short, or longer than every watchdog; and not twice within a few of them: what lies between is a machine that no watchdog fits.
void World::inject_freeze() {
  auto longest = loops_->longest_watchdog().count();
  if (longest == 0 || stage_.awake() - frozen_at_ < 4 * longest) return;
  frozen_at_ = stage_.awake();
  auto duration = chance(50) ? static_cast<std::int64_t>(below(static_cast<std::uint64_t>(loops_->shortest_watchdog().count() / 8)))
                             : longest + static_cast<std::int64_t>(below(60'000'000'000));
  stage_.freeze(Nanoseconds{duration});
  tick();  // the tree's timer comes first: in which order it would see the others is anybody's guess
}

void World::send_mail() {
  for (auto n = below(4); n > 0; --n) {
    auto leaf = static_cast<NodeId>(1 + below(specs_.size() - 1));
    if (is_actor(leaf)) mail_->send(leaf);
  }
}

void World::inject_order() {
  auto what = below(8);
  std::size_t w = below(workers_.size());
  if (what < 4) {
    bool stops = what == 0;
    note(std::string("an administrator ") + (stops ? "stops" : "restarts") + " worker " + std::to_string(w));
    ++workers_[w].chance;
    workers_[w].trial = {};
    raise(w, stops ? WorkerEvent::kStop : WorkerEvent::kRestart);
    if (stops) stage_.at(Nanoseconds{1ms} * below(20'000), [this, w] { raise(w, WorkerEvent::kRestart); });
    return;
  }
  auto node = static_cast<NodeId>(1 + below(specs_.size() - 1));
  if (is_actor(node) && !actors_[node].placed.present) return;
  auto start = [this](NodeId again) {
    if (tree_->blocked_by(again) || (is_actor(again) && !actors_[again].placed.present)) return;
    note("an administrator restarts " + name_of(again));
    restart(again);
  };
  if (what == 4 || what == 5) {
    note("an administrator stops " + name_of(node));
    stop(node);
    if (!chance(20)) stage_.at(Nanoseconds{1ms} * below(20'000), [start, node] { start(node); });
  } else if (what == 6) {
    start(node);
  } else {
    note("an administrator resets " + name_of(node));
    auto now = stage_.now();
    event(
        "reset", [&] { tree_->reset_failed(node, now); }, [&](const auto& delays) { return reference_->reset_failed(node, delays, now); });
  }
}

}  // namespace tv::simulator
