#include "tests/support/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <sstream>
#include <stdexcept>

namespace tv::test {

ServiceManager::ServiceManager(std::string socket_path) : path_(std::move(socket_path)), socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
  if (::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) throw std::runtime_error("cannot bind " + path_);
}

bool ServiceManager::hear(Deadline deadline) {
  bool any = false;
  for (;;) {
    auto readable = wait_readable(socket_.get(), any ? Deadline::at(0) : deadline);
    if (!readable || !*readable) return any;
    any = true;
    char text[4096];
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    iovec part{text, sizeof text};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t n = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
    if (n < 0) return any;
    Fd fd;
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header))
      if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
        int number;
        std::memcpy(&number, CMSG_DATA(header), sizeof number);
        fd = Fd(number);
      }
    std::map<std::string, std::string> said;
    std::istringstream lines(std::string(text, static_cast<std::size_t>(n)));
    for (std::string line; std::getline(lines, line);) said[line.substr(0, line.find('='))] = line.substr(line.find('=') + 1);
    if (said.contains("READY")) ready_ = true;
    if (said.contains("STATUS")) status_ = said["STATUS"];
    if (said.contains("FDSTORE")) kept_[said["FDNAME"]] = std::move(fd);
    if (said.contains("FDSTOREREMOVE")) kept_.erase(said["FDNAME"]);
  }
}

bool ServiceManager::wait_ready(Process& daemon, Deadline deadline) {
  ready_ = false;
  while (!ready_ && !deadline.passed()) {
    (void)hear(Deadline{std::min(deadline.ns, Deadline::in(200ms).ns)});
    if (!ready_ && !daemon.running()) return false;
  }
  return ready_;
}

std::map<std::string, int> ServiceManager::kept() const {
  std::map<std::string, int> numbers;
  for (const auto& [name, fd] : kept_) numbers[name] = fd.get();
  return numbers;
}

}  // namespace tv::test
