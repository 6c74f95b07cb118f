// A tensorvisord of this build, in a directory of its own, for benchmarks of the whole. Gone with the object. Throws Failure.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ipc/client.h"
#include "tools/bench/peers.h"

namespace tv::bench {

// The folder of this program, where the build puts the others as well.
std::string program_dir();
// Whether everything that a DaemonProcess needs has been built: not without LibTorch.
bool daemon_was_built();

// A child with its output in a file; killed with its process group at the end.
class ChildProcess {
 public:
  ChildProcess(const std::vector<std::string>& arguments, const std::string& log, const std::vector<std::string>& environment = {});
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  // The exit status, or 128 + signal; throws Failure after the patience.
  int wait(Nanoseconds patience);
  void signal(int number) const;

 private:
  pid_t pid_ = -1;
};

class DaemonProcess {
 public:
  // Starts it and waits until it says that all is ready.
  DaemonProcess(const WorkDir& dir, const std::string& name, const std::string& config);
  ~DaemonProcess();

  std::int64_t start_ns() const { return start_ns_; }  // from its fork to ready
  std::unique_ptr<Client> connect() const;
  // The processes of its workers.
  std::vector<pid_t> worker_pids() const;

 private:
  std::string runtime_dir_;
  std::string log_;
  std::int64_t start_ns_ = 0;
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace tv::bench
