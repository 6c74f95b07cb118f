#include "supervisor/output_copy.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace tv::supervisor {
namespace {

// A pipe that poll() calls writable takes so many bytes (PIPE_BUF) without a wait.
constexpr std::size_t kAtOnce = 4096;

}  // namespace

void OutputCopy::put(std::string_view bytes) {
  left_ += bytes;
  flush();
}

bool OutputCopy::flush() {
  std::size_t done = 0;
  while (done < left_.size()) {
    pollfd wait{fd_, POLLOUT, 0};
    if (::poll(&wait, 1, 0) <= 0) break;
    ssize_t n = ::write(fd_, left_.data() + done, std::min(kAtOnce, left_.size() - done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    // Nobody reads any more, or the disk is full: a log that cannot be written stops nobody.
    done = n < 0 ? left_.size() : done + static_cast<std::size_t>(n);
  }
  left_.erase(0, done);
  return left_.empty();
}

}  // namespace tv::supervisor
