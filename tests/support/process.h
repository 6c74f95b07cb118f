// Child processes of tests: started with arguments, environment and captured output; never left behind.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/clock.h"
#include "config/fd.h"

namespace tv::test {

struct Spawn {
  std::vector<std::string> arguments;  // the program first
  std::map<std::string, std::string> environment;
  std::string output_file;             // stdout and stderr; empty: captured in memory by run()
  std::optional<unsigned> max_open_files;
  std::map<std::string, int> passed;   // descriptors, as a service manager passes them ($LISTEN_FDS)
  std::string cgroup_procs;            // file of the cgroup that it runs in (memory_group.h); empty: that of its parent
};

// Exit code, or 128 + signal.
class Process {
 public:
  explicit Process(const Spawn& spawn);
  ~Process();  // SIGKILL and reap, if it still runs
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int number) const;
  std::optional<int> wait(Deadline deadline);  // nothing: still running
  bool running() { return !wait(Deadline::at(0)); }

 private:
  pid_t pid_ = -1;
  Fd pidfd_;
  std::optional<int> status_;
};

struct Output {
  int status = -1;  // exit code, or 128 + signal; -1: it did not end in time and was killed
  std::string out;
  std::string err;
};
Output run(std::vector<std::string> arguments, std::map<std::string, std::string> environment = {}, Nanoseconds timeout = 60s);

std::string read_text(const std::string& path);

}  // namespace tv::test
