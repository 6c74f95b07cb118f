#include "tests/support/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <stdexcept>

#include "tests/support/temp_dir.h"

namespace tv::test {
namespace {

void redirect(const std::string& file, int target) {
  int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0 || ::dup2(fd, target) < 0) ::_exit(126);
}

// In the child: as descriptors 3, 4, ..., by copies beyond them, since one may stand where another is to go.
void pass(const std::map<std::string, int>& descriptors) {
  if (descriptors.empty()) return;
  std::vector<int> copies;
  std::string names;
  for (const auto& [name, fd] : descriptors) {
    copies.push_back(::fcntl(fd, F_DUPFD_CLOEXEC, 3 + static_cast<int>(descriptors.size())));
    names += (names.empty() ? "" : ":") + name;
  }
  int next = 3;
  for (int copy : copies)
    if (::dup2(copy, next++) < 0) ::_exit(126);
  ::setenv("LISTEN_FDS", std::to_string(copies.size()).c_str(), 1);
  ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
  ::setenv("LISTEN_FDNAMES", names.c_str(), 1);
}

void join(const std::string& cgroup_procs) {
  int fd = ::open(cgroup_procs.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0 || ::write(fd, "0", 1) != 1) ::_exit(125);
  ::close(fd);
}

pid_t start(const Spawn& spawn, const std::string& error_file) {
  std::vector<char*> argv;
  for (const auto& argument : spawn.arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t pid = ::fork();
  if (pid < 0) throw std::runtime_error("cannot fork");
  if (pid > 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (!spawn.cgroup_procs.empty()) join(spawn.cgroup_procs);
  for (const auto& [name, value] : spawn.environment) ::setenv(name.c_str(), value.c_str(), 1);
  if (!spawn.output_file.empty()) {
    redirect(spawn.output_file, STDOUT_FILENO);
    redirect(error_file.empty() ? spawn.output_file : error_file, STDERR_FILENO);
  }
  pass(spawn.passed);
  if (spawn.max_open_files) {
    rlimit limit{*spawn.max_open_files, *spawn.max_open_files};
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

int code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

}  // namespace

Process::Process(const Spawn& spawn) : pid_(start(spawn, "")) {
  auto pidfd = open_pidfd(pid_);
  if (!pidfd) throw std::runtime_error(pidfd.error().message);
  pidfd_ = std::move(*pidfd);
}

Process::~Process() {
  if (status_) return;
  ::kill(pid_, SIGKILL);
  (void)wait(Deadline::in(30s));
}

void Process::signal(int number) const {
  if (!status_) ::kill(pid_, number);
}

std::optional<int> Process::wait(Deadline deadline) {
  if (status_) return status_;
  auto ended = wait_readable(pidfd_.get(), deadline);
  if (!ended || !*ended) return std::nullopt;
  int status = 0;
  if (::waitpid(pid_, &status, 0) != pid_) return std::nullopt;
  status_ = code_of(status);
  return status_;
}

std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

Output run(std::vector<std::string> arguments, std::map<std::string, std::string> environment, Nanoseconds timeout) {
  TempDir dir;
  Spawn spawn{std::move(arguments), std::move(environment), dir.path() + "/out", std::nullopt};
  std::string error_file = dir.path() + "/err";
  pid_t pid = start(spawn, error_file);
  auto pidfd = open_pidfd(pid);
  if (!pidfd) throw std::runtime_error(pidfd.error().message);
  auto ended = wait_readable(pidfd->get(), Deadline::in(timeout));
  bool in_time = ended && *ended;
  if (!in_time) ::kill(pid, SIGKILL);
  int status = 0;
  ::waitpid(pid, &status, 0);
  return {in_time ? code_of(status) : -1, read_text(spawn.output_file), read_text(error_file)};
}

}  // namespace tv::test
