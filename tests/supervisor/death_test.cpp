#include "supervisor/death.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "supervisor/restart_policy.h"
#include "tests/support/catch.h"

using namespace tv::supervisor;

namespace {

// The cause of a real child's end.
Cause cause_of_child(const std::function<void()>& body) {
  pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    body();
    ::_exit(99);
  }
  siginfo_t info{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED) == 0);
  return cause_of(info);
}

Cause cause_of_exit(int code) {
  return cause_of_child([code] { ::_exit(code); });
}
Cause cause_of_signal(int number) {
  return cause_of_child([number] {
    ::signal(number, SIG_DFL);
    ::raise(number);
  });
}

}  // namespace

TEST_CASE("a death by signal names the signal", "[death]") {
  CHECK(cause_of_signal(SIGKILL).text == "killed by SIGKILL");
  CHECK(cause_of_signal(SIGTERM).text == "killed by SIGTERM");
  CHECK(cause_of_signal(SIGSEGV).text.starts_with("killed by SIGSEGV"));
  CHECK(cause_of_signal(SIGRTMIN + 2).text == "killed by SIGRTMIN+2");
  CHECK(cause_of_signal(SIGKILL).abnormal);
  CHECK_FALSE(cause_of_signal(SIGKILL).hopeless);
}

TEST_CASE("an exit code of a worker comes with its meaning", "[death]") {
  CHECK(cause_of_exit(70).text == "exit code 70 (actor bug)");
  CHECK(cause_of_exit(74).text == "exit code 74 (lost the supervisor)");
  CHECK(cause_of_exit(75).text == "exit code 75 (sticky device error)");
  CHECK(cause_of_exit(78).text == "exit code 78 (cannot work with this configuration)");
  CHECK(cause_of_exit(3).text == "exit code 3");
}

TEST_CASE("only exit code 0 is a normal end and only 78 is hopeless", "[death]") {
  CHECK_FALSE(cause_of_exit(0).abnormal);
  for (int code : {1, 70, 74, 75, 78}) CHECK(cause_of_exit(code).abnormal);
  for (int code : {0, 1, 70, 74, 75}) CHECK_FALSE(cause_of_exit(code).hopeless);
  CHECK(cause_of_exit(78).hopeless);
}

TEST_CASE("a signal that has no name is given by number", "[death]") {
  CHECK(signal_name(9) == "SIGKILL");
  CHECK(signal_name(SIGRTMIN) == "SIGRTMIN");
  CHECK(signal_name(1234) == "signal 1234");
}

TEST_CASE("exit code 0 of a process that nobody asked to end is explained, other ends speak for themselves", "[death]") {
  CHECK(unasked(cause_of_exit(0)).text ==
        "exit code 0: the process ended itself, though nobody had asked it to; does a plug-in call exit()?");
  CHECK_FALSE(unasked(cause_of_exit(0)).abnormal);
  CHECK(unasked(cause_of_exit(70)).text == "exit code 70 (actor bug)");
  CHECK(unasked(cause_of_signal(SIGKILL)).text == "killed by SIGKILL");
}

TEST_CASE("a hang is a cause of its own for the table of causes, and abnormal", "[death]") {
  auto cause = hung("hang: no progress for 30s");
  CHECK(cause.kind == CauseKind::kHang);
  CHECK(cause.abnormal);
  CHECK_FALSE(cause.hopeless);
  CHECK_FALSE(gives_up({}, cause));
  tv::config::Causes causes;
  causes.hang = tv::config::CauseAction::kGiveUp;
  CHECK(gives_up(causes, cause));
  causes = {};
  causes.signals[SIGKILL] = tv::config::CauseAction::kGiveUp;  // which is how it died, and not why
  CHECK_FALSE(gives_up(causes, cause));
}
