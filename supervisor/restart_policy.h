// Restart policy: whether and when somebody dead comes back, and what becomes of those that were given up. For processes, and for the children
// of the supervision tree. Pure: the caller brings the clock and the seed.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <variant>

#include "config/config.h"
#include "supervisor/death.h"

namespace tv::supervisor {

struct Restart {
  Nanoseconds delay{0};
};
struct GiveUp {
  std::string why;  // "11 deaths within 60s, at most 10 restarts are allowed (intensity)"
};
using Decision = std::variant<Restart, GiveUp>;

inline constexpr std::uint32_t kNobody = 0xffff'ffff;

struct PastRestart {
  std::int64_t at_ns;
  std::uint32_t culprit;  // whose doing the death was; kNobody
};

// What is known of somebody's earlier deaths.
struct DeathHistory {
  std::deque<PastRestart> restarts;  // within the last period
  std::uint32_t in_a_row = 0;        // restarts since it was healthy for long
};

// Room for one more restart within the budget; forgets what is older than its period.
bool within_budget(DeathHistory& history, const config::Budget& budget, std::int64_t now_ns);
std::string over_budget(const DeathHistory& history, const config::Budget& budget, const std::string& last_cause);
inline config::Budget budget_of(const config::Backoff& backoff) { return {backoff.intensity, backoff.period}; }

// The next delay in the row: the first restart is immediate, the next ones wait min, min * factor, ... up to max, each shortened at random,
// by up to the share `jitter`. `healthy` is how long it had been ready (0: never was); `reset` of it begins a new row.
Nanoseconds next_delay(DeathHistory& history, const config::Backoff& backoff, Nanoseconds healthy, std::uint64_t seed);

// All of it for somebody with a budget of its own: more than `intensity` restarts within `period`, or a hopeless cause: given up. Notes the
// restart in `history`.
Decision decide(DeathHistory& history, const config::Backoff& backoff, const Cause& cause, Nanoseconds healthy, std::int64_t now_ns,
                std::uint64_t seed = 0, std::uint32_t culprit = kNobody);

// `culprit` does not come back: the deaths that were its doing no longer count.
void absolve(DeathHistory& history, std::uint32_t culprit);

// Before restart number `n` in a row, counted from 1; without jitter.
Nanoseconds delay_before(const config::Backoff& backoff, std::uint32_t n);

// Who was given up gets one more chance after a time, and another one after twice that if it failed again soon.
struct Probation {
  Nanoseconds wait{0};           // before the next chance; 0: the configured time
  std::int64_t chance_ns = 0;    // when the last chance was given; 0: never, or it has been forgiven
};
// It has failed: how long until its next chance. REQUIRES base > 0.
Nanoseconds wait_after_failure(Probation& probation, Nanoseconds base, std::int64_t now_ns);
// Whether the chance is so fresh that no restart is allowed.
bool on_trial(const Probation& probation, const config::Budget& budget, std::int64_t now_ns);

// What a cause leads to, by the table of causes. Exit code 78 is given up whatever it says.
bool gives_up(const config::Causes& causes, const Cause& cause);
// The table says that the worker is not to be tried again, and that its actors are to go on on another one.
bool moves_away(const config::Causes& causes, const Cause& cause);

}  // namespace tv::supervisor
