#include "worker/zygote.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <capnp/message.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>

#include "config/log.h"
#include "ipc/seqpacket.h"
#include "ipc/spawn.capnp.h"
#include "worker/stack_dump.h"

namespace tv::worker {
namespace {

constexpr Nanoseconds kForkPatience = 10s;

using Directory = std::unique_ptr<DIR, int (*)(DIR*)>;

// Calls visit(name) for each entry but . and ..; stops when it returns false.
template <class Visit>
Result<void> each_entry(const char* path, Visit visit) {
  Directory directory(::opendir(path), ::closedir);
  if (!directory) return system_error(std::string("cannot read ") + path, errno);
  while (const dirent* entry = ::readdir(directory.get())) {
    if (entry->d_name[0] != '.' && !visit(std::string(entry->d_name))) break;
  }
  return {};
}

// A process of its own with an open GPU cannot share it with a fork.
Result<void> check_no_gpu() {
  std::string open;
  TV_TRY(each_entry("/proc/self/fd", [&](const std::string& name) {
    char target[64];
    auto n = ::readlink(("/proc/self/fd/" + name).c_str(), target, sizeof target);
    std::string path(target, n > 0 ? static_cast<std::size_t>(n) : 0);
    if (path.starts_with("/dev/nvidia")) open = path;
    return open.empty();
  }));
  if (open.empty()) return {};
  return Error{Errc::kInternal, "the zygote has " + open + " open: something in it initialised CUDA before the fork"};
}

Result<std::pair<Fd, Fd>> make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return system_error("pipe2", errno);
  return std::pair<Fd, Fd>(Fd(fds[0]), Fd(fds[1]));
}

Result<pid_t> read_pid(int fd) {
  pid_t pid = 0;
  bool readable = TV_TRY(wait_readable(fd, Deadline::in(kForkPatience)));
  if (!readable) return Error{Errc::kDeadlineExceeded, "the forked child says nothing"};
  ssize_t n;
  do {
    n = ::read(fd, &pid, sizeof pid);
  } while (n < 0 && errno == EINTR);
  if (n != sizeof pid) return Error{Errc::kSystem, "the forked child ended before it reported the worker's number"};
  if (pid < 0) return system_error("cannot fork a worker", -pid);
  return pid;
}

void reap(pid_t child) {
  int status;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
}

// In the zygote's child: reports the worker's number, or minus errno.
[[noreturn]] void report_and_leave(int fd, pid_t worker) {
  pid_t report = worker < 0 ? -errno : worker;
  ssize_t n;
  do {
    n = ::write(fd, &report, sizeof report);
  } while (n < 0 && errno == EINTR);
  ::_exit(n == sizeof report ? 0 : 1);
}

// Line by line also to a pipe, so that a line is not held back until there are many.
void print_to(Fd output) {
  for (int standard : {STDOUT_FILENO, STDERR_FILENO}) {
    while (::dup2(output.get(), standard) < 0 && errno == EINTR) {
    }
  }
  ::setvbuf(stdout, nullptr, _IOLBF, 0);
}

using FillReply = std::function<void(wire::ForkReply::Builder)>;

Result<void> reply(int socket, const FillReply& fill) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<wire::ForkReply>();
  root.setVersion(wire::SPAWN_VERSION);
  fill(root);
  return ipc::send_packet(socket, message);
}

}  // namespace

void reset_signals() {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);  // refused for SIGKILL and SIGSTOP, which is fine
  // Meant for the supervisor, which stops us in order: a terminal and some service managers signal whole groups.
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGTERM, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

Result<int> thread_count() {
  int count = 0;
  TV_TRY(each_entry("/proc/self/task", [&](const std::string&) { return ++count > 0; }));
  return count;
}

Result<void> check_forkable() {
  int threads = TV_TRY(thread_count());
  if (threads != 1)
    return Error{Errc::kInternal,
                 "the zygote has " + std::to_string(threads) + " threads; it must not fork then. A library that it loads starts some"};
  return check_no_gpu();
}

Result<void> Zygote::serve() {
  prepare_stack_dumps();
  TV_TRY(check_forkable());
  TV_TRY(reply(socket_.get(), [](wire::ForkReply::Builder message) { message.setReady(); }));
  for (;;) {
    auto served = serve_one();
    if (served) continue;
    if (served.error().code == Errc::kDeadlineExceeded) continue;
    if (served.error().code == Errc::kUnavailable) return {};
    if (served.error().code != Errc::kProtocol) return served;
    log::warning("fork request dropped", {{"cause", served.error().message}});
  }
}

Result<void> Zygote::serve_one() {
  auto packet = TV_TRY(ipc::receive_packet(socket_.get(), Deadline::in(1h)));
  struct Request {
    unsigned version;
    std::uint64_t token;
  };
  auto request = TV_TRY(ipc::guard([&] {
    auto root = packet.message.root<wire::ForkRequest>();
    return Request{root.getVersion(), root.getToken()};
  }));
  auto pid = [&]() -> Result<pid_t> {
    if (request.version != wire::SPAWN_VERSION)
      return Error{Errc::kProtocol, "fork request of protocol " + std::to_string(request.version) + ", the zygote speaks " +
                                        std::to_string(wire::SPAWN_VERSION)};
    if (packet.fds.empty() || packet.fds.size() > 2) return Error{Errc::kProtocol, "a fork request comes with one descriptor, or two"};
    TV_TRY(check_forkable());
    return fork_worker(std::move(packet.fds[0]), packet.fds.size() > 1 ? std::move(packet.fds[1]) : Fd());
  }();
  return reply(socket_.get(), [&](wire::ForkReply::Builder message) {
    message.setToken(request.token);
    if (pid) return message.setPid(*pid);
    auto failure = message.initFailure();
    failure.setCode(static_cast<std::uint16_t>(pid.error().code));
    failure.setMessage(pid.error().message);
  });
}

Result<pid_t> Zygote::fork_worker(Fd socket, Fd output) {
  auto [read_end, write_end] = TV_TRY(make_pipe());
  pid_t child = ::fork();
  if (child < 0) return system_error("cannot fork", errno);
  if (child == 0) {
    pid_t worker = ::fork();
    if (worker != 0) report_and_leave(write_end.get(), worker);
    read_end.reset();
    write_end.reset();
    run_child(std::move(socket), std::move(output));
  }
  write_end.reset();
  auto pid = read_pid(read_end.get());
  // From the end of its parent on the worker is the supervisor's child, so before the answer.
  reap(child);
  return pid;
}

void Zygote::run_child(Fd socket, Fd output) {
  socket_.reset();
  if (output) print_to(std::move(output));
  log::reset_after_fork();
  ::prctl(PR_SET_NAME, "tv:spare");
  int code = child_(std::move(socket));
  // Static destructors of LibTorch and of plug-ins run at their own risk, and would do nothing of use.
  ::_exit(code);
}

}  // namespace tv::worker
