#include "worker/memory_holder.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <climits>
#include <cstddef>

#include "config/process_names.h"

namespace tv::worker {
namespace {

// Behind whatever the restarted worker needs the processor for; not so far behind that a busy machine fills with dead processes' memory.
constexpr long kNiceness = 10;
// The kernel does not let go of a processor in the middle of unmapping, whatever its niceness: the restart goes first.
constexpr std::chrono::nanoseconds kPause = std::chrono::milliseconds(25);
constexpr std::size_t kStackBytes = 4096;

// It shares the parent's thread-local storage, errno among it, so it calls no library: the kernel only.
#if defined(__x86_64__)
long kernel(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0) {
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
  return result;
}
#elif defined(__aarch64__)
long kernel(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0) {
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  asm volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
  return x0;
}
#endif

#if defined(__x86_64__) || defined(__aarch64__)

struct Holding {
  long parent;
};

alignas(16) std::byte stack[kStackBytes];
Holding holding;

int hold(void* argument) {
  const auto* what = static_cast<const Holding*>(argument);
  // Copies of the parent's: an open one would keep a peer waiting for its end.
  if (kernel(SYS_close_range, 0, UINT_MAX, 0) != 0) return 1;
  long pidfd = kernel(SYS_pidfd_open, what->parent);
  if (pidfd < 0 || kernel(SYS_getppid) != what->parent) return 1;
  kernel(SYS_setpriority, PRIO_PROCESS, 0, kNiceness);
  // Last, as a sign that all else is done.
  kernel(SYS_prctl, PR_SET_NAME, reinterpret_cast<long>(kMemoryHolderName));
  pollfd end{static_cast<int>(pidfd), POLLIN, 0};
  while (kernel(SYS_ppoll, reinterpret_cast<long>(&end), 1) == -EINTR) {
  }
  timespec pause{0, kPause.count()};
  kernel(SYS_nanosleep, reinterpret_cast<long>(&pause));
  return 0;
}

#endif

}  // namespace

Result<pid_t> start_memory_holder() {
#if defined(__x86_64__) || defined(__aarch64__)
  holding = {::getpid()};
  // It has copies of our handlers, which are not for it.
  sigset_t all, before;
  sigfillset(&all);
  if (int err = ::pthread_sigmask(SIG_SETMASK, &all, &before)) return system_error("cannot block signals", err);
  pid_t pid = ::clone(hold, stack + kStackBytes, CLONE_VM, &holding);
  int reason = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return system_error("cannot start the holder of this process's memory", reason);
  return pid;
#else
  return Error{Errc::kUnsupported, "no holder of memory on this kind of processor"};
#endif
}

}  // namespace tv::worker
