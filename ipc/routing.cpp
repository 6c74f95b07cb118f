#include "ipc/routing.h"

#include <algorithm>

namespace tv::ipc {
namespace {

using shm::ActorState;

std::uint32_t count(std::span<const Member> members, bool (*fits)(ActorState)) {
  return static_cast<std::uint32_t>(std::count_if(members.begin(), members.end(), [&](const Member& m) { return fits(m.state); }));
}

// The n-th member that fits.
std::uint32_t nth(std::span<const Member> members, bool (*fits)(ActorState), std::uint64_t n) {
  for (std::uint32_t i = 0; i < members.size(); ++i)
    if (fits(members[i].state) && n-- == 0) return i;
  return 0;  // not reached: n is less than their count
}

}  // namespace

bool takes_mail(ActorState state) {
  return state == ActorState::kReady || state == ActorState::kStarting || state == ActorState::kRestarting;
}

std::optional<std::uint32_t> choose_member(config::Routing routing, std::span<const Member> members, std::uint32_t& turn,
                                           std::uint64_t random) {
  bool (*fits)(ActorState) = [](ActorState state) { return state == ActorState::kReady; };
  std::uint32_t candidates = count(members, fits);
  if (candidates == 0) {
    fits = takes_mail;
    candidates = count(members, fits);
  }
  if (candidates == 0) return std::nullopt;
  if (routing == config::Routing::kRandom) return nth(members, fits, random % candidates);

  auto size = static_cast<std::uint32_t>(members.size());
  std::optional<std::uint32_t> best;
  for (std::uint32_t i = 0; i < size; ++i) {
    std::uint32_t at = (turn % size + i) % size;
    if (!fits(members[at].state)) continue;
    if (!best || members[at].outstanding < members[*best].outstanding) best = at;
    if (routing == config::Routing::kRoundRobin) break;
  }
  turn = *best + 1;
  return best;
}

}  // namespace tv::ipc
