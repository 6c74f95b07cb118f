#include "supervisor/children.h"

#include <dirent.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <string>

#include "config/log.h"
#include "config/process_names.h"

namespace tv::supervisor {
namespace {

constexpr idtype_t kPidfd = static_cast<idtype_t>(3);  // P_PIDFD, which older headers lack
constexpr int kMaxSweep = 1000;                         // strangers reaped in one turn of the loop
constexpr int kMaxGenerations = 16;
constexpr Nanoseconds kStrangerPatience = 500ms;

int wait_for(idtype_t type, id_t id, siginfo_t& info, int options) {
  int rc;
  do {
    info = {};
    rc = ::waitid(type, id, &info, options);
  } while (rc != 0 && errno == EINTR);
  return rc;
}

// Numbers of this process's children, by the kernel's word; empty where it does not say.
std::vector<pid_t> listed_children() {
  std::vector<pid_t> pids;
  std::ifstream list("/proc/self/task/" + std::to_string(::getpid()) + "/children");
  for (pid_t pid; list >> pid;) pids.push_back(pid);
  return pids;
}

// One that unmaps a dead worker's memory, which is nobody's orphan; also when it has ended and is not reaped yet.
bool is_memory_holder(pid_t pid) {
  std::string name;
  std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/comm"), name);
  return name == kMemoryHolderName;
}

void report_stranger(const char* event, pid_t pid, bool expected, const siginfo_t& info) {
  log::event(expected ? log::Level::kDebug : log::Level::kInfo, event, {{"pid", pid}, {"cause", cause_of(info).text}});
}

// REQUIRES that it is our child and that nobody else reaps it: then the number cannot be another's.
void kill_stranger(pid_t pid) {
  bool expected = is_memory_holder(pid);
  auto pidfd = open_pidfd(pid);
  if (!pidfd || ::kill(pid, SIGKILL) != 0) return;
  auto ended = wait_readable(pidfd->get(), Deadline::in(kStrangerPatience));
  siginfo_t info{};
  if (!ended || !*ended || wait_for(P_PID, static_cast<id_t>(pid), info, WEXITED | WNOHANG) != 0) return;
  report_stranger("orphan ended", pid, expected, info);
}

}  // namespace

Child::~Child() {
  if (pid_ != 0) children_.forget(pid_);
}

Result<void> Child::signal(int number) const {
  if (pid_ == 0) return Error{Errc::kUnavailable, "the process has ended"};
  if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0) == 0) return {};
  if (errno == ESRCH) return Error{Errc::kUnavailable, "the process has ended"};
  return system_error("cannot send " + signal_name(number), errno);
}

bool Child::ended() const {
  pollfd entry{pidfd_.get(), POLLIN, 0};
  return pid_ == 0 || ::poll(&entry, 1, 0) > 0;
}

void Child::reap() {
  std::int64_t noticed = monotonic_ns();
  siginfo_t info{};
  Cause cause;
  if (wait_for(kPidfd, static_cast<id_t>(pidfd_.get()), info, WEXITED | WNOHANG) != 0) {
    if (errno == ECHILD) {
      cause = unseen();
    } else {
      cause.text = "ended, and its exit status cannot be read: " + system_error("waitid", errno).message;
    }
  } else if (info.si_pid == 0) {
    return;
  } else {
    cause = cause_of(info);
  }
  source_.reset();
  children_.forget(std::exchange(pid_, 0));
  auto callback = std::move(on_exit_);
  if (callback) callback(cause, noticed);
}

Result<void> Children::start() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return system_error("cannot become the subreaper of workers", errno);
  sigchld_ = TV_TRY(loop_.on_signal(SIGCHLD, [this] { sweep(); }));
  return {};
}

Result<std::unique_ptr<Child>> Children::adopt(pid_t pid) {
  return take_over(pid, TV_TRY(open_pidfd(pid)));
}

Result<std::unique_ptr<Child>> Children::take_over(pid_t pid, Fd pidfd) {
  std::unique_ptr<Child> child(new Child(*this, pid, std::move(pidfd)));
  known_.insert(pid);
  child->source_ = TV_TRY(loop_.watch(child->pidfd_.get(), EPOLLIN, [raw = child.get()] { raw->reap(); }));
  return child;
}

void Children::dismiss(std::unique_ptr<Child> child) {
  dismissed_.push_back(std::move(child));
  auto place = std::prev(dismissed_.end());
  (*place)->on_exit([this, place](const Cause& cause, std::int64_t) {
    log::debug("process ended", {{"cause", cause.text}});
    dismissed_.erase(place);
  });
}

void Children::fork_ends() {
  if (forks_ > 0) --forks_;
  if (forks_ == 0) sweep_later();
}

void Children::when_none(std::function<void()> callback) {
  when_none_ = std::move(callback);
  check_none();
}

void Children::kill_dismissed() {
  for (const auto& child : dismissed_) (void)child->signal(SIGKILL);  // one that has just ended needs none
}

void Children::kill_strangers() {
  // What they leave behind comes to us in turn.
  for (int generation = 0; generation < kMaxGenerations; ++generation) {
    bool any = false;
    for (pid_t pid : listed_children()) {
      if (known_.contains(pid)) continue;
      any = true;
      kill_stranger(pid);
    }
    if (!any) return;
  }
}

void Children::forget(pid_t pid) {
  known_.erase(pid);
  sweep_later();
  if (known_.empty() && when_none_) loop_.post([this] { check_none(); });
}

void Children::check_none() {
  if (!known_.empty() || !when_none_) return;
  auto callback = std::move(when_none_);
  when_none_ = nullptr;
  callback();
}

void Children::sweep_later() {
  loop_.post([this] { sweep(); });
}

// The kernel shows the first ended child again and again until it is reaped: when that one is known, its pidfd brings us back here.
void Children::sweep() {
  for (int i = 0; i < kMaxSweep; ++i) {
    siginfo_t info{};
    if (wait_for(P_ALL, 0, info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
    if (known_.contains(info.si_pid) || forks_ > 0) return;
    pid_t pid = info.si_pid;
    bool expected = is_memory_holder(pid);
    if (wait_for(P_PID, static_cast<id_t>(pid), info, WEXITED | WNOHANG) != 0 || info.si_pid == 0) return;
    report_stranger("orphan reaped", pid, expected, info);
  }
  sweep_later();
}

}  // namespace tv::supervisor
