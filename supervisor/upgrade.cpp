#include "supervisor/upgrade.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "config/log.h"
#include "config/units.h"
#include "supervisor/spawn.h"
#include "supervisor/text.h"

namespace tv::supervisor {
namespace {

constexpr Nanoseconds kCheckPatience = 10s;
constexpr std::size_t kMostAnswer = 4096;  // bytes

std::string read_answer(int fd) {
  char text[kMostAnswer];
  ssize_t n;
  do {
    n = ::read(fd, text, sizeof text);
  } while (n < 0 && errno == EINTR);
  return n > 0 ? std::string(text, static_cast<std::size_t>(n)) : std::string();
}

}  // namespace

Result<std::string> trusted_program(const std::string& path, uid_t own) {
  if (path.empty() || path.front() != '/') return Error{Errc::kInvalidArgument, "expected the path of a program from the root, found \"" + printable(path, 200) + "\""};
  std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), std::free);
  if (!real) return Error{errno == ENOENT || errno == ENOTDIR ? Errc::kNotFound : Errc::kPermission, system_error("cannot execute " + path, errno).message};
  std::string program = real.get();
  struct stat info {};
  if (::stat(program.c_str(), &info) != 0 || ::access(program.c_str(), X_OK) != 0) return Error{Errc::kPermission, system_error("cannot execute " + program, errno).message};
  if (!S_ISREG(info.st_mode)) return Error{Errc::kPermission, program + " is no program"};
  auto refuse = [&](const std::string& why) {
    return Error{Errc::kPermission, program + " is not executed: " + why + "; it and the directories above it must belong to root or the daemon's user, and nobody else may write there"};
  };
  for (std::string at = program;; at = at.substr(0, std::max<std::size_t>(at.rfind('/'), 1))) {
    if (at != program && ::stat(at.c_str(), &info) != 0) return system_error("cannot look at " + at, errno);
    if (info.st_uid != 0 && info.st_uid != own) return refuse(at + " belongs to user " + std::to_string(info.st_uid));
    bool only_add = S_ISDIR(info.st_mode) && (info.st_mode & S_ISVTX) != 0;
    if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0 && !only_add) return refuse(at + " can be written by others");
    if (at == "/") return program;
  }
}

Result<void> Upgrade::begin(const std::string& path, int ledger) {
  if (check_) return Error{Errc::kUnavailable, "an upgrade is under way already: " + program_};
  std::string program = TV_TRY(trusted_program(path, ::geteuid()));
  int pipe[2];
  if (::pipe2(pipe, O_CLOEXEC) != 0) return system_error("cannot make a pipe", errno);
  answer_ = Fd(pipe[0]);
  Fd theirs(pipe[1]);
  if (::fcntl(answer_.get(), F_SETFL, O_NONBLOCK) != 0) return system_error("cannot make a pipe", errno);
  int fds[] = {ledger, theirs.get()};
  pid_t pid = TV_TRY(spawn_with_descriptors(program, {std::string(kCheckHandoverOption) + "=" + std::to_string(kFirstPassedFd)}, fds));
  check_ = TV_TRY(children_.adopt(pid));
  program_ = program;
  refused_.clear();
  ++begun_;
  check_->on_exit([this](const Cause& cause, std::int64_t) { answered(cause); });
  timer_ = loop_.after(kCheckPatience, [this] { (void)check_->signal(SIGKILL); });
  log::notice("upgrade begins", {{"program", program}});
  return {};
}

void Upgrade::answered(const Cause& cause) {
  timer_.reset();
  check_.reset();
  std::string answer = read_answer(answer_.get());
  answer_.reset();
  if (answer == kCanGoOn && !cause.abnormal) return ready_(program_);
  if (!answer.empty() && answer != kCanGoOn) return end(printable(answer, kMostAnswer));
  end(cause.abnormal ? "asked whether it can go on with the state, it ended: " + cause.text : "it does not say that it can go on with the state; is it tensorvisord?");
}

void Upgrade::end(const std::string& why) {
  refused_ = program_ + " was refused: " + why;
  log::error("upgrade refused", {{"program", program_}, {"cause", why}, {"next", "this daemon goes on as it is"}});
  told_refused_(why);
}

}  // namespace tv::supervisor
