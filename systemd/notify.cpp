#include "systemd/notify.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "config/clock.h"
#include "config/log.h"
#include "systemd/manager_socket.h"

namespace tv::systemd {
namespace {

// The status is one line of the manager's protocol.
std::string one_line(std::string_view text) {
  std::string line(text);
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

constexpr Nanoseconds kPatience = 2s;  // for a word that must not be lost

bool may_be_lost(const std::string& state) { return state.starts_with("STATUS="); }

void notify(const std::string& state) {
  auto socket = connect_to_manager();
  if (!socket) {
    if (socket.error().code != Errc::kNotFound) log::debug("service manager not told", {{"cause", socket.error().message}});
    return;
  }
  auto deadline = Deadline::in(may_be_lost(state) ? 0ns : kPatience);
  Sent sent;
  while ((sent = send_to_manager(socket->get(), state)) == Sent::kLater && !deadline.passed()) {
    pollfd entry{socket->get(), POLLOUT, 0};
    ::poll(&entry, 1, deadline.left_ms());
  }
  if (sent != Sent::kYes) log::debug("service manager not told", {{"cause", sent == Sent::kLater ? "it does not read" : std::strerror(errno)}});
}

}  // namespace

void notify_ready(std::string_view status) { notify("READY=1\nSTATUS=" + one_line(status)); }
void notify_status(std::string_view status) { notify("STATUS=" + one_line(status)); }
void notify_progress(std::string_view status, Nanoseconds patience) {
  notify("EXTEND_TIMEOUT_USEC=" + std::to_string(patience / 1us) + "\nSTATUS=" + one_line(status));
}

void notify_reloading() {
  // The time is how a manager tells the READY=1 of this reload from that of an earlier one (Type=notify-reload).
  notify("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(monotonic_ns() / 1000));
}

void notify_stopping(std::string_view status) { notify("STOPPING=1\nSTATUS=" + one_line(status)); }

bool stderr_is_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  if (!stream) return false;
  unsigned long long device = 0;
  unsigned long long inode = 0;
  if (std::sscanf(stream, "%llu:%llu", &device, &inode) != 2) return false;
  struct stat info {};
  return ::fstat(STDERR_FILENO, &info) == 0 && info.st_dev == device && info.st_ino == inode;
}

bool is_private_variable(std::string_view assignment) {
  constexpr std::array<std::string_view, 6> kPrivate = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
                                                        "LISTEN_FDS",    "LISTEN_PID",    "LISTEN_FDNAMES"};
  auto name = assignment.substr(0, assignment.find('='));
  return std::find(kPrivate.begin(), kPrivate.end(), name) != kPrivate.end();
}

}  // namespace tv::systemd
