// Listening sockets that were passed to us (fd_store.h has how).
#pragma once

#include <string>

#include "config/fd.h"

namespace tv::systemd {

// That `fd` is a Unix socket of this type (SOCK_STREAM, SOCK_SEQPACKET) which listens on `path`. kInvalidArgument otherwise, saying how to put it
// right.
Result<void> check_listens_on(const Fd& fd, const std::string& path, int type);

}  // namespace tv::systemd
