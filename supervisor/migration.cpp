#include "supervisor/migration.h"

#include <algorithm>
#include <limits>
#include <numeric>
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

Mailboxes::Mailboxes(std::size_t workers) : reader_(workers), waited_for_(workers, false) {
  std::iota(reader_.begin(), reader_.end(), std::size_t{0});
}

std::vector<std::size_t> Mailboxes::read_by(std::size_t worker) const {
  std::vector<std::size_t> read;
  for (std::size_t mailbox = 0; mailbox < reader_.size(); ++mailbox)
    if (reader_[mailbox] == worker) read.push_back(mailbox);
  return read;
}

Mailboxes::Fetch Mailboxes::fetch(std::size_t mailbox, bool reader_has_process) {
  if (at_home(mailbox)) return Fetch::kIsHome;
  waited_for_[mailbox] = reader_has_process;
  if (reader_has_process) return Fetch::kWaits;
  reader_[mailbox] = mailbox;
  return Fetch::kComesHome;
}

std::vector<std::size_t> Mailboxes::ended(std::size_t reader) {
  std::vector<std::size_t> home;
  for (std::size_t mailbox = 0; mailbox < reader_.size(); ++mailbox) {
    if (!waited_for_[mailbox] || reader_[mailbox] != reader) continue;
    reader_[mailbox] = mailbox;
    waited_for_[mailbox] = false;
    home.push_back(mailbox);
  }
  return home;
}

}  // namespace tv::supervisor
