// A thread that sleeps as one of the driver's participants: on its doorbell, or until a reader has made room. Deaths must not leave it
// asleep.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

#include "config/clock.h"

namespace tv::test {

class Sleeper {
 public:
  // Runs `sleep`, which ends when the thread has been told of what it waits for or at a deadline of its own, and says whether it was told.
  // Returns once the thread is asleep.
  explicit Sleeper(std::function<bool()> sleep);
  ~Sleeper();  // waits for it

  // Whether it has been told, which it must be by the deadline.
  bool told(Deadline deadline) const;

 private:
  std::atomic<int> thread_id_{0};
  std::atomic<int> result_{-1};
  std::thread thread_;
};

// Whether a thread or process sleeps in a system call. `path` is that of its stat file in /proc.
bool sleeps(const char* path);

}  // namespace tv::test
