#include "tests/simulator/move_rules.h"

#include <algorithm>

namespace tv::simulator {

using namespace supervisor;

void MoveRules::begin(std::size_t workers) {
  for (std::size_t w = 0; w < workers; ++w) reader_.push_back(w);
}

// Rule by rule, those that do not keep it are dropped.
std::optional<std::size_t> MoveRules::given_up(std::size_t mailbox, const Actors& actors, const std::vector<Candidate>& candidates) {
  auto living = [&](const Candidate& candidate) {
    std::size_t living = 0;
    for (const auto* actor : actors) {
      const auto& others = actor->may_live_on;
      bool may = actor->worker == candidate.worker || std::find(others.begin(), others.end(), candidate.worker) != others.end();
      living += may ? 1 : 0;
    }
    return living;
  };
  std::vector<Candidate> left = candidates;
  std::erase_if(left, [&](const auto& each) { return !each.has_room || living(each) == 0; });
  if (left.empty()) return std::nullopt;
  std::size_t most = 0;
  for (const auto& each : left) most = std::max(most, living(each));
  std::erase_if(left, [&](const auto& each) { return living(each) < most; });
  if (std::any_of(left.begin(), left.end(), [](const auto& each) { return each.ready; }))
    std::erase_if(left, [](const auto& each) { return !each.ready; });
  std::size_t fewest = left[0].actors;
  for (const auto& each : left) fewest = std::min(fewest, each.actors);
  std::erase_if(left, [&](const auto& each) { return each.actors > fewest; });
  std::size_t first = left[0].worker;
  for (const auto& each : left) first = std::min(first, each.worker);
  reader_[mailbox] = first;
  return first;
}

bool MoveRules::wanted(std::size_t worker, bool reader_has_process) {
  if (reader_[worker] == worker) return true;
  if (reader_has_process) {
    waiting_.insert(worker);
    return false;
  }
  waiting_.erase(worker);
  reader_[worker] = worker;
  return true;
}

void MoveRules::process_ended(std::size_t worker) {
  for (std::size_t mailbox = 0; mailbox < reader_.size(); ++mailbox)
    if (reader_[mailbox] == worker && waiting_.erase(mailbox) > 0) reader_[mailbox] = mailbox;
}

std::string MoveRules::check(const Mailboxes& mailboxes) const {
  for (std::size_t mailbox = 0; mailbox < reader_.size(); ++mailbox) {
    if (mailboxes.reader(mailbox) != reader_[mailbox])
      return "mailbox " + std::to_string(mailbox) + " is read by worker " + std::to_string(mailboxes.reader(mailbox)) +
             ", and should be by worker " + std::to_string(reader_[mailbox]);
    if (mailboxes.is_waited_for(mailbox) != waiting_.contains(mailbox))
      return "mailbox " + std::to_string(mailbox) + " is waited for, or not, by one of them only";
  }
  return {};
}

}  // namespace tv::simulator
