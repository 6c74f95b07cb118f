// What the service manager is told in STATUS=, as a person reads it in `systemctl status`. Pure.
#pragma once

#include <span>
#include <string>

#include "supervisor/actors.h"
#include "supervisor/workers.h"

namespace tv::supervisor {

// One of the workers or actors of which something is to be said.
struct Trouble {
  std::string name;
  std::string why;  // may be empty
};

struct Standing {
  std::size_t workers = 0, workers_ready = 0;
  std::size_t actors = 0, actors_ready = 0;
  std::vector<std::string> starting;    // workers on their way, that have not been there yet
  std::vector<std::string> restarting;  // workers on their way back
  std::vector<Trouble> failed;          // workers and actors that are given up
  std::vector<Trouble> missing;         // failed actors without which the daemon is not ready
  std::size_t unhealthy = 0;            // actors that say so of themselves
};

Standing standing_of(std::span<const Worker> workers, const Actors& actors);

// "3 workers, 5 of 6 actors ready; restarting cpu1". At most so many names of each kind are written out, and at most so many bytes of one's
// reason.
inline constexpr std::size_t kMostNamed = 3;
inline constexpr std::size_t kMostReason = 120;
std::string status_line(const Standing& standing);
// The same of a daemon that has come to rest without being ready: "not ready: actor a failed (it would not start), ...".
std::string not_ready_line(const Standing& standing);

}  // namespace tv::supervisor
