#include "supervisor/spares.h"

#include <algorithm>
#include <limits>

#include "config/log.h"

namespace tv::supervisor {
namespace {

// A spare that dies while it waits has a reason that the next one may have as well.
constexpr config::Backoff kBackoff{
    .min = 100ms, .max = 10s, .factor = 2.0, .reset = 30s, .intensity = std::numeric_limits<std::uint32_t>::max(), .period = 60s};

// A fork takes a processor for some milliseconds, which the worker that has just got the last spare needs to get ready.
constexpr Nanoseconds kRefillAfter = 25ms;

}  // namespace

void Spares::keep(const std::string& name, std::size_t count) {
  auto& group = groups_[name];
  group.wanted = count;
  replenish(name, group);
}

Ticket Spares::acquire(const std::string& name, ZygoteClient::Forked callback) {
  auto& group = groups_[name];
  while (!group.parked.empty()) {
    Parked parked = std::move(group.parked.front());
    group.parked.pop_front();
    group.refill = loop_.after(kRefillAfter, [this, name] { replenish(name, groups_[name]); });
    if (parked.child->ended()) {
      children_.dismiss(std::move(parked.child));
      continue;
    }
    parked.child->on_exit({});
    callback(std::move(parked));
    return 0;
  }
  return zygote_.fork(std::move(callback));
}

void Spares::stop() {
  stopping_ = true;
  for (auto& [name, group] : groups_) {
    group.timer.reset();
    group.refill.reset();
    for (auto& parked : group.parked) {
      parked.socket.reset();
      children_.dismiss(std::move(parked.child));
    }
    group.parked.clear();
  }
}

std::size_t Spares::parked(const std::string& name) const {
  auto group = groups_.find(name);
  return group == groups_.end() ? 0 : group->second.parked.size();
}

void Spares::replenish(const std::string& name, Group& group) {
  while (!stopping_ && group.parked.size() + group.asked < group.wanted) {
    ++group.asked;
    zygote_.fork([this, name](Parked parked) { park(name, std::move(parked)); });
  }
}

void Spares::park(const std::string& name, Parked parked) {
  auto& group = groups_[name];
  --group.asked;
  if (stopping_) {
    parked.socket.reset();
    return children_.dismiss(std::move(parked.child));
  }
  log::debug("spare parked", {{"group", name}, {"pid", parked.child->pid()}});
  parked.child->on_exit([this, name, child = parked.child.get()](const Cause& cause, std::int64_t) { died(name, child, cause); });
  group.parked.push_back(std::move(parked));
}

void Spares::died(const std::string& name, const Child* child, const Cause& cause) {
  auto& group = groups_[name];
  for (auto& parked : group.parked)
    if (parked.child.get() == child && parked.output) parked.output->finish();
  std::erase_if(group.parked, [child](const Parked& parked) { return parked.child.get() == child; });
  auto decision = decide(group.deaths, kBackoff, Cause{cause.text}, 0ns, monotonic_ns());
  log::warning("spare died", {{"group", name}, {"cause", cause.text}});
  auto delay = std::holds_alternative<Restart>(decision) ? std::get<Restart>(decision).delay : kBackoff.max;
  group.timer = loop_.after(delay, [this, name] { replenish(name, groups_[name]); });
}

}  // namespace tv::supervisor
