#include "tests/crash/sleeper.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace tv::test {

bool sleeps(const char* path) {
  char text[512];
  int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t n = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  if (n <= 0) return false;
  text[n] = 0;
  // The state stands behind the name, which is in parentheses and may contain some.
  const char* state = std::strrchr(text, ')');
  return state != nullptr && state[1] == ' ' && state[2] == 'S';
}

Sleeper::Sleeper(std::function<bool()> sleep)
    : thread_([this, sleep = std::move(sleep)] {
        thread_id_ = ::gettid();
        result_ = sleep() ? 1 : 0;
      }) {
  while (thread_id_ == 0) ::sched_yield();
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread_id_.load());
  while (result_ < 0 && !sleeps(path)) ::sched_yield();
}

Sleeper::~Sleeper() { thread_.join(); }

bool Sleeper::told(Deadline deadline) const {
  while (result_ < 0 && !deadline.passed()) ::usleep(50);
  return result_ == 1;
}

}  // namespace tv::test
