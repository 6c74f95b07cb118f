#include "systemd/sockets.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include <cstdlib>
#include <cstring>
#include <memory>

#include "config/log.h"

namespace tv::systemd {
namespace {

// What sd_listen_fds_with_names() allocates: an array that ends with a null pointer.
struct NamesFree {
  void operator()(char** names) const {
    for (char** name = names; *name; ++name) std::free(*name);
    std::free(names);
  }
};

}  // namespace

std::map<std::string, Fd> take_passed_sockets() {
  std::map<std::string, Fd> sockets;
  char** raw = nullptr;
  int count = sd_listen_fds_with_names(1, &raw);
  if (count < 0) log::warning("passed sockets not taken", {{"cause", system_error("sd_listen_fds", -count).message}});
  if (count <= 0) return sockets;
  std::unique_ptr<char*, NamesFree> names(raw);
  for (int i = 0; i < count; ++i) {
    Fd fd(SD_LISTEN_FDS_START + i);
    if (::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK) != 0) continue;
    sockets.emplace(names.get()[i], std::move(fd));
  }
  return sockets;
}

Result<void> check_listens_on(const Fd& fd, const std::string& path) {
  if (sd_is_socket_unix(fd.get(), SOCK_STREAM, 1, path.c_str(), path.size()) > 0) return {};
  return Error{Errc::kInvalidArgument, "the socket that the service manager passed does not listen on " + path + "; write ListenStream=" +
                                           path + " into the .socket unit, or set the runtime directory that it names"};
}

}  // namespace tv::systemd
