// The service manager's socket ($NOTIFY_SOCKET, sd_notify(3)), for words with and without a descriptor. Nobody ever waits here for a manager that does
// not listen, as sd_notify() itself would.
#pragma once

#include <string>

#include "config/fd.h"

namespace tv::systemd {

// Non-blocking. kNotFound where no manager is named.
Result<Fd> connect_to_manager();

enum class Sent {
  kYes,
  kLater,  // its queue is full
  kNever,  // nobody listens; errno says why
};
// `fd` -1: none goes along.
Sent send_to_manager(int socket, const std::string& text, int fd = -1);

}  // namespace tv::systemd
