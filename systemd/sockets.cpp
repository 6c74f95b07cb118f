#include "systemd/sockets.h"

#include <sys/socket.h>
#include <systemd/sd-daemon.h>

namespace tv::systemd {
Result<void> check_listens_on(const Fd& fd, const std::string& path, int type) {
  if (sd_is_socket_unix(fd.get(), type, 1, path.c_str(), path.size()) > 0) return {};
  return Error{Errc::kInvalidArgument, "the socket that the service manager passed does not listen on " + path + "; write ListenStream=" +
                                           path + " into the .socket unit, or set the runtime directory that it names"};
}

}  // namespace tv::systemd
