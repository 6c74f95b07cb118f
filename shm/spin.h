// SpinPolicy: how long a receiver looks before it sleeps. Waking a sleeper on another core costs tens of microseconds, so under steady
// traffic looking is cheaper; when nothing comes it is a waste. Learns from how long recent waits lasted. Pure but for of_this_process();
// one thread.
#pragma once

#include "config/clock.h"

namespace tv::shm {

class SpinPolicy {
 public:
  // Never spins on a machine with one processor: whoever we wait for could not run meanwhile.
  static SpinPolicy of_this_process();
  explicit SpinPolicy(bool may_spin) : may_spin_(may_spin) {}

  // For the next wait: 0, or up to twice the gap between messages.
  Nanoseconds budget() const { return budget_; }
  // A wait under this budget has ended after `span`; because somebody rang, or at its deadline.
  void waited(Nanoseconds span, bool rang);

 private:
  void hit(Nanoseconds span);
  void miss(Nanoseconds span);
  void give_up();

  bool may_spin_;
  Nanoseconds budget_{0};
  Nanoseconds gap_{0};  // between messages: moving average while spinning
  int hits_ = 0;        // in a row
  int rest_ = 0;        // short waits to let pass before spinning is tried again
  int penalty_ = 1;     // the next rest: doubles with each trial that was in vain
};

}  // namespace tv::shm
