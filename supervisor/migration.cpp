#include "supervisor/migration.h"

#include <algorithm>
#include <limits>
#include <tuple>

namespace tv::supervisor {

bool may_live(const PlacedActor& actor, std::size_t worker) {
  return actor.worker == worker || std::binary_search(actor.may_live_on.begin(), actor.may_live_on.end(), worker);
}

std::optional<std::size_t> choose_host(std::span<const PlacedActor* const> actors, std::span<const Candidate> candidates) {
  using Rank = std::tuple<std::size_t, bool, std::size_t, std::size_t>;
  constexpr auto kMost = std::numeric_limits<std::size_t>::max();
  std::optional<std::size_t> chosen;
  Rank best;
  for (const auto& candidate : candidates) {
    auto fitting = static_cast<std::size_t>(
        std::count_if(actors.begin(), actors.end(), [&](const PlacedActor* actor) { return may_live(*actor, candidate.worker); }));
    if (!candidate.has_room || fitting == 0) continue;
    Rank rank{fitting, candidate.ready, kMost - candidate.actors, kMost - candidate.worker};
    if (chosen && rank <= best) continue;
    chosen = candidate.worker;
    best = rank;
  }
  return chosen;
}

}  // namespace tv::supervisor
