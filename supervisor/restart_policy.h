// Restart policy: whether and when a dead process comes back. Pure: the caller brings the clock.
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

// What is known of a process's earlier deaths.
struct DeathHistory {
  std::deque<std::int64_t> restarts_ns;  // when it was restarted, within the last period
  std::uint32_t in_a_row = 0;            // restarts since it was healthy for long
};

// The first restart in a row is immediate, the next ones wait min, min * factor, ... up to max; `healthy` is how long the process that died
// had been ready (0: never was), and `reset` of it ends the row. More than `intensity` restarts within `period`, or a hopeless cause: given
// up. Notes the restart in `history`.
Decision decide(DeathHistory& history, const config::Backoff& backoff, const Cause& cause, Nanoseconds healthy, std::int64_t now_ns);

// Before restart number `n` in a row, counted from 1.
Nanoseconds delay_before(const config::Backoff& backoff, std::uint32_t n);

}  // namespace tv::supervisor
