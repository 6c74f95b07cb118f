#include "worker/zygote.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio_ext.h>
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
constexpr std::size_t kMostAtOnce = 4;

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

// In the process in between: the worker's number, or minus errno. A zygote that is gone has nobody to tell.
void report(int fd, pid_t worker) {
  pid_t number = worker < 0 ? -errno : worker;
  while (::write(fd, &number, sizeof number) < 0 && errno == EINTR) {
  }
}

// Line by line also to a pipe, so that a line is not held back until there are many.
void print_to(Fd output) {
  ::__fpurge(stdout);  // what the zygote has not printed yet is not ours to print
  for (int standard : {STDOUT_FILENO, STDERR_FILENO}) {
    while (::dup2(output.get(), standard) < 0 && errno == EINTR) {
    }
  }
  // With a buffer of its own: glibc goes on in the old way, for a while, with the old one.
  static char line[BUFSIZ];
  std::setvbuf(stdout, line, _IOLBF, sizeof line);
}

using FillReply = std::function<void(wire::ForkReply::Builder)>;

Result<void> reply(int socket, const FillReply& fill) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<wire::ForkReply>();
  root.setVersion(wire::SPAWN_VERSION);
  fill(root);
  return ipc::send_packet(socket, message);
}

FillReply failure(std::uint64_t token, const Error& why) {
  return [token, why](wire::ForkReply::Builder message) {
    message.setToken(token);
    auto failure = message.initFailure();
    failure.setCode(static_cast<std::uint16_t>(why.code));
    failure.setMessage(why.message);
  };
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
  auto told = reply(socket_.get(), [](wire::ForkReply::Builder message) { message.setReady(); });
  if (!told && told.error().code == Errc::kUnavailable) return {};  // the supervisor has gone meanwhile, or has become another
  TV_TRY(told);
  for (;;) {
    auto served = serve_waiting();
    if (served) continue;
    if (served.error().code == Errc::kDeadlineExceeded) continue;
    if (served.error().code == Errc::kUnavailable) return {};
    if (served.error().code != Errc::kProtocol) return served;
    log::warning("fork request dropped", {{"cause", served.error().message}});
  }
}

Result<Zygote::Request> Zygote::receive(Deadline deadline) {
  auto packet = TV_TRY(ipc::receive_packet(socket_.get(), deadline));
  unsigned version = 0;
  Request request;
  TV_TRY(ipc::guard([&] {
    auto root = packet.message.root<wire::ForkRequest>();
    version = root.getVersion();
    request.token = root.getToken();
  }));
  if (version != wire::SPAWN_VERSION) {
    request.refused = Error{Errc::kProtocol, "fork request of protocol " + std::to_string(version) + ", the zygote speaks " +
                                                 std::to_string(wire::SPAWN_VERSION)};
  } else if (packet.fds.empty() || packet.fds.size() > 2) {
    request.refused = Error{Errc::kProtocol, "a fork request comes with one descriptor, or two"};
  } else {
    request.socket = std::move(packet.fds[0]);
    if (packet.fds.size() > 1) request.output = std::move(packet.fds[1]);
  }
  return request;
}

// What waits is served together, a few at a time, so that the first of many begin while others are forked.
Result<void> Zygote::serve_waiting() {
  std::vector<Request> waiting;
  waiting.push_back(TV_TRY(receive(Deadline::in(1h))));
  while (waiting.size() < kMostAtOnce) {
    auto next = receive(Deadline::at(0));
    if (!next) break;  // nothing, or what the next turn is told as well
    waiting.push_back(std::move(*next));
  }
  std::vector<std::uint64_t> tokens;
  std::vector<Request> good;
  for (auto& request : waiting) {
    if (request.refused) {
      TV_TRY(reply(socket_.get(), failure(request.token, *request.refused)));
      continue;
    }
    tokens.push_back(request.token);
    good.push_back(std::move(request));
  }
  if (good.empty()) return {};
  auto forkable = check_forkable();
  auto forked = forkable ? fork_workers(std::move(good)) : Result<std::vector<Result<pid_t>>>(forkable.error());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    auto pid = forked ? (*forked)[i] : Result<pid_t>(forked.error());
    TV_TRY(pid ? reply(socket_.get(), [&](wire::ForkReply::Builder message) {
                   message.setToken(tokens[i]);
                   message.setPid(*pid);
                 })
               : reply(socket_.get(), failure(tokens[i], pid.error())));
  }
  return {};
}

Result<std::vector<Result<pid_t>>> Zygote::fork_workers(std::vector<Request> requests) {
  auto [read_end, write_end] = TV_TRY(make_pipe());
  pid_t child = ::fork();
  if (child < 0) return system_error("cannot fork", errno);
  if (child == 0) {
    for (auto& request : requests) {
      pid_t worker = ::fork();
      if (worker != 0) {
        report(write_end.get(), worker);
        continue;
      }
      read_end.reset();
      write_end.reset();
      Fd socket = std::move(request.socket), output = std::move(request.output);
      requests.clear();  // the others' descriptors
      run_child(std::move(socket), std::move(output));
    }
    ::_exit(0);
  }
  write_end.reset();
  std::vector<Result<pid_t>> pids;
  for (std::size_t i = 0; i < requests.size(); ++i) pids.push_back(read_pid(read_end.get()));
  // From the end of their parent on the workers are the supervisor's children, so before the answers.
  reap(child);
  return pids;
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
