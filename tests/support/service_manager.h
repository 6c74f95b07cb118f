// A service manager for tests, as far as a daemon sees it: hears what it says (sd_notify), keeps its descriptors, and passes them to the next one.
#pragma once

#include <map>
#include <string>

#include "config/clock.h"
#include "config/fd.h"
#include "tests/support/process.h"

namespace tv::test {

class ServiceManager {
 public:
  explicit ServiceManager(std::string socket_path);

  const std::string& socket_path() const { return path_; }
  // Takes what has been said. False: nothing was said until the deadline.
  bool hear(Deadline deadline = Deadline::at(0));
  // Until READY=1 is heard. False when the daemon has ended or the time is over.
  bool wait_ready(Process& daemon, Deadline deadline);

  std::map<std::string, int> kept() const;
  // Closes what it keeps, as for a service that is to start anew.
  void forget() {
    (void)hear();
    kept_.clear();
  }
  const std::string& status() const { return status_; }

 private:
  std::string path_;
  Fd socket_;
  std::map<std::string, Fd> kept_;
  std::string status_;
  bool ready_ = false;
};

}  // namespace tv::test
