#include "supervisor/restart_policy.h"

#include <algorithm>
#include <cmath>

#include "config/units.h"

namespace tv::supervisor {

Nanoseconds delay_before(const config::Backoff& backoff, std::uint32_t n) {
  if (n <= 1) return 0ns;
  // In floating point: it becomes infinite where integers would wrap round.
  double delay = static_cast<double>(backoff.min.count()) * std::pow(backoff.factor, static_cast<double>(n - 2));
  if (!(delay < static_cast<double>(backoff.max.count()))) return backoff.max;
  return Nanoseconds{static_cast<std::int64_t>(delay)};
}

Decision decide(DeathHistory& history, const config::Backoff& backoff, const Cause& cause, Nanoseconds healthy, std::int64_t now_ns) {
  if (cause.hopeless) return GiveUp{cause.text};
  while (!history.restarts_ns.empty() && now_ns - history.restarts_ns.front() >= backoff.period.count()) history.restarts_ns.pop_front();
  if (history.restarts_ns.size() >= backoff.intensity)
    return GiveUp{std::to_string(history.restarts_ns.size() + 1) + " deaths within " + config::format_duration(backoff.period) + ", at most " +
                  std::to_string(backoff.intensity) + " restarts are allowed (restart.intensity); the last: " + cause.text};
  if (healthy > 0ns && healthy >= backoff.reset) history.in_a_row = 0;
  history.restarts_ns.push_back(now_ns);
  return Restart{delay_before(backoff, ++history.in_a_row)};
}

}  // namespace tv::supervisor
