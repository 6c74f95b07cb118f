// How a process ended, in words: from the kernel's report to a cause for people, and for the restart policy.
#pragma once

#include <signal.h>

#include <string>

namespace tv::supervisor {

// Exit codes of workers (design.md, Names). They are part of the protocol between supervisor and worker.
inline constexpr int kExitActorBug = 70;
inline constexpr int kExitSupervisorLost = 74;
inline constexpr int kExitDeviceError = 75;
inline constexpr int kExitCannotWork = 78;

// As the table of causes ([causes]) tells them apart.
enum class CauseKind {
  kOther,          // none that the table has
  kExit,           // by itself, with a code
  kSignal,
  kOutOfMemory,    // killed by the kernel because memory ran out
  kHang,           // killed because it made no progress
  kDeviceError,    // exit code 75
  kCouldNotStart,  // a process that was not ready in time
  kStartFailed,    // an actor whose on_start failed, in a process that lives on
};

struct Cause {
  std::string text;       // "killed by SIGKILL", "exit code 70 (actor bug)"
  bool abnormal = true;   // anything but exit code 0
  bool hopeless = false;  // would happen again: not restarted (exit code 78)
  bool fault = false;     // by SIGSEGV or SIGBUS: the process may have left a note of what it touched
  CauseKind kind = CauseKind::kOther;
  int number = 0;  // exit code or signal
  bool unseen = false;  // the kernel has told its parent, which we are not
};

// `info` as waitid() fills it.
Cause cause_of(const siginfo_t& info);
Cause exited(int code);  // by itself
// Of a process that has another parent, or had one: how it ended is not known.
Cause unseen();
// Of a process that nobody had asked to end: exit code 0 says nothing by itself then.
Cause unasked(Cause cause);
// One that the supervisor knows better than the kernel: "could not start: ...".
Cause could_not_start(std::string why, bool hopeless);
// Killed by the kernel because memory ran out; `whose` goes behind that, and may be empty.
Cause out_of_memory(const std::string& whose);
// An actor's on_start failed.
Cause start_failed(std::string why);

// The watchdog's.
Cause hung(std::string why);

std::string signal_name(int number);  // "SIGKILL", "SIGRTMIN+3", "signal 99"

}  // namespace tv::supervisor
