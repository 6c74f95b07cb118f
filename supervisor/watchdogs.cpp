#include "supervisor/watchdogs.h"

#include <signal.h>

#include <algorithm>

#include "config/log.h"
#include "config/units.h"
#include "shm/doorbell.h"
#include "supervisor/hang_report.h"

namespace tv::supervisor {
namespace {

ParticipantId participant_of(std::size_t worker) { return static_cast<ParticipantId>(worker) + 1; }

}  // namespace

Watchdogs::Watchdogs(EventLoop& loop, const config::Config& config, const shm::Directory& directory, const Actors& actors, Strike strike)
    : loop_(loop), config_(config), directory_(directory), actors_(actors), strike_(std::move(strike)), watched_(config.workers.size()) {}

void Watchdogs::begin(std::size_t worker, pid_t pid) {
  if (limits(worker).watchdog <= Nanoseconds{0}) return;
  auto beat = directory_.arena()->participant(participant_of(worker)).beat.load(std::memory_order_relaxed);
  watched_[worker].pid = pid;
  watched_[worker].watch = begin_watch(limits(worker), beat, monotonic_ns());
  arm(worker);
}

void Watchdogs::arm(std::size_t worker) {
  auto delay = Nanoseconds{std::max<std::int64_t>(watched_[worker].watch.due_ns - monotonic_ns(), 0)};
  watched_[worker].timer = loop_.after(delay, [this, worker] {
    watched_[worker].timer.reset();
    look_at(worker);
  });
}

void Watchdogs::look_at(std::size_t worker) {
  Watched& watched = watched_[worker];
  auto participant = participant_of(worker);
  const auto& arena = *directory_.arena();
  auto busy = busy_actor(arena, actors_.of_worker(worker));
  Sight sight{arena.participant(participant).beat.load(std::memory_order_relaxed), busy.running};
  auto action = look(watched.watch, limits(worker), sight, monotonic_ns());
  if (watched.watch.state != WatchState::kKilled) arm(worker);
  switch (action) {
    case WatchAction::kNone:
      return;
    case WatchAction::kAsk:
      return shm::ring_for_dead(arena, participant, kSupervisor);
    case WatchAction::kAbort:
      return abort(worker, place_of(directory_, busy.actor == kNoActor ? participant : participant_of(actors_[busy.actor].placed.worker), busy));
    case WatchAction::kKill:
      return kill(worker);
  }
}

void Watchdogs::abort(std::size_t worker, const std::string& place) {
  Watched& watched = watched_[worker];
  auto state = process_state(watched.pid);
  watched.why = "hang: no progress for " + config::format_duration(limits(worker).watchdog) + " " + place;
  if (state.starts_with("stopped")) watched.why += ": its process was " + state;
  log::error("worker hangs", {{"worker", config_.workers[worker].name},
                              {"pid", watched.pid},
                              {"cause", watched.why},
                              {"process", state},
                              {"next", "SIGABRT for its stacks, SIGKILL after " + config::format_duration(limits(worker).grace)}});
  strike_(worker, SIGABRT, watched.why);
}

void Watchdogs::kill(std::size_t worker) {
  Watched& watched = watched_[worker];
  log::error("worker does not end", {{"worker", config_.workers[worker].name},
                                     {"pid", watched.pid},
                                     {"process", process_state(watched.pid)},
                                     {"kernel_stack", kernel_stack(watched.pid)},
                                     {"next", "SIGKILL"}});
  strike_(worker, SIGKILL, watched.why);
}

}  // namespace tv::supervisor
