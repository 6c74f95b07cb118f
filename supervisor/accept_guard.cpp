// accept() and accept4() of the whole process tensorvisord, in front of libc's. Linked into the program itself.
//
// libzmq 4.3 aborts its process when accept() says EMFILE (src/ipc_listener.cpp asserts a list of errors that lacks it), so that anybody who may
// connect could end the supervisor with idle connections. Here no caller ever sees EMFILE: the connection is taken with a descriptor
// that is kept for this, closed at once, and reported as ECONNABORTED, which every caller knows. Without the reserve it is ENFILE,
// which libzmq knows, too.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "config/clock.h"
#include "config/log.h"

namespace {

constexpr std::int64_t kLogIntervalNs = 10'000'000'000;

int open_reserve() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

std::atomic<int> reserve{open_reserve()};
std::atomic<std::int64_t> logged_ns{0};

void log_now_and_then() {
  std::int64_t now = tv::monotonic_ns();
  std::int64_t before = logged_ns.load();
  if ((before != 0 && now - before < kLogIntervalNs) || !logged_ns.compare_exchange_strong(before, now)) return;
  tv::log::error("connection turned away", {{"cause", "no file descriptor is left; raise the limit of open files (ulimit -n, LimitNOFILE=)"}});
}

int shed(int listener) {
  int spare = reserve.exchange(-1);
  if (spare < 0) {
    errno = ENFILE;
    return -1;
  }
  ::close(spare);
  long taken = ::syscall(SYS_accept4, listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (taken >= 0) ::close(static_cast<int>(taken));
  reserve.store(open_reserve());
  log_now_and_then();
  errno = ECONNABORTED;
  return -1;
}

}  // namespace

extern "C" int accept4(int listener, sockaddr* address, socklen_t* length, int flags) {
  if (reserve.load(std::memory_order_relaxed) < 0) reserve.store(open_reserve());
  long accepted = ::syscall(SYS_accept4, listener, address, length, flags);
  if (accepted >= 0 || errno != EMFILE) return static_cast<int>(accepted);
  return shed(listener);
}

extern "C" int accept(int listener, sockaddr* address, socklen_t* length) { return accept4(listener, address, length, 0); }
