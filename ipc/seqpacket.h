// Unix seqpacket sockets: a message a packet, with file descriptors beside it.
#pragma once

#include <capnp/message.h>

#include <string>
#include <utility>
#include <vector>

#include "config/clock.h"
#include "config/fd.h"
#include "ipc/message.h"

namespace tv::ipc {

inline constexpr std::size_t kMaxPacketBytes = std::size_t{128} << 10;  // what a default socket buffer takes
inline constexpr std::size_t kMaxPacketFds = 4;

Result<std::pair<Fd, Fd>> seqpacket_pair();                    // close-on-exec, blocking
// Of type SOCK_SEQPACKET or SOCK_STREAM; `mode` of the socket's file; non-blocking.
Result<Fd> listen_on(const std::string& path, int type, int backlog, unsigned mode = 0600);
Result<Fd> seqpacket_connect(const std::string& path);

struct PeerCredentials {
  int pid;
  unsigned uid;
  unsigned gid;
};
Result<PeerCredentials> peer_credentials(int socket);  // as they were when it connected
// Its supplementary groups, as they were then; empty where the kernel does not tell (before 4.13).
std::vector<unsigned> peer_groups(int socket);

// Sends one packet; kUnavailable when the peer is gone, kOverloaded when it does not read.
Result<void> send_packet(int socket, capnp::MessageBuilder& message, std::span<const int> fds = {});

struct PacketIn {
  Message message;
  std::vector<Fd> fds;
};
// One packet, by the deadline. kUnavailable when the peer has closed; kProtocol for a truncated or malformed one (its descriptors are
// closed). The socket may be blocking or not.
Result<PacketIn> receive_packet(int socket, Deadline deadline);

}  // namespace tv::ipc
