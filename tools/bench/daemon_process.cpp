#include "tools/bench/daemon_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "config/fd.h"
#include "ipc/admin_client.h"

namespace tv::bench {
namespace {

constexpr Nanoseconds kStartPatience = 120s;
constexpr Nanoseconds kStopPatience = 30s;

std::string tail_of(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  auto all = text.str();
  return all.size() > 1000 ? all.substr(all.size() - 1000) : all;
}

// Where a daemon says READY=1 (sd_notify).
class ReadySocket {
 public:
  explicit ReadySocket(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) throw Failure("the path of a socket is too long: " + path);
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (!fd_ || ::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      throw Failure(system_error("cannot bind " + path, errno).message);
  }
  bool wait(Deadline deadline) const {
    while (must(wait_readable(fd_.get(), deadline))) {
      char text[4096];
      ssize_t n = ::recv(fd_.get(), text, sizeof text, 0);
      if (n > 0 && std::string_view(text, static_cast<std::size_t>(n)).find("READY=1") != std::string_view::npos) return true;
    }
    return false;
  }

 private:
  Fd fd_;
};

}  // namespace

std::string program_dir() { return std::filesystem::read_symlink("/proc/self/exe").parent_path(); }

bool daemon_was_built() {
  for (const char* file : {"tensorvisord", "tensorvisor-worker", "bench-actors.so", "tv-bench-peer"})
    if (!std::filesystem::exists(program_dir() + "/" + file)) return false;
  return true;
}

ChildProcess::ChildProcess(const std::vector<std::string>& arguments, const std::string& log, const std::vector<std::string>& environment) {
  std::vector<char*> argv, envp;
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  // Of two that have one name the first counts.
  for (const auto& variable : environment) envp.push_back(const_cast<char*>(variable.c_str()));
  for (char** variable = environ; *variable != nullptr; ++variable) envp.push_back(*variable);
  envp.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  int error = ::posix_spawnp(&pid_, argv[0], &actions, &attributes, argv.data(), envp.data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) throw Failure(system_error("cannot start " + arguments[0], error).message);
}

ChildProcess::~ChildProcess() {
  if (pid_ < 0) return;
  ::kill(-pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void ChildProcess::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

int ChildProcess::wait(Nanoseconds patience) {
  Fd end(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (!end) throw Failure(system_error("pidfd_open", errno).message);
  if (!must(wait_readable(end.get(), Deadline::in(patience)))) throw Failure("process " + std::to_string(pid_) + " does not end");
  int status = 0;
  ::waitpid(pid_, &status, 0);
  ::kill(-pid_, SIGKILL);  // what it may have left
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

DaemonProcess::DaemonProcess(const WorkDir& dir, const std::string& name, const std::string& config)
    : runtime_dir_(dir.path() + "/" + name), log_(dir.path() + "/" + name + ".log") {
  std::string file = dir.path() + "/" + name + ".toml";
  std::ofstream(file) << config;
  std::string notify = dir.path() + "/" + name + ".notify";
  ReadySocket ready(notify);
  auto began = monotonic_ns();
  process_ = std::make_unique<ChildProcess>(
      std::vector<std::string>{program_dir() + "/tensorvisord", "--config", file, "--runtime-dir", runtime_dir_}, log_,
      std::vector<std::string>{"NOTIFY_SOCKET=" + notify});
  if (!ready.wait(Deadline::in(kStartPatience))) throw Failure("tensorvisord did not get ready:\n" + tail_of(log_));
  start_ns_ = monotonic_ns() - began;
}

DaemonProcess::~DaemonProcess() {
  process_->signal(SIGTERM);
  try {
    process_->wait(kStopPatience);
  } catch (const Failure&) {
    // Killed by the child's destructor; its workers follow it.
  }
}

std::unique_ptr<Client> DaemonProcess::connect() const {
  return must(Client::connect({.name = "tv-bench", .runtime_dir = runtime_dir_}));
}

std::vector<pid_t> DaemonProcess::worker_pids() const {
  auto admin = must(ipc::AdminClient::connect(runtime_dir_));
  auto reply = must(admin.request([](wire::AdminRequest::Builder request) { request.setListWorkers(); }, kStartPatience));
  std::vector<pid_t> pids;
  for (auto worker : reply.root<wire::AdminReply>().getWorkers()) pids.push_back(worker.getPid());
  return pids;
}

}  // namespace tv::bench
