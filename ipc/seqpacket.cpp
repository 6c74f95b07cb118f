#include "ipc/seqpacket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tv::ipc {
namespace {

constexpr timeval kConnectTimeout{5, 0};  // a listener with a full backlog that accepts nobody

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return Error{Errc::kInvalidArgument, "socket path \"" + path + "\" must have 1 to " + std::to_string(sizeof address.sun_path - 1) +
                                             " bytes; choose a shorter runtime directory"};
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Result<Fd> make_socket(int type, int flags) {
  Fd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC | flags, 0));
  if (!fd) return system_error("cannot make a socket", errno);
  return fd;
}

bool peer_is_gone(int err) { return err == EPIPE || err == ECONNRESET || err == ENOTCONN || err == ECONNREFUSED; }

Error gone() { return Error{Errc::kUnavailable, "the other side has closed the connection"}; }

// Room for the control message that carries descriptors.
struct ControlRoom {
  alignas(cmsghdr) char bytes[CMSG_SPACE(kMaxPacketFds * sizeof(int))];
};

void attach_fds(msghdr& header, ControlRoom& room, std::span<const int> fds) {
  if (fds.empty()) return;
  std::memset(room.bytes, 0, sizeof room.bytes);
  header.msg_control = room.bytes;
  header.msg_controllen = CMSG_SPACE(fds.size_bytes());
  cmsghdr* control = CMSG_FIRSTHDR(&header);
  control->cmsg_level = SOL_SOCKET;
  control->cmsg_type = SCM_RIGHTS;
  control->cmsg_len = CMSG_LEN(fds.size_bytes());
  std::memcpy(CMSG_DATA(control), fds.data(), fds.size_bytes());
}

std::vector<Fd> take_fds(msghdr& header) {
  std::vector<Fd> fds;
  for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr; control = CMSG_NXTHDR(&header, control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
    std::size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(control) + i * sizeof fd, sizeof fd);
      fds.emplace_back(fd);
    }
  }
  return fds;
}

// Receives what is there; nothing when the socket would block.
Result<std::optional<PacketIn>> try_receive(int socket) {
  std::unique_ptr<std::byte[]> buffer(new std::byte[kMaxPacketBytes]);
  iovec part{buffer.get(), kMaxPacketBytes};
  ControlRoom room;
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = room.bytes;
  header.msg_controllen = sizeof room.bytes;
  ssize_t n;
  do {
    n = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return std::optional<PacketIn>{};
    if (peer_is_gone(errno)) return gone();
    return system_error("cannot receive a packet", errno);
  }
  auto fds = take_fds(header);
  if (n == 0) return gone();
  if ((header.msg_flags & MSG_TRUNC) != 0)
    return Error{Errc::kProtocol, "a packet is larger than " + std::to_string(kMaxPacketBytes) + " bytes"};
  if ((header.msg_flags & MSG_CTRUNC) != 0)
    return Error{Errc::kProtocol, "a packet carries more than " + std::to_string(kMaxPacketFds) +
                                      " descriptors, or this process may open no more"};
  auto message = Message::parse({buffer.get(), static_cast<std::size_t>(n)}, kMaxPacketBytes);
  if (!message) return message.error();
  return std::optional<PacketIn>(PacketIn{std::move(*message), std::move(fds)});
}

}  // namespace

Result<std::pair<Fd, Fd>> seqpacket_pair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) return system_error("cannot make a pair of sockets", errno);
  return std::pair<Fd, Fd>(Fd(fds[0]), Fd(fds[1]));
}

Result<Fd> listen_on(const std::string& path, int type, int backlog, unsigned mode) {
  sockaddr_un address = TV_TRY(address_of(path));
  Fd fd = TV_TRY(make_socket(type, SOCK_NONBLOCK));
  // The file is born with the socket's own mode: there is no moment at which others could connect.
  if (::fchmod(fd.get(), mode) != 0) return system_error("cannot restrict socket " + path, errno);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return system_error("cannot bind socket " + path, errno);
  if (mode != 0600 && ::chmod(path.c_str(), mode) != 0) return system_error("cannot open socket to others " + path, errno);  // the umask was in between
  if (::listen(fd.get(), backlog) != 0) return system_error("cannot listen on socket " + path, errno);
  return fd;
}

Result<Fd> seqpacket_connect(const std::string& path) {
  sockaddr_un address = TV_TRY(address_of(path));
  Fd fd = TV_TRY(make_socket(SOCK_SEQPACKET, 0));
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kConnectTimeout, sizeof kConnectTimeout) != 0)
    return system_error("cannot bound the time to connect", errno);
  int rc;
  do {
    rc = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  } while (rc != 0 && errno == EINTR);
  if (rc != 0) {
    if (errno == ENOENT || errno == ECONNREFUSED) return Error{Errc::kUnavailable, "nobody listens on " + path};
    if (errno == EACCES) return Error{Errc::kPermission, "no permission to connect to " + path};
    return system_error("cannot connect to " + path, errno);
  }
  return fd;
}

Result<PeerCredentials> peer_credentials(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return system_error("cannot see who is connected", errno);
  return PeerCredentials{peer.pid, peer.uid, peer.gid};
}

std::vector<unsigned> peer_groups(int socket) {
  std::vector<unsigned> groups(64);
  for (int i = 0; i < 2; ++i) {
    socklen_t bytes = static_cast<socklen_t>(groups.size() * sizeof(unsigned));
    int rc = ::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &bytes);
    if (rc != 0 && errno != ERANGE) break;
    groups.resize(bytes / sizeof(unsigned));  // with ERANGE: as many as there are
    if (rc == 0) return groups;
  }
  return {};
}

Result<void> send_packet(int socket, capnp::MessageBuilder& message, std::span<const int> fds) {
  if (fds.size() > kMaxPacketFds) return Error{Errc::kLimit, "more than " + std::to_string(kMaxPacketFds) + " descriptors in a packet"};
  auto bytes = serialize(message);
  if (bytes.size() > kMaxPacketBytes)
    return Error{Errc::kLimit, "a packet of " + std::to_string(bytes.size()) + " bytes, where at most " + std::to_string(kMaxPacketBytes) +
                                   " travel"};
  iovec part{bytes.data(), bytes.size()};
  ControlRoom room;
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  attach_fds(header, room, fds);
  ssize_t n;
  do {
    n = ::sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  if (n >= 0) return {};
  if (peer_is_gone(errno)) return gone();
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
    return Error{Errc::kOverloaded, "the other side does not read its socket"};
  return system_error("cannot send a packet", errno);
}

Result<PacketIn> receive_packet(int socket, Deadline deadline) {
  for (;;) {
    auto packet = TV_TRY(try_receive(socket));
    if (packet) return std::move(*packet);
    bool readable = TV_TRY(wait_readable(socket, deadline));
    if (!readable) return Error{Errc::kDeadlineExceeded, "no packet came in time"};
  }
}

}  // namespace tv::ipc
