#include "daemon.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <vector>

namespace fashion {
namespace {

namespace fs = std::filesystem;

// A datagram socket such as systemd gives to its services.
tv::Result<tv::Fd> open_notify_socket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path))
    return {tv::Errc::kInvalidArgument, path + ": too long for a socket; set TMPDIR to a shorter path"};
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  tv::Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return tv::system_error("socket", errno);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return tv::system_error("bind " + path, errno);
  return socket;
}

// In the child: everything was prepared before the fork, so that nothing here allocates.
[[noreturn]] void run_child(int log, pid_t parent, char* const* argv, char* const* environment) {
  // A demo that is killed leaves no daemon behind.
  if (::prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || ::getppid() != parent) ::_exit(127);
  if (::dup2(log, STDOUT_FILENO) < 0 || ::dup2(log, STDERR_FILENO) < 0) ::_exit(127);
  ::execve(argv[0], argv, environment);
  constexpr std::string_view kMessage = "cannot execute tensorvisord\n";
  [[maybe_unused]] auto written = ::write(STDERR_FILENO, kMessage.data(), kMessage.size());
  ::_exit(127);
}

std::vector<std::string> environment_with(const std::string& variable) {
  std::vector<std::string> all{variable};
  const auto name = variable.substr(0, variable.find('=') + 1);
  for (char** entry = ::environ; *entry != nullptr; ++entry) {
    if (std::string_view(*entry).substr(0, name.size()) != name) all.emplace_back(*entry);
  }
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> all;
  for (auto& string : strings) all.push_back(string.data());
  all.push_back(nullptr);
  return all;
}

std::string describe(int status) {
  if (WIFEXITED(status)) return "exit code " + std::to_string(WEXITSTATUS(status));
  return std::string("killed by signal ") + ::strsignal(WTERMSIG(status));
}

}  // namespace

std::string tail_of(const std::string& path) {
  constexpr std::size_t kLines = 5;
  auto text = tv::read_file(path, std::size_t{64} << 20);
  if (!text) return "(no log: " + text.error().message + ")";
  std::size_t at = text->size();
  for (std::size_t lines = 0; at > 0 && lines <= kLines; --at) {
    if ((*text)[at - 1] == '\n' && ++lines > kLines) break;
  }
  return text->substr(at);
}

Daemon::Directory::~Directory() {
  if (path.empty()) return;
  std::error_code ignored;  // a temporary directory; nothing depends on it
  fs::remove_all(path, ignored);
}

Daemon::~Daemon() {
  if (process_.pid == 0) return;
  ::kill(process_.pid, SIGTERM);
  if (auto status = reap(tv::Deadline::in(std::chrono::seconds(15))); !status) {
    ::kill(process_.pid, SIGKILL);
    (void)reap(tv::Deadline::in(std::chrono::seconds(15)));
  }
}

tv::Result<Daemon> Daemon::start(const Options& options) {
  Daemon daemon;
  daemon.log_file_ = options.log_file;
  std::error_code error;
  std::string pattern = (fs::temp_directory_path(error) / "tv-fashion-XXXXXX").string();
  if (error || ::mkdtemp(pattern.data()) == nullptr)
    return tv::system_error("cannot make a directory " + pattern, error ? error.value() : errno);
  daemon.directory_.path = pattern;
  daemon.runtime_dir_ = pattern + "/run";
  const std::string notify_path = pattern + "/notify";
  auto notify = TV_TRY(open_notify_socket(notify_path));
  if (auto launched = daemon.launch(options, notify_path); !launched) return launched.error();
  if (auto ready = daemon.wait_ready(notify.get(), tv::Deadline::in(options.ready_timeout)); !ready) return ready.error();
  return daemon;
}

tv::Result<void> Daemon::launch(const Options& options, const std::string& notify_path) {
  tv::Fd log(::open(options.log_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644));
  if (!log) return tv::system_error("cannot write " + options.log_file, errno);
  std::vector<std::string> arguments{options.program, "--config", options.config, "--runtime-dir", runtime_dir_};
  auto environment = environment_with("NOTIFY_SOCKET=" + notify_path);
  auto argv = pointers(arguments);
  auto envp = pointers(environment);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return tv::system_error("fork", errno);
  if (child == 0) run_child(log.get(), parent, argv.data(), envp.data());
  process_.pid = child;
  process_.pidfd = TV_TRY(tv::open_pidfd(child));
  return {};
}

tv::Result<void> Daemon::wait_ready(int notify_socket, tv::Deadline deadline) {
  for (;;) {
    std::array<pollfd, 2> events{{{notify_socket, POLLIN, 0}, {process_.pidfd.get(), POLLIN, 0}}};
    const int count = ::poll(events.data(), events.size(), deadline.left_ms());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return tv::system_error("poll", errno);
    if (count == 0)
      return {tv::Errc::kDeadlineExceeded,
              "tensorvisord did not become ready in time; its log " + log_file_ + " ends:\n" + tail_of(log_file_)};
    if (events[0].revents != 0) {
      std::array<char, 4096> buffer{};
      const auto got = ::recv(notify_socket, buffer.data(), buffer.size(), MSG_DONTWAIT);
      const std::string_view message(buffer.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
      if (message.starts_with("READY=1") || message.find("\nREADY=1") != std::string_view::npos) return {};
    } else if (events[1].revents != 0) {
      auto status = TV_TRY(reap(deadline));
      return {tv::Errc::kUnavailable,
              "tensorvisord did not start (" + describe(status) + "); its log " + log_file_ + " ends:\n" + tail_of(log_file_)};
    }
  }
}

tv::Result<int> Daemon::reap(tv::Deadline deadline) {
  if (process_.pidfd) {
    auto ended = TV_TRY(tv::wait_readable(process_.pidfd.get(), deadline));
    if (!ended) return {tv::Errc::kDeadlineExceeded, "tensorvisord did not end in time"};
  }
  int status = 0;
  pid_t reaped = 0;
  do reaped = ::waitpid(process_.pid, &status, 0);
  while (reaped < 0 && errno == EINTR);
  if (reaped < 0) return tv::system_error("waitpid", errno);
  process_.pid = 0;
  return status;
}

tv::Result<void> Daemon::stop(tv::Nanoseconds timeout) {
  if (::kill(process_.pid, SIGTERM) != 0) return tv::system_error("kill tensorvisord", errno);
  const int status = TV_TRY(reap(tv::Deadline::in(timeout)));
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return {tv::Errc::kInternal,
            "tensorvisord ended with " + describe(status) + " after SIGTERM; its log " + log_file_ + " ends:\n" + tail_of(log_file_)};
  std::error_code error;
  for (fs::directory_iterator entry(runtime_dir_, error), end; !error && entry != end; entry.increment(error))
    return {tv::Errc::kInternal, "tensorvisord left " + entry->path().string() + " behind"};
  return {};
}

}  // namespace fashion
