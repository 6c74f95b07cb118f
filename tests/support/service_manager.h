// A service manager for tests, as far as a daemon sees it: hears what it says (sd_notify), keeps its descriptors, and passes them to the next one.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "config/clock.h"
#include "config/fd.h"
#include "tests/support/process.h"

namespace tv::test {

// A thread reads all the time, as a service manager does: who tells it something does not wait long.
class ServiceManager {
 public:
  explicit ServiceManager(std::string socket_path);
  ~ServiceManager();
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  const std::string& socket_path() const { return path_; }
  // Takes all that has been said by now.
  void hear();
  // Until READY=1 is heard, since the last call. False when the daemon has ended or the time is over.
  // `or_settled`: or until the daemon says that it lacks actors.
  bool wait_ready(Process& daemon, Deadline deadline, bool or_settled = false);

  std::map<std::string, int> kept();
  // Closes what it keeps, as for a service that is to start anew.
  void forget();
  std::string status();
  int reloading();  // how often RELOADING=1 has been heard, with the time that belongs to it

 private:
  void hear_one(const std::string& said, Fd fd);

  std::string path_;
  Fd socket_;
  std::mutex mutex_;  // guards what follows, and reading
  std::map<std::string, Fd> kept_;
  std::string status_;
  bool ready_ = false;
  int reloading_ = 0;
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

}  // namespace tv::test
