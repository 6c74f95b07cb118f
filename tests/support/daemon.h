// A real tensorvisord in a directory of its own, with real workers, for integration and crash tests.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "ipc/admin_client.h"
#include "ipc/client.h"
#include "tests/support/process.h"
#include "tests/support/service_manager.h"
#include "tests/support/temp_dir.h"

namespace tv::test {

struct DaemonOptions {
  std::string config;                 // TOML; [supervisor] runtime_dir is given on the command line
  std::optional<unsigned> max_open_files;
  std::map<std::string, std::string> environment;
  bool expect_ready = true;
  std::string cgroup_procs;           // of the cgroup that it and its processes run in (memory_group.h)
  bool may_lack_actors = false;       // a required actor that fails, so that it is not ready, is what the test is about
};

struct WorkerState {
  std::string state;
  int pid = 0;
  std::uint64_t restarts = 0;
  std::uint32_t incarnation = 0;
  std::string last_death;
  std::string message;
};

struct ActorStateInfo {
  std::string state;
  std::uint64_t handled = 0;
  std::uint64_t commits = 0;
  std::uint32_t incarnation = 0;
  std::string message;
  std::string worker;
};

class Daemon {
 public:
  // Starts it and waits until it says READY=1 (sd_notify). Fails the test with its log when it does not.
  explicit Daemon(const DaemonOptions& options);
  // Stops it if the test has not; fails nothing.
  ~Daemon();

  const std::string& runtime_dir() const { return runtime_dir_; }
  const std::string& dir() const { return dir_.path(); }
  Process& process() { return *process_; }
  std::string log() const { return read_text(log_file_); }
  bool logged(const std::string& text) const { return log().find(text) != std::string::npos; }

  // Waits until `holds` is true, looking again whenever something may have changed; fails the test with `what` and the log.
  void wait_until(const std::string& what, const std::function<bool()>& holds, Nanoseconds timeout = 60s);

  std::unique_ptr<Client> connect(const std::string& name = "test");
  ipc::AdminClient admin();
  WorkerState worker(const std::string& name);
  ActorStateInfo actor(const std::string& name);
  void kill_worker(const std::string& name, int signal = 9);  // through the admin socket
  // Kills and waits for the next incarnation to be ready.
  void kill_and_wait(const std::string& name);
  std::vector<std::string> fsck();
  std::uint64_t objects();
  Output tensorctl(std::vector<std::string> arguments);

  // SIGKILL, then another one with the descriptors that the manager has kept; until it is ready.
  void kill_and_restart();
  void restart();  // of one that has ended
  ServiceManager& manager() { return *manager_; }

  // SIGTERM; the exit code. Then checks that nothing is left: no process, no file in the runtime directory.
  int stop();

 private:
  TempDir dir_;
  std::string runtime_dir_;
  std::string log_file_;
  std::unique_ptr<ServiceManager> manager_;
  Spawn spawn_;
  std::unique_ptr<Process> process_;
};

std::string program(const std::string& name);  // in the build's bin directory
std::string plugin(const std::string& name);   // a test plug-in of the build
// "[arena]\nsize = ..." and one CPU worker group "cpu" of `workers` processes.
std::string base_config(int workers = 1, const std::string& worker_extra = "");
// Processes of this session whose command name begins with "tv:" or is a worker or daemon, with `dir` in their environment or arguments.
std::vector<int> processes_of(const std::string& runtime_dir);

}  // namespace tv::test
