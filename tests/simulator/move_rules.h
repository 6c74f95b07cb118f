// The rules of migration a second time (README.md of the supervisor, "Migration"): who reads which mailbox after what has happened.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "supervisor/migration.h"

namespace tv::simulator {

class MoveRules {
 public:
  using Actors = std::vector<const supervisor::PlacedActor*>;
  void begin(std::size_t workers);

  // Where the mailbox goes, of those that could take it; it is read there from then on.
  std::optional<std::size_t> given_up(std::size_t mailbox, const Actors& actors, const std::vector<supervisor::Candidate>& candidates);
  // Somebody wants the worker. False: the process that reads its mailbox has to end first.
  bool wanted(std::size_t worker, bool reader_has_process);
  void not_wanted(std::size_t worker) { waiting_.erase(worker); }
  void process_ended(std::size_t worker);

  // What is told of it; empty: it is as it should be.
  std::string check(const supervisor::Mailboxes& mailboxes) const;

 private:
  std::vector<std::size_t> reader_;
  std::set<std::size_t> waiting_;
};

}  // namespace tv::simulator
