#include "worker/fault.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "shm/heartbeat.h"

namespace tv::worker {

void hang() {
  for (;;) ::pause();
}

void wait_with_beats(Nanoseconds delay) {
  constexpr Nanoseconds kStep = 20ms;
  for (auto deadline = Deadline::in(delay); !deadline.passed();) {
    shm::beat();
    auto step = std::min(kStep, deadline.left());
    timespec pause{0, step.count()};
    ::nanosleep(&pause, nullptr);
  }
}

}  // namespace tv::worker
