#include "worker/memory_holder.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <functional>
#include <string>

#include "config/fd.h"
#include "config/process_names.h"
#include "tests/support/catch.h"

namespace tv::test {
namespace {

constexpr Nanoseconds kPatience = 30s;

struct Pipe {
  Fd read_end, write_end;
  Pipe() {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    read_end = Fd(ends[0]);
    write_end = Fd(ends[1]);
  }
};

std::string name_of(pid_t pid) {
  std::string name;
  std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/comm"), name);
  return name;
}

// A child of one thread that has a holder; what it does then is `after`, and its exit code.
struct Held {
  Pipe report;
  pid_t pid;
  pid_t holder = 0;

  explicit Held(const std::function<int(pid_t holder)>& after) {
    // So that the holder comes to us, as it comes to the supervisor.
    REQUIRE(::prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      report.read_end.reset();
      auto started = worker::start_memory_holder();
      pid_t number = started ? *started : -1;
      while (number > 0 && name_of(number) != kMemoryHolderName) ::sched_yield();
      if (::write(report.write_end.get(), &number, sizeof number) != sizeof number) ::_exit(98);
      ::_exit(number > 0 ? after(number) : 99);
    }
    report.write_end.reset();
    REQUIRE(::read(report.read_end.get(), &holder, sizeof holder) == sizeof holder);
    REQUIRE(holder > 0);
  }
  ~Held() {
    ::kill(pid, SIGKILL);
    if (holder > 0) ::kill(holder, SIGKILL);
    while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
    }
  }

  int wait() {
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    return status;
  }
  // The holder goes by itself and is reaped by us.
  int wait_holder() {
    int status = 0;
    REQUIRE(::waitpid(holder, &status, 0) == holder);
    return status;
  }
};

int pause_for_ever(pid_t) {
  for (;;) ::pause();
}

}  // namespace

TEST_CASE("the holder of a process's memory ends after the process does, killed or not", "[memory_holder]") {
  SECTION("killed") {
    Held held(pause_for_ever);
    REQUIRE(::kill(held.pid, SIGKILL) == 0);
    int status = held.wait();
    CHECK(WIFSIGNALED(status));
    CHECK(held.wait_holder() == 0);
  }
  SECTION("at its own exit") {
    Held held([](pid_t) { return 7; });
    CHECK(WEXITSTATUS(held.wait()) == 7);
    CHECK(held.wait_holder() == 0);
  }
}

TEST_CASE("a process with a holder closes its files at its end, whether or not the holder has ended", "[memory_holder]") {
  Held held(pause_for_ever);
  REQUIRE(::kill(held.holder, SIGSTOP) == 0);  // blocked signals do not hinder this one
  REQUIRE(::kill(held.pid, SIGKILL) == 0);
  held.wait();
  // The only write end was its own.
  auto readable = wait_readable(held.report.read_end.get(), Deadline::in(kPatience));
  REQUIRE(readable);
  CHECK(*readable);
  char byte;
  CHECK(::read(held.report.read_end.get(), &byte, 1) == 0);
  REQUIRE(::kill(held.holder, SIGCONT) == 0);
  CHECK(held.wait_holder() == 0);
}

TEST_CASE("a process that waits for any child of its does not see the holder", "[memory_holder]") {
  Held held([](pid_t) { return ::wait(nullptr) == -1 && errno == ECHILD ? 0 : 1; });
  CHECK(WEXITSTATUS(held.wait()) == 0);
}

TEST_CASE("a process whose holder is killed goes on", "[memory_holder]") {
  Held held([](pid_t holder) {
    if (::kill(holder, SIGKILL) != 0) return 1;
    return ::waitpid(holder, nullptr, __WCLONE) == holder ? 0 : 2;
  });
  CHECK(WEXITSTATUS(held.wait()) == 0);
}

TEST_CASE("signals to the whole group do not reach the holder of a process's memory", "[memory_holder]") {
  Held held([](pid_t holder) {
    ::signal(SIGTERM, SIG_IGN);
    ::signal(SIGINT, SIG_IGN);
    if (::kill(holder, SIGTERM) != 0 || ::kill(holder, SIGINT) != 0) return 1;
    // What it would have died of it has died of before this stop is reported.
    if (::kill(holder, SIGSTOP) != 0) return 2;
    int status = 0;
    if (::waitpid(holder, &status, __WCLONE | WUNTRACED) != holder || !WIFSTOPPED(status)) return 3;
    return ::kill(holder, SIGCONT) == 0 ? 0 : 4;
  });
  CHECK(WEXITSTATUS(held.wait()) == 0);
}

}  // namespace tv::test
