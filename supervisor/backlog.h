// Backlog: how many requests to each actor lie unread in mailboxes, counted by looking. A count of one moment: others write and read
// meanwhile.
#pragma once

#include <cstdint>
#include <vector>

#include "shm/arena.h"

namespace tv::supervisor {

class Backlog {
 public:
  // Looks into the mailboxes of participants 1 to `workers`, at so many records at most: a loop with other things to do asks.
  static constexpr std::size_t kMostRecords = 50'000;
  Backlog(const shm::Arena& arena, std::size_t workers, std::size_t actors);

  std::uint64_t of(ActorId actor) const { return counts_[actor]; }

 private:
  std::vector<std::uint64_t> counts_;
};

}  // namespace tv::supervisor
