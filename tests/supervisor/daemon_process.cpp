#include "tests/supervisor/daemon_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <sstream>

#include "tests/support/catch.h"

namespace tv::test {
namespace {

Fd notify_socket(const std::string& path) {
  Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

template <class List>
auto named(const List& list, const std::string& name) {
  for (auto item : list)
    if (name == item.getName().cStr()) return item;
  FAIL("no " + name);
  return list[0];
}

}  // namespace

DaemonProcess::DaemonProcess(const std::string& config, const std::string& runtime_dir)
    : runtime_dir_(runtime_dir.empty() ? temp_ / "run" : runtime_dir), config_path_(temp_ / "config.toml"), log_path_(temp_ / "log"), notify_(notify_socket(temp_ / "notify")) {
  std::ofstream(config_path_) << config;
  spawn({TV_DAEMON, "--config", config_path_, "--runtime-dir", runtime_dir_});
}

void DaemonProcess::spawn(const std::vector<std::string>& arguments) {
  std::vector<char*> argv;
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::string notify_path = temp_ / "notify";
  pid_ = ::fork();
  REQUIRE(pid_ >= 0);
  if (pid_ == 0) {
    int log = ::open(log_path_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    ::setenv("NOTIFY_SOCKET", notify_path.c_str(), 1);
    ::setenv("TENSORVISOR_WORKER", TV_FAKE_WORKER, 1);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  pidfd_ = *open_pidfd(pid_);
}

DaemonProcess::~DaemonProcess() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void DaemonProcess::wait_ready() { wait_told({"READY=1"}); }
void DaemonProcess::wait_settled() { wait_told({"READY=1", "STATUS=not ready: "}); }

void DaemonProcess::wait_told(const std::vector<std::string>& words) {
  auto deadline = Deadline::in(kPatience);
  for (;;) {
    pollfd fds[2] = {{notify_.get(), POLLIN, 0}, {pidfd_.get(), POLLIN, 0}};
    int n = ::poll(fds, 2, deadline.left_ms());
    if (n <= 0 || fds[0].revents == 0) FAIL("the daemon did not become ready:\n" + log());
    char text[1024] = {};
    REQUIRE(::recv(notify_.get(), text, sizeof text - 1, 0) > 0);
    for (const auto& word : words)
      if (std::string(text).find(word) != std::string::npos) return;
  }
}

void DaemonProcess::signal(int number) { REQUIRE(::kill(pid_, number) == 0); }

int DaemonProcess::wait() {
  auto ended = wait_readable(pidfd_.get(), Deadline::in(kPatience));
  if (!ended || !*ended) FAIL("the daemon did not end:\n" + log());
  int status = 0;
  REQUIRE(::waitpid(pid_, &status, 0) == pid_);
  pid_ = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int DaemonProcess::stop() {
  signal(SIGTERM);
  return wait();
}

std::string DaemonProcess::log() const {
  std::ostringstream text;
  text << std::ifstream(log_path_).rdbuf();
  return text.str();
}

void DaemonProcess::eventually(const std::string& what, const std::function<bool()>& accept) {
  auto deadline = Deadline::in(kPatience);
  while (!accept()) {
    if (deadline.passed()) FAIL(what + " did not come about:\n" + log());
    ::poll(nullptr, 0, 2);
  }
}

Result<ipc::Message> DaemonProcess::ask(const Fill& fill) {
  if (!admin_) {
    auto client = ipc::AdminClient::connect(runtime_dir_);
    if (!client) return client.error();
    admin_ = std::make_unique<ipc::AdminClient>(std::move(*client));
  }
  return admin_->request(fill, kPatience);
}

DaemonProcess::Worker DaemonProcess::worker(const std::string& name) {
  auto reply = ask([](auto request) { request.setListWorkers(); });
  if (!reply) FAIL(reply.error().message + "\n" + log());
  auto info = named(reply->root<wire::AdminReply>().getWorkers(), name);
  return {info.getState().cStr(), info.getLastDeath().cStr(), info.getMessage().cStr(), info.getPid(), info.getIncarnation(),
          info.getRestarts(),     info.getLastRestartNs()};
}

std::string DaemonProcess::actor_state(const std::string& name) {
  auto reply = ask([](auto request) { request.setListActors(); });
  if (!reply) FAIL(reply.error().message + "\n" + log());
  return named(reply->root<wire::AdminReply>().getActors(), name).getState().cStr();
}

std::string DaemonProcess::health() {
  auto reply = ask([](auto request) { request.setStatus(); });
  if (!reply) FAIL(reply.error().message + "\n" + log());
  return reply->root<wire::AdminReply>().getStatus().getHealth().cStr();
}

std::uint64_t DaemonProcess::malformed() {
  auto reply = ask([](auto request) { request.setStatus(); });
  if (!reply) FAIL(reply.error().message + "\n" + log());
  return reply->root<wire::AdminReply>().getStatus().getMalformed();
}

}  // namespace tv::test
