// While it lives, the calling thread takes no signals, and neither do threads that are made meanwhile, for their whole life: the loop reads
// signals from a descriptor, which only works while no thread takes them.
#pragma once

#include <pthread.h>
#include <signal.h>

namespace tv::supervisor {

class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~AllSignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace tv::supervisor
