#include "systemd/manager_socket.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace tv::systemd {

// A path, or a name in the abstract namespace after '@'.
Result<Fd> connect_to_manager() {
  const char* named = std::getenv("NOTIFY_SOCKET");
  if (named == nullptr || *named == 0) return Error{Errc::kNotFound, "no service manager is named in $NOTIFY_SOCKET"};
  std::string path = named;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Error{Errc::kInvalidArgument, "$NOTIFY_SOCKET is too long"};
  std::memcpy(address.sun_path, path.data(), path.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = 0;
  auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket || ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) return system_error("$NOTIFY_SOCKET " + path, errno);
  return socket;
}

Sent send_to_manager(int socket, const std::string& text, int fd) {
  iovec part{const_cast<char*>(text.data()), text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (fd >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  ssize_t n;
  do {
    n = ::sendmsg(socket, &message, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n >= 0) return Sent::kYes;
  return errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS ? Sent::kLater : Sent::kNever;
}

}  // namespace tv::systemd
