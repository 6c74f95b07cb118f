// Watchdogs: looks whether the loops of ready workers turn, and ends those that do not. The decisions are watchdog.h's.
//
// One thread (the loop's). A timer a worker, at half its watchdog; nothing where that is off.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "supervisor/actors.h"
#include "supervisor/event_loop.h"
#include "supervisor/watchdog.h"

namespace tv::supervisor {

class Watchdogs {
 public:
  // The worker's process gets the signal; its death will have been for this reason.
  using Strike = std::function<void(std::size_t worker, int signal, const std::string& why)>;
  Watchdogs(EventLoop& loop, const config::Config& config, const shm::Directory& directory, const Actors& actors, Strike strike);

  // The worker is ready, in this process.
  void begin(std::size_t worker, pid_t pid);
  // It is being stopped. One that hangs already, and has been told to end, is killed when its grace is over all the same.
  void stand_down(std::size_t worker) {
    if (watched_[worker].watch.state != WatchState::kAborting) end(worker);
  }
  // It has ended.
  void end(std::size_t worker) { watched_[worker] = {}; }

 private:
  struct Watched {
    pid_t pid = 0;
    Watch watch;
    std::string why;
    Source timer;
  };
  WatchLimits limits(std::size_t worker) const { return {config_.workers[worker].watchdog, config_.workers[worker].watchdog_grace}; }
  void arm(std::size_t worker);
  void look_at(std::size_t worker);
  void abort(std::size_t worker, const std::string& place);
  void kill(std::size_t worker);

  EventLoop& loop_;
  const config::Config& config_;
  const shm::Directory& directory_;
  const Actors& actors_;
  const Strike strike_;
  std::vector<Watched> watched_;
};

}  // namespace tv::supervisor
