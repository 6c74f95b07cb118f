// Actors in fake processes, and the orders of the tree to them. Part of World.
#include <signal.h>

#include "tests/simulator/world.h"

namespace tv::simulator {

using namespace supervisor;
using shm::Doing;

// The order to start it is on its way.
void World::begin(NodeId leaf) {
  std::size_t w = actors_[leaf].host;
  tree_->began(leaf, stage_.now());
  wake();
  order(w, [this, leaf, tries = ++actors_[leaf].tries] { start_in_process(leaf, tries); });
}

void World::start_in_process(NodeId leaf, std::uint64_t tries) {
  if (actors_[leaf].tries != tries || actors_[leaf].leaf != Leaf::kStarting) return;
  std::size_t w = actors_[leaf].host;
  for (const auto& other : workers_)
    if (other.process.has.contains(leaf)) complain(name_of(leaf) + " is in two processes");
  if (!workers_[w].process.reads.contains(actors_[leaf].placed.worker)) complain(name_of(leaf) + " is started where its mail is not read");
  workers_[w].process.has.insert(leaf);
  auto what = below(100);
  auto takes = Nanoseconds{1us} * (1 + below(100'000));
  if (what < 2 && fault()) {
    note(name_of(leaf) + " will never be ready");
    return loops_->hang(w, Doing::kStart, leaf, 0);
  }
  if (what < 5 && fault()) {
    return loops_->run(w, Doing::kStart, leaf, takes, 0, [this, leaf, w, tries] {
      workers_[w].process.has.erase(leaf);
      if (actors_[leaf].tries != tries || actors_[leaf].leaf != Leaf::kStarting) return;
      Cause cause = start_failed("on_start failed");
      bool gives = gives_up(workers_[w].causes, cause);
      actors_[leaf].leaf = Leaf::kNone;
      note(name_of(leaf) + "'s on_start failed");
      auto now = stage_.now();
      event(
          "start failed", [&] { tree_->start_failed(leaf, cause, gives, now); },
          [&](const auto& delays) { return reference_->start_failed(leaf, gives, delays, now); });
    });
  }
  if (what < 10 && fault()) {
    return loops_->run(w, Doing::kStart, leaf, takes, 0, [this, leaf, w] {
      ended(w, Cause{"killed in on_start", true, false, false, CauseKind::kSignal, SIGSEGV}, leaf);
    });
  }
  if (what < 12 && fault()) {
    takes = Nanoseconds{1ms} * below(20'000);
    note(name_of(leaf) + " takes its time to start");
  }
  loops_->run(w, Doing::kStart, leaf, takes, 0, [this, leaf, tries] { came_up(leaf, tries); });
}

void World::came_up(NodeId leaf, std::uint64_t tries) {
  Actor& actor = actors_[leaf];
  if (actor.tries != tries || actor.leaf != Leaf::kStarting) return;  // its stop is on the way
  actor.leaf = Leaf::kUp;
  actor.was_up = true;
  ++actor.readies;
  note(name_of(leaf) + " is up");
  auto now = stage_.now();
  event(
      "up", [&] { tree_->up(leaf, now); }, [&](const auto&) { return reference_->up(leaf, now); });
  mail_->ring(actor.host);
}

void World::stop_in_process(NodeId leaf) {
  std::size_t w = actors_[leaf].host;
  if (actors_[leaf].leaf != Leaf::kStopping) return;
  if (!workers_[w].process.has.contains(leaf)) return stopped(leaf);
  if (chance(5) && fault()) {
    note(name_of(leaf) + " does not stop");
    return loops_->hang(w, Doing::kStop, leaf, 0);
  }
  loops_->run(w, Doing::kStop, leaf, Nanoseconds{1us} * (1 + below(50'000)), 0, [this, leaf, w] {
    workers_[w].process.has.erase(leaf);
    if (disk_.has(leaf)) disk_.commit(leaf);
    stopped(leaf);
  });
}

void World::stopped(NodeId leaf) {
  if (actors_[leaf].leaf != Leaf::kStopping) return;
  actors_[leaf].leaf = Leaf::kNone;
  note(name_of(leaf) + " has stopped");
  auto now = stage_.now();
  event(
      "down", [&] { tree_->down(leaf, now); }, [&](const auto& delays) { return reference_->down(leaf, delays, now); });
}

void World::carry_out(const std::vector<Step>& steps) {
  for (const auto& step : steps) {
    if (!stage_.well()) return;
    NodeId leaf = step.node;
    switch (step.kind) {
      case Step::Kind::kStart:
        check_start(leaf);
        actors_[leaf].leaf = Leaf::kStarting;
        if (live(actors_[leaf].host) && !stranded(leaf)) begin(leaf);
        break;
      case Step::Kind::kStop: {
        check_stop(leaf);
        std::size_t w = actors_[leaf].host;
        actors_[leaf].leaf = Leaf::kStopping;
        ++actors_[leaf].tries;
        if (live(w))
          order(w, [this, leaf] { stop_in_process(leaf); });
        else if (!workers_[w].process.alive)
          stage_.at(0ns, [this, leaf] { stopped(leaf); });
        break;
      }
      case Step::Kind::kKill:
        note("kill the process of " + name_of(leaf));
        die_later(actors_[leaf].host, Cause{"killed", true, false, false, CauseKind::kSignal, SIGKILL}, Nanoseconds{1ms} * below(30'000));
        break;
      default:
        break;
    }
  }
}

// Started once, one after the other, and not in a loop at one moment.
void World::check_start(NodeId leaf) {
  const Actor& actor = actors_[leaf];
  if (actor.leaf != Leaf::kNone) complain(name_of(leaf) + " is started, and is there already");
  if (!actor.placed.present) complain(name_of(leaf) + " is started, and is not a member");
  if (actor.suspended) complain(name_of(leaf) + " is started, and is suspended");
  if (stage_.now() != starts_at_) starts_now_.clear();
  starts_at_ = stage_.now();
  if (++starts_now_[leaf] > 3) complain(name_of(leaf) + " is started again and again at one moment");
  for (NodeId other : specs_[leaf].after)
    if (actors_[other].leaf != Leaf::kUp && actors_[other].placed.present)
      complain(name_of(leaf) + " is started before " + name_of(other) + " is ready");
}

void World::check_stop(NodeId leaf) {
  if (actors_[leaf].leaf != Leaf::kStarting && actors_[leaf].leaf != Leaf::kUp) complain(name_of(leaf) + " is stopped, and does not run");
}

}  // namespace tv::simulator
