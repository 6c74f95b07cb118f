// The watchdog of one worker's loop as a table: (state, what was seen, time) -> state, what is to be done, when to look again. Pure;
// watchdogs.h does it.
//
//     watching --no beat for half--> asked --no beat for the other half--> aborting --grace--> killed
//        ^------------- beat ----------+
//
// An idle loop sleeps and does not beat: so it is asked first (its doorbell is rung), which costs it one turn. A hang is noticed after one
// to one and a half times the watchdog.
#pragma once

#include <cstdint>

#include "config/clock.h"
#include "shm/running.h"

namespace tv::supervisor {

enum class WatchState : std::uint8_t { kWatching, kAsked, kAborting, kKilled };
enum class WatchAction : std::uint8_t {
  kNone,
  kAsk,    // ring its doorbell
  kAbort,  // SIGABRT: it writes down its stacks, and dies
  kKill,   // SIGKILL
};

struct WatchLimits {
  Nanoseconds watchdog{0};
  Nanoseconds grace{0};
};

struct Watch {
  WatchState state = WatchState::kWatching;
  std::uint64_t beat = 0;   // as seen last
  std::int64_t due_ns = 0;  // when to look; CLOCK_MONOTONIC
  bool excused = false;     // a late look has been made good for once
};

struct Sight {
  std::uint64_t beat = 0;
  shm::Running running;  // of the actor whose code runs
};

// From when its worker is ready.
Watch begin_watch(const WatchLimits& limits, std::uint64_t beat, std::int64_t now_ns);
// REQUIRES: not kKilled.
WatchAction look(Watch& watch, const WatchLimits& limits, const Sight& sight, std::int64_t now_ns);

}  // namespace tv::supervisor
