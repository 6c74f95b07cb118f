#include "tests/crash/stepper.h"

#include <sched.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/crash/instruction.h"
#include "tests/crash/sleeper.h"

// x86-64: a breakpoint is the byte 0xcc, after which the process stands one byte further.
extern "C" void tv_test_operation_is_over();
asm(R"(
.text
.globl tv_test_operation_is_over
.type tv_test_operation_is_over, @function
tv_test_operation_is_over:
  jmp tv_test_operation_is_over
.size tv_test_operation_is_over, .-tv_test_operation_is_over
)");

namespace tv::test {
namespace {

constexpr int kNoPtrace = 77;  // exit status: ctest takes it as skipped
constexpr std::uint64_t kTrapByte = 0xcc;
// A breakpoint costs as much as this many single steps: it is written, met, taken out and stepped over.
constexpr std::size_t kBreakpointSteps = 4;

[[noreturn]] void no_ptrace(const char* what) {
  std::fprintf(stderr, "crash: %s: %s; processes under test are single-stepped, which needs ptrace\n", what, std::strerror(errno));
  std::exit(kNoPtrace);
}

std::uint64_t peek_user(pid_t pid, std::size_t offset) {
  errno = 0;
  long value = ::ptrace(PTRACE_PEEKUSER, pid, offset, nullptr);
  return errno == 0 ? static_cast<std::uint64_t>(value) : 0;
}

std::uint64_t peek_text(pid_t pid, std::uint64_t address) {
  return static_cast<std::uint64_t>(::ptrace(PTRACE_PEEKTEXT, pid, address, nullptr));
}

// In the page of functions that the kernel gives to every process (the clock's): no breakpoints there.
bool is_kernels(std::uint64_t address) {
  static const std::uint64_t begin = ::getauxval(AT_SYSINFO_EHDR);
  return begin != 0 && address >= begin && address < begin + 4 * 4096;
}

// While it lives, the process stops with SIGTRAP behind the address.
class Breakpoint {
 public:
  Breakpoint(pid_t pid, std::uint64_t address) : pid_(pid), address_(address), text_(peek_text(pid, address)) {
    set_ = ::ptrace(PTRACE_POKETEXT, pid_, address_, (text_ & ~std::uint64_t{0xff}) | kTrapByte) == 0;
  }
  ~Breakpoint() {
    if (set_) ::ptrace(PTRACE_POKETEXT, pid_, address_, text_);
  }
  explicit operator bool() const { return set_; }

 private:
  pid_t pid_;
  std::uint64_t address_, text_;
  bool set_;
};

const auto kEnd = reinterpret_cast<std::uint64_t>(&tv_test_operation_is_over);

}  // namespace

void begin_stepping() { asm volatile("int3" ::: "memory"); }

void finish_stepping() {
  tv_test_operation_is_over();
  __builtin_unreachable();
}

Stepper::Stepper(std::span<const std::byte> shared, const std::function<void()>& child) : shared_(shared) {
  pid_ = ::fork();
  if (pid_ < 0) no_ptrace("fork");
  if (pid_ > 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) no_ptrace("PTRACE_TRACEME");
  child();
  finish_stepping();
}

Stepper::~Stepper() { kill(); }

void Stepper::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, __WALL) == pid_ && !WIFEXITED(status) && !WIFSIGNALED(status)) {
  }
  pid_ = -1;
}

bool Stepper::asleep() const {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/stat", pid_);
  return sleeps(path);
}

Stepper::At Stepper::wait_for_stop(bool may_sleep) {
  int status = 0;
  for (int looks = 0;; ++looks) {
    pid_t changed = ::waitpid(pid_, &status, __WALL | (may_sleep ? WNOHANG : 0));
    if (changed == pid_) break;
    if (changed < 0 && errno != EINTR) {
      why_not_ = "it cannot be waited for";
      return At::kGone;
    }
    // The look after it is asleep: it may have been on its way out of a short sleep.
    if (may_sleep && looks > 20 && asleep()) return At::kAsleep;
    if (may_sleep) ::sched_yield();
  }
  if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP) return At::kNext;
  if (WIFSTOPPED(status)) why_not_ = "it met signal " + std::to_string(WSTOPSIG(status));
  if (WIFSIGNALED(status)) why_not_ = "it was killed by signal " + std::to_string(WTERMSIG(status));
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNoPtrace) std::exit(kNoPtrace);
  if (WIFEXITED(status)) why_not_ = "it exited with " + std::to_string(WEXITSTATUS(status));
  if (!WIFSTOPPED(status)) pid_ = -1;
  return At::kGone;
}

bool Stepper::run_to_mark() {
  // A process that asked to be traced runs by itself to its first trap.
  if (running_ && ::ptrace(PTRACE_CONT, pid_, nullptr, nullptr) != 0) return false;
  running_ = true;
  At at = wait_for_stop(false);
  if (at == At::kNext && set_options_) {
    ::ptrace(PTRACE_SETOPTIONS, pid_, nullptr, PTRACE_O_EXITKILL);
    set_options_ = false;
  }
  return at == At::kNext;
}

Stepper::At Stepper::step() {
  std::uint64_t bytes = instruction();
  unsigned repeated = repeated_store_bytes(bytes);
  if (repeated > 0 && !in_shared(peek_user(pid_, offsetof(user_regs_struct, rdi)))) return run_until(address() + repeated);
  if (::ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr) != 0) return At::kGone;
  At at = wait_for_stop(is_system_call(bytes));
  return at == At::kNext && is_kernels(address()) ? leave_kernels_page() : at;
}

// The clock functions begin again when the clock has ticked meanwhile, which it always has at this pace.
Stepper::At Stepper::leave_kernels_page() { return run_until(peek_text(pid_, peek_user(pid_, offsetof(user_regs_struct, rsp)))); }

Stepper::At Stepper::run_until(std::uint64_t there) {
  {
    Breakpoint breakpoint(pid_, there);
    if (!breakpoint || ::ptrace(PTRACE_CONT, pid_, nullptr, nullptr) != 0) return At::kGone;
    if (At at = wait_for_stop(false); at != At::kNext) return at;
  }
  ::ptrace(PTRACE_POKEUSER, pid_, offsetof(user_regs_struct, rip), there);
  return At::kNext;
}

bool Stepper::in_shared(std::uint64_t address) const {
  auto begin = reinterpret_cast<std::uint64_t>(shared_.data());
  return address >= begin && address < begin + shared_.size();
}

Stepper::At Stepper::finish_step() { return wait_for_stop(false); }

std::uint64_t Stepper::address() const { return peek_user(pid_, offsetof(user_regs_struct, rip)); }

std::uint64_t Stepper::instruction() const { return peek_text(pid_, address()); }

bool Stepper::at_system_call(long number) const {
  return is_system_call(instruction()) && peek_user(pid_, offsetof(user_regs_struct, rax)) == static_cast<std::uint64_t>(number);
}

bool Stepper::is_over() const { return address() == kEnd; }

// Lets the process run until it arrives at the point for the point's number of times, which are counted from where it stands now.
Stepper::At Stepper::run_to(const Waypoint& point) {
  // Standing on it is the first arrival.
  std::uint32_t left = point.arrival - (address() == point.address ? 1 : 0);
  for (; left > 0; --left) {
    if (address() == point.address)
      if (At at = step(); at != At::kNext) return at;
    {
      Breakpoint there(pid_, point.address), end(pid_, kEnd);
      if (!there || !end) return At::kAstray;
      if (::ptrace(PTRACE_CONT, pid_, nullptr, nullptr) != 0) return At::kGone;
      if (At at = wait_for_stop(true); at != At::kNext) return at == At::kAsleep ? At::kAstray : at;
    }
    std::uint64_t met = address() - 1;
    ::ptrace(PTRACE_POKEUSER, pid_, offsetof(user_regs_struct, rip), met);
    if (met != point.address) return At::kAstray;
  }
  return At::kNext;
}

Stepper::At Stepper::go_to(const Route& route, std::size_t k, bool step_all_the_way) {
  // The cheapest way: to an earlier point of the route by breakpoint, then step by step.
  std::size_t anchor = 0;
  std::size_t cost = k;
  for (std::size_t j = k + 1; !step_all_the_way && j-- > 1;) {
    if (k - j >= cost) break;
    std::size_t by_way_of_j = kBreakpointSteps * route[j].arrival + (k - j);
    if (by_way_of_j < cost) {
      cost = by_way_of_j;
      anchor = j;
    }
  }
  if (anchor > 0)
    if (At at = run_to(route[anchor]); at != At::kNext) return at;
  for (std::size_t j = anchor; j < k; ++j)
    if (At at = step(); at != At::kNext) return at;
  return step_all_the_way || address() == route[k].address ? At::kNext : At::kAstray;
}

void RouteRecorder::add(const Stepper& stepper) {
  std::uint64_t address = stepper.address();
  auto& arrivals = arrivals_[address];
  route_.push_back({address, ++arrivals});
}

}  // namespace tv::test
