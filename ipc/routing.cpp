#include "ipc/routing.h"

#include <algorithm>

namespace tv::ipc {
namespace {

using shm::ActorState;

using Fits = bool (*)(const Member&);

bool may_be_sent_to(const Member& member) { return (member.flags & (shm::kActorAvoided | shm::kActorDrained)) == 0; }
bool awake(const Member& member) { return takes_mail(member.state) && member.state != ActorState::kSuspended; }

// The first of these that fits anybody.
constexpr Fits kPreferences[] = {
    [](const Member& member) { return may_be_sent_to(member) && member.state == ActorState::kReady; },
    [](const Member& member) { return may_be_sent_to(member) && awake(member); },
    [](const Member& member) { return (member.flags & shm::kActorDrained) == 0 && member.state == ActorState::kReady; },
    [](const Member& member) { return (member.flags & shm::kActorDrained) == 0 && awake(member); },
    [](const Member& member) { return (member.flags & shm::kActorDrained) == 0 && takes_mail(member.state); },
};

std::uint32_t count(std::span<const Member> members, Fits fits) {
  return static_cast<std::uint32_t>(std::count_if(members.begin(), members.end(), fits));
}

// The n-th member that fits.
std::uint32_t nth(std::span<const Member> members, Fits fits, std::uint64_t n) {
  for (std::uint32_t i = 0; i < members.size(); ++i)
    if (fits(members[i]) && n-- == 0) return i;
  return 0;  // not reached: n is less than their count
}

}  // namespace

bool takes_mail(ActorState state) {
  return state == ActorState::kReady || state == ActorState::kStarting || state == ActorState::kRestarting || state == ActorState::kSuspended;
}

std::optional<std::uint32_t> choose_member(config::Routing routing, std::span<const Member> members, std::uint32_t& turn,
                                           std::uint64_t random) {
  Fits fits = nullptr;
  std::uint32_t candidates = 0;
  for (Fits preference : kPreferences) {
    if (candidates != 0) break;
    fits = preference;
    candidates = count(members, fits);
  }
  if (candidates == 0) return std::nullopt;
  if (routing == config::Routing::kRandom) return nth(members, fits, random % candidates);

  auto size = static_cast<std::uint32_t>(members.size());
  std::optional<std::uint32_t> best;
  for (std::uint32_t i = 0; i < size; ++i) {
    std::uint32_t at = (turn % size + i) % size;
    if (!fits(members[at])) continue;
    if (!best || members[at].outstanding < members[*best].outstanding) best = at;
    if (routing == config::Routing::kRoundRobin) break;
  }
  turn = *best + 1;
  return best;
}

}  // namespace tv::ipc
