// A tensorvisord of our own, as a child process on a private runtime directory. For programs that bring their daemon along.
#pragma once

#include <sys/types.h>

#include <string>

#include "config/clock.h"
#include "config/fd.h"
#include "config/result.h"

namespace fashion {

class Daemon {
 public:
  struct Options {
    std::string program;  // tensorvisord
    std::string config;
    std::string log_file;  // for its output; replaced
    tv::Nanoseconds ready_timeout = std::chrono::seconds(90);
  };
  // Starts it and waits until it says that it is ready (sd_notify). On failure the error has the end of its log.
  static tv::Result<Daemon> start(const Options& options);

  Daemon(Daemon&&) noexcept = default;
  Daemon& operator=(Daemon&&) = delete;
  // Kills it if it was not stopped; removes the private directory.
  ~Daemon();

  const std::string& runtime_dir() const { return runtime_dir_; }
  pid_t pid() const { return process_.pid; }

  // SIGTERM, then waits. The outcome must be exit code 0 and an empty runtime directory; else an error that says what was left.
  tv::Result<void> stop(tv::Nanoseconds timeout);

 private:
  // Forgets the pid when it is moved from or reaped, so that no other process is ever signalled.
  struct Process {
    pid_t pid = 0;
    tv::Fd pidfd;
    Process() = default;
    Process(Process&& other) noexcept : pid(std::exchange(other.pid, 0)), pidfd(std::move(other.pidfd)) {}
    Process& operator=(Process&&) = delete;
  };
  // Removes itself with all that is in it.
  struct Directory {
    std::string path;
    Directory() = default;
    Directory(Directory&& other) noexcept : path(std::exchange(other.path, {})) {}
    Directory& operator=(Directory&&) = delete;
    ~Directory();
  };

  Daemon() = default;
  tv::Result<void> launch(const Options& options, const std::string& notify_path);
  tv::Result<void> wait_ready(int notify_socket, tv::Deadline deadline);
  tv::Result<int> reap(tv::Deadline deadline);  // the wait status

  Directory directory_;
  std::string runtime_dir_;
  std::string log_file_;
  Process process_;
};

// The last lines of a text file, for error messages.
std::string tail_of(const std::string& path);

}  // namespace fashion
