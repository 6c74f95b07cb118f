// Listening sockets that the service manager made and passed to us (socket activation, sd_listen_fds(3)).
//
// One thread, before any other is started: the environment is read and cleared, so that a second call finds nothing.
#pragma once

#include <map>
#include <string>

#include "config/fd.h"

namespace tv::systemd {

// By their names (FileDescriptorName=). Non-blocking and close-on-exec. Of several with one name the first is kept, the others are closed.
std::map<std::string, Fd> take_passed_sockets();

// That `fd` is a Unix stream socket which listens on `path`. kInvalidArgument otherwise, saying how to put it right.
Result<void> check_listens_on(const Fd& fd, const std::string& path);

}  // namespace tv::systemd
