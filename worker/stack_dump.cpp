#include "worker/stack_dump.h"

#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "worker/symbols.h"

namespace tv::worker {
namespace {

constexpr std::array kCrashes = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
constexpr int kMostFrames = 64;
constexpr int kMostThreads = 256;
constexpr int kThreadPatienceMs = 100;
constexpr int kPatienceMs = 2000;  // for all threads together; the supervisor's grace is longer

// Of the thread that calls dump_stacks_on_crash(): unwinding and names take more than the 64 KiB that fault notes are content with.
alignas(64) std::byte signal_stack[std::size_t{256} << 10];
std::array<struct sigaction, kCrashes.size()> before;
char name[256];
std::atomic<bool> dumping{false};

struct Stack {
  void* frames[kMostFrames];
  int count = 0;
};
// Of the thread that is being asked.
Stack asked_stack;
std::atomic<int> asked_thread{0};  // its number; 0: nobody is asked
std::atomic<int> answered{0};      // the number of the thread whose stack is whole

int asking_signal() { return SIGRTMAX - 3; }
int this_thread() { return static_cast<int>(::syscall(SYS_gettid)); }

void write_line(FixedText& line) {
  line << "\n";
  const char* at = line.c_str();
  for (std::size_t left = line.size(); left > 0;) {
    ssize_t n = ::write(STDERR_FILENO, at, left);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    at += n;
    left -= static_cast<std::size_t>(n);
  }
}

std::uintptr_t interrupted_at(const void* context) {
  const auto* machine = &static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return static_cast<std::uintptr_t>(machine->gregs[REG_RIP]);
#elif defined(__aarch64__)
  return machine->pc;
#else
  return 0;
#endif
}

// From where the signal came upon it.
void take_stack(Stack& stack, const void* context) {
  void* all[kMostFrames];
  int count = ::backtrace(all, kMostFrames);
  auto pc = interrupted_at(context);
  int first = 0;
  for (int i = 0; i < count; ++i)
    if (reinterpret_cast<std::uintptr_t>(all[i]) == pc) first = i;
  stack.count = count - first;
  std::memcpy(stack.frames, all + first, static_cast<std::size_t>(stack.count) * sizeof(void*));
}

void write_stack(const Stack& stack) {
  for (int i = 0; i < stack.count; ++i) {
    FixedText line;
    (line << "    #").number(static_cast<std::uint64_t>(i)) << " ";
    // A return address is behind the call, perhaps already in the next function.
    auto address = reinterpret_cast<std::uintptr_t>(stack.frames[i]);
    write_symbol(i == 0 ? address : address - 1, line);
    write_line(line);
  }
}

std::size_t read_file(const char* path, char* into, std::size_t room) {
  int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : ::read(fd, into, room - 1);
  if (fd >= 0) ::close(fd);
  std::size_t size = n > 0 ? static_cast<std::size_t>(n) : 0;
  into[size] = 0;
  return size;
}

void thread_file(int thread, const char* file, char* into, std::size_t room) {
  FixedText path;
  (path << "/proc/self/task/").number(static_cast<std::uint64_t>(thread)) << "/" << file;
  std::size_t size = read_file(path.c_str(), into, room);
  if (size > 0 && into[size - 1] == '\n') into[size - 1] = 0;
}

// Such as ZeroMQ's own threads do.
bool blocks(int thread, int signal) {
  char status[4096];
  thread_file(thread, "status", status, sizeof status);
  const char* at = std::strstr(status, "SigBlk:\t");
  if (!at) return false;
  std::uint64_t mask = 0;
  for (at += 8; (*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'f'); ++at)
    mask = mask * 16 + static_cast<std::uint64_t>(*at <= '9' ? *at - '0' : *at - 'a' + 10);
  return (mask >> (signal - 1)) & 1;
}

void on_asked(int, siginfo_t* info, void* context) {
  int self = this_thread();
  if (info->si_code != SI_TKILL || asked_thread.load(std::memory_order_acquire) != self) return;
  int saved = errno;
  take_stack(asked_stack, context);
  answered.store(self, std::memory_order_release);
  errno = saved;
}

bool ask(int thread, int& patience_ms) {
  asked_thread.store(thread, std::memory_order_release);
  if (::syscall(SYS_tgkill, ::getpid(), thread, asking_signal()) != 0) return false;
  for (int ms = 0; ms < kThreadPatienceMs && patience_ms > 0; ++ms, --patience_ms) {
    if (answered.load(std::memory_order_acquire) == thread) return true;
    timespec moment{0, 1'000'000};
    ::nanosleep(&moment, nullptr);
  }
  return answered.load(std::memory_order_acquire) == thread;
}

void write_thread_line(int thread, const char* remark) {
  char comm[64];
  thread_file(thread, "comm", comm, sizeof comm);
  FixedText line;
  (line << "  thread ").number(static_cast<std::uint64_t>(thread)) << " \"" << comm << "\"" << remark;
  write_line(line);
}

void write_other_thread(int thread, int& patience_ms) {
  bool deaf = blocks(thread, asking_signal());
  if (!deaf && ask(thread, patience_ms)) {
    write_thread_line(thread, "");
    return write_stack(asked_stack);
  }
  char where[128];
  thread_file(thread, "wchan", where, sizeof where);
  FixedText remark;
  remark << (deaf ? ": it blocks signals" : ": it does not answer") << "; in the kernel at " << (where[0] && where[0] != '0' ? where : "-");
  write_thread_line(thread, remark.c_str());
}

struct Entry {  // linux_dirent64, which no header has
  std::uint64_t inode;
  std::int64_t offset;
  std::uint16_t length;
  std::uint8_t type;
  char name[1];
};

int list_threads(int* threads, int most) {
  int fd = ::open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return 0;
  int count = 0;
  alignas(8) char buffer[2048];
  for (long n; (n = ::syscall(SYS_getdents64, fd, buffer, sizeof buffer)) > 0;) {
    for (long at = 0; at < n;) {
      const auto* entry = reinterpret_cast<const Entry*>(buffer + at);
      int number = 0;
      const char* c = buffer + at + offsetof(Entry, name);
      for (; *c >= '0' && *c <= '9'; ++c) number = number * 10 + (*c - '0');
      if (number > 0 && count < most) threads[count++] = number;
      at += entry->length;
    }
  }
  ::close(fd);
  return count;
}

void dump(int signal, bool all, const void* context) {
  FixedText head;
  (head << "stacks of worker \"" << name << "\", pid ").number(static_cast<std::uint64_t>(::getpid()))
      << ", upon SIG" << (::sigabbrev_np(signal) ?: "?");
  write_line(head);
  int self = this_thread();
  static Stack own;
  take_stack(own, context);
  write_thread_line(self, "");
  write_stack(own);
  if (all) {
    static int threads[kMostThreads];
    int count = list_threads(threads, kMostThreads);
    int patience_ms = kPatienceMs;
    for (int i = 0; i < count; ++i)
      if (threads[i] != self) write_other_thread(threads[i], patience_ms);
  }
  FixedText end;
  end << "end of stacks";
  write_line(end);
}

std::size_t place_of(int signal) {
  for (std::size_t i = 0; i < kCrashes.size(); ++i)
    if (kCrashes[i] == signal) return i;
  return 0;
}

// As fault notes do (shm/fault_note.cpp): returning runs the instruction again, under what was there before.
void hand_on(int signal, siginfo_t* info, void* context) {
  const struct sigaction& previous = before[place_of(signal)];
  if ((previous.sa_flags & SA_SIGINFO) != 0) return previous.sa_sigaction(signal, info, context);
  if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) return previous.sa_handler(signal);
  ::signal(signal, SIG_DFL);
  if (info->si_code <= 0) (void)::raise(signal);
}

void on_crash(int signal, siginfo_t* info, void* context) {
  // A crash of this handler, or of another thread meanwhile, is not told of.
  if (!dumping.exchange(true)) {
    bool from_outside = info->si_code <= 0 && info->si_pid != ::getpid();
    dump(signal, from_outside, context);
  }
  hand_on(signal, info, context);
}

void give_signal_stack() {
  stack_t present{};
  if (::sigaltstack(nullptr, &present) != 0 || (present.ss_flags & SS_DISABLE) == 0) return;
  stack_t stack{};
  stack.ss_sp = signal_stack;
  stack.ss_size = sizeof signal_stack;
  (void)::sigaltstack(&stack, nullptr);
}

}  // namespace

void prepare_stack_dumps() {
  void* frame = nullptr;
  (void)::backtrace(&frame, 1);  // the first call loads a library
}

void dump_stacks_on_crash(const std::string& who) {
  prepare_stack_dumps();
  std::strncpy(name, who.c_str(), sizeof name - 1);
  give_signal_stack();
  struct sigaction action {};
  ::sigemptyset(&action.sa_mask);
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  action.sa_sigaction = on_asked;
  (void)::sigaction(asking_signal(), &action, nullptr);
  action.sa_sigaction = on_crash;
  for (std::size_t i = 0; i < kCrashes.size(); ++i) (void)::sigaction(kCrashes[i], &action, &before[i]);
}

}  // namespace tv::worker
