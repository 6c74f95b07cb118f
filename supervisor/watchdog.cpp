#include "supervisor/watchdog.h"

#include <algorithm>

namespace tv::supervisor {
namespace {

std::int64_t half(const WatchLimits& limits) { return std::max<std::int64_t>(limits.watchdog.count() / 2, 1); }

// Others see to these: the tree's start_timeout and stop_grace.
bool has_limits_of_its_own(const shm::Running& running) {
  return running.doing == shm::Doing::kStart || running.doing == shm::Doing::kStop;
}

}  // namespace

Watch begin_watch(const WatchLimits& limits, std::uint64_t beat, std::int64_t now_ns) {
  return {WatchState::kWatching, beat, now_ns + half(limits)};
}

WatchAction look(Watch& watch, const WatchLimits& limits, const Sight& sight, std::int64_t now_ns) {
  if (watch.state == WatchState::kAborting) {
    watch.state = WatchState::kKilled;
    return WatchAction::kKill;
  }
  if (sight.beat != watch.beat) {
    watch = begin_watch(limits, sight.beat, now_ns);
    return WatchAction::kNone;
  }
  bool asked = watch.state == WatchState::kAsked;
  // Looked at meanwhile: what has announced it may be done long before, and what comes then may hang.
  if (asked && sight.running.until_ns > now_ns) {
    watch.due_ns = std::min(sight.running.until_ns, now_ns + half(limits));
    return WatchAction::kNone;
  }
  // Late ourselves: whatever kept us from looking (the whole machine was frozen, or is overloaded) has kept the worker from its turn, too.
  bool late = now_ns - watch.due_ns > half(limits) / 2 && !watch.excused;
  if (!asked || late || has_limits_of_its_own(sight.running)) {
    watch.excused = watch.excused || (late && asked);
    watch.state = WatchState::kAsked;
    watch.due_ns = now_ns + half(limits);
    return WatchAction::kAsk;
  }
  watch.state = WatchState::kAborting;
  watch.due_ns = now_ns + limits.grace.count();
  return WatchAction::kAbort;
}

}  // namespace tv::supervisor
