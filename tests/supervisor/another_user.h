// What tests of rights share: a process of another user, a directory that it can reach, and what the daemon has counted. Needs root, which alone
// may become another user.
#pragma once

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <sstream>

#include "tests/supervisor/daemon_process.h"
#include "tests/support/catch.h"

namespace tv::test {

inline constexpr uid_t kStranger = 65534;  // nobody, or a number without a name: both are users

// Says so where these tests cannot be made.
inline bool skipped() {
  if (::geteuid() == 0) return false;
  WARN("skipped: only root can become another user");
  return true;
}

// A runtime directory that others can reach, if the daemon lets them.
class OpenDir {
 public:
  OpenDir() { REQUIRE(::chmod(temp_.path().c_str(), 0711) == 0); }
  std::string runtime_dir() const { return temp_ / "run"; }

 private:
  TempDir temp_;
};

inline std::string access_config(const std::string& access) {
  return "[supervisor]\nlog_level = \"debug\"\n[arena]\nsize = \"64MiB\"\n" + access +
         "[[worker]]\nname = \"w\"\n[[actor]]\nname = \"a\"\ntype = \"torchscript\"\n[[pool]]\nname = \"p\"\ntype = \"torchscript\"\n";
}

inline std::string mode_of(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return std::strerror(errno);
  std::ostringstream text;
  text << std::oct << (info.st_mode & 07777);
  return text.str();
}

struct Said {
  int status = -1;
  std::string text;  // stdout and stderr
};

// Runs `child` as another user, and gives what it returns and prints.
template <class Child>
Said as(uid_t user, Child child) {
  int fds[2];
  REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
  Fd out(fds[0]), in(fds[1]);
  pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    ::dup2(in.get(), STDOUT_FILENO);
    ::dup2(in.get(), STDERR_FILENO);
    if (::setgroups(0, nullptr) != 0 || ::setresgid(user, user, user) != 0 || ::setresuid(user, user, user) != 0) ::_exit(125);
    ::_exit(child());
  }
  in.reset();
  Said said;
  char buffer[4096];
  for (auto deadline = Deadline::in(kPatience);;) {
    auto readable = wait_readable(out.get(), deadline);
    if (!readable || !*readable) {
      ::kill(pid, SIGKILL);
      break;
    }
    ssize_t n = ::read(out.get(), buffer, sizeof buffer);
    if (n <= 0) break;
    said.text.append(buffer, static_cast<std::size_t>(n));
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  said.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return said;
}

inline std::uint64_t denied(DaemonProcess& daemon) {
  auto reply = daemon.ask([](auto request) { request.setStatus(); });
  REQUIRE(reply);
  return reply->root<wire::AdminReply>().getStatus().getDenied();
}

inline bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace tv::test
