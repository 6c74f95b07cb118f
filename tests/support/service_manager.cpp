#include "tests/support/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace tv::test {

ServiceManager::ServiceManager(std::string socket_path)
    : path_(std::move(socket_path)), socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
  if (::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) throw std::runtime_error("cannot bind " + path_);
  thread_ = std::thread([this] {
    while (!ending_) {
      (void)wait_readable(socket_.get(), Deadline::in(20ms));
      hear();
    }
  });
}

ServiceManager::~ServiceManager() {
  ending_ = true;
  thread_.join();
}

void ServiceManager::hear() {
  std::lock_guard lock(mutex_);
  for (;;) {
    char text[4096];
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    iovec part{text, sizeof text};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t n = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
    if (n < 0) return;
    Fd fd;
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header))
      if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
        int number;
        std::memcpy(&number, CMSG_DATA(header), sizeof number);
        fd = Fd(number);
      }
    hear_one({text, static_cast<std::size_t>(n)}, std::move(fd));
  }
}

void ServiceManager::hear_one(const std::string& text, Fd fd) {
  std::map<std::string, std::string> said;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) said[line.substr(0, line.find('='))] = line.substr(line.find('=') + 1);
  if (said.contains("READY")) ready_ = true;
  if (said.contains("RELOADING") && said.contains("MONOTONIC_USEC")) ++reloading_;
  if (said.contains("STATUS")) status_ = said["STATUS"];
  if (said.contains("FDSTORE")) kept_[said["FDNAME"]] = std::move(fd);
  if (said.contains("FDSTOREREMOVE")) kept_.erase(said["FDNAME"]);
}

bool ServiceManager::wait_ready(Process& daemon, Deadline deadline, bool or_settled) {
  for (; !deadline.passed(); (void)daemon.wait(Deadline::in(1ms))) {
    hear();
    std::lock_guard lock(mutex_);
    if (std::exchange(ready_, false)) return true;
    if (or_settled && status_.starts_with("not ready: ")) return true;
    if (!daemon.running()) return false;
  }
  return false;
}

std::map<std::string, int> ServiceManager::kept() {
  hear();
  std::lock_guard lock(mutex_);
  std::map<std::string, int> numbers;
  for (const auto& [name, fd] : kept_) numbers[name] = fd.get();
  return numbers;
}

void ServiceManager::forget() {
  hear();
  std::lock_guard lock(mutex_);
  kept_.clear();
}

int ServiceManager::reloading() {
  hear();
  std::lock_guard lock(mutex_);
  return reloading_;
}

std::string ServiceManager::status() {
  hear();
  std::lock_guard lock(mutex_);
  return status_;
}

}  // namespace tv::test
