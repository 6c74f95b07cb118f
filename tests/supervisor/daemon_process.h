// The real daemon with the fake worker (tests/support/fake_worker.cpp), in a directory of its own.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/fd.h"
#include "ipc/admin_client.h"
#include "tests/supervisor/path_in.h"

namespace tv::test {

inline constexpr Nanoseconds kPatience = 30s;

class DaemonProcess {
 public:
  // `runtime_dir` empty: one of its own.
  explicit DaemonProcess(const std::string& config, const std::string& runtime_dir = "");
  ~DaemonProcess();

  // Until it has told its service manager that it is ready; its log is in the failure otherwise.
  void wait_ready();
  // Or until it says that a failed required actor keeps it from that.
  void wait_settled();
  void signal(int number);
  // Its exit code, or minus the signal that killed it.
  int wait();
  int stop();

  std::string log() const;
  // Asks until `accept` says yes.
  void eventually(const std::string& what, const std::function<bool()>& accept);

  using Fill = std::function<void(wire::AdminRequest::Builder)>;
  Result<ipc::Message> ask(const Fill& fill);
  struct Worker {
    std::string state, last_death, message;
    int pid;
    unsigned incarnation;
    unsigned long restarts;
    std::int64_t last_restart_ns;
  };
  Worker worker(const std::string& name);
  std::string actor_state(const std::string& name);
  std::string health();
  std::uint64_t malformed();

  const std::string& runtime_dir() const { return runtime_dir_; }
  const std::string& config_path() const { return config_path_; }
  int pid() const { return pid_; }

 private:
  void wait_told(const std::vector<std::string>& words);
  void spawn(const std::vector<std::string>& arguments);

  TempDir temp_;
  std::string runtime_dir_;
  std::string config_path_;
  std::string log_path_;
  Fd notify_;
  Fd pidfd_;
  int pid_ = 0;
  std::unique_ptr<ipc::AdminClient> admin_;
};

}  // namespace tv::test
