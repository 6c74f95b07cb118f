#include "supervisor/restart_policy.h"

#include <algorithm>
#include <cmath>

#include "config/units.h"

namespace tv::supervisor {
namespace {

constexpr Nanoseconds kLongestWait = 24h;

// SplitMix64: one well-mixed number for each input.
std::uint64_t mixed(std::uint64_t x) {
  x += 0x9e37'79b9'7f4a'7c15;
  x = (x ^ (x >> 30)) * 0xbf58'476d'1ce4'e5b9;
  x = (x ^ (x >> 27)) * 0x94d0'49bb'1331'11eb;
  return x ^ (x >> 31);
}

Nanoseconds shortened(Nanoseconds delay, double jitter, std::uint64_t seed) {
  constexpr double kRange = 0x1p53;
  double share = static_cast<double>(mixed(seed) >> 11) / kRange;
  return Nanoseconds{static_cast<std::int64_t>(static_cast<double>(delay.count()) * (1.0 - jitter * share))};
}

template <class Key>
std::optional<config::CauseAction> entry(const std::map<Key, config::CauseAction>& table, Key key) {
  auto found = table.find(key);
  return found == table.end() ? std::nullopt : std::optional(found->second);
}

std::optional<config::CauseAction> action_for(const config::Causes& causes, const Cause& cause) {
  switch (cause.kind) {
    case CauseKind::kExit: return entry(causes.exit_codes, cause.number);
    case CauseKind::kSignal: return entry(causes.signals, cause.number);
    case CauseKind::kOutOfMemory: return causes.oom;
    case CauseKind::kHang: return causes.hang;
    case CauseKind::kCouldNotStart: return causes.could_not_start;
    case CauseKind::kStartFailed: return causes.could_not_start.value_or(config::CauseAction::kGiveUp);
    case CauseKind::kDeviceError: {
      auto own = entry(causes.exit_codes, kExitDeviceError);
      return own ? own : causes.device_error;
    }
    case CauseKind::kOther: break;
  }
  return std::nullopt;
}

}  // namespace

Nanoseconds delay_before(const config::Backoff& backoff, std::uint32_t n) {
  if (n <= 1) return 0ns;
  // In floating point: it becomes infinite where integers would wrap round.
  double delay = static_cast<double>(backoff.min.count()) * std::pow(backoff.factor, static_cast<double>(n - 2));
  if (!(delay < static_cast<double>(backoff.max.count()))) return backoff.max;
  return Nanoseconds{static_cast<std::int64_t>(delay)};
}

bool within_budget(DeathHistory& history, const config::Budget& budget, std::int64_t now_ns) {
  auto& past = history.restarts;
  while (!past.empty() && now_ns - past.front().at_ns >= budget.period.count()) past.pop_front();
  return past.size() < budget.intensity;
}

std::string over_budget(const DeathHistory& history, const config::Budget& budget, const std::string& last_cause) {
  return std::to_string(history.restarts.size() + 1) + " deaths within " + config::format_duration(budget.period) + ", at most " +
         std::to_string(budget.intensity) + " restarts are allowed (restart.intensity); the last: " + last_cause;
}

Nanoseconds next_delay(DeathHistory& history, const config::Backoff& backoff, Nanoseconds healthy, std::uint64_t seed) {
  if (healthy > 0ns && healthy >= backoff.reset) history.in_a_row = 0;
  // A row that has no end stops counting.
  if (history.in_a_row < kNobody) ++history.in_a_row;
  return shortened(delay_before(backoff, history.in_a_row), backoff.jitter, mixed(seed) ^ history.in_a_row);
}

Decision decide(DeathHistory& history, const config::Backoff& backoff, const Cause& cause, Nanoseconds healthy, std::int64_t now_ns,
                std::uint64_t seed, std::uint32_t culprit) {
  if (cause.hopeless) return GiveUp{cause.text};
  auto budget = budget_of(backoff);
  if (!within_budget(history, budget, now_ns)) return GiveUp{over_budget(history, budget, cause.text)};
  history.restarts.push_back({now_ns, culprit});
  return Restart{next_delay(history, backoff, healthy, seed)};
}

void absolve(DeathHistory& history, std::uint32_t culprit) {
  std::erase_if(history.restarts, [culprit](const PastRestart& past) { return past.culprit == culprit; });
}

Nanoseconds wait_after_failure(Probation& probation, Nanoseconds base, std::int64_t now_ns) {
  bool soon = probation.chance_ns != 0 && now_ns - probation.chance_ns < probation.wait.count();
  probation.wait = soon ? std::min(probation.wait * 2, kLongestWait) : base;
  return probation.wait;
}

bool on_trial(const Probation& probation, const config::Budget& budget, std::int64_t now_ns) {
  return probation.chance_ns != 0 && now_ns - probation.chance_ns < budget.period.count();
}

bool gives_up(const config::Causes& causes, const Cause& cause) {
  return cause.hopeless || action_for(causes, cause) == config::CauseAction::kGiveUp;
}

bool moves_away(const config::Causes& causes, const Cause& cause) {
  return cause.kind != CauseKind::kStartFailed && action_for(causes, cause) == config::CauseAction::kRestartElsewhere;
}

}  // namespace tv::supervisor
