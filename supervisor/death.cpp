#include "supervisor/death.h"

#include <cstring>

namespace tv::supervisor {
namespace {

std::string meaning_of(int code) {
  switch (code) {
    case kExitActorBug:
      return " (actor bug)";
    case kExitSupervisorLost:
      return " (lost the supervisor)";
    case kExitDeviceError:
      return " (sticky device error)";
    case kExitCannotWork:
      return " (cannot work with this configuration)";
    default:
      return "";
  }
}

}  // namespace

std::string signal_name(int number) {
  if (const char* name = ::sigabbrev_np(number)) return std::string("SIG") + name;
  if (number >= SIGRTMIN && number <= SIGRTMAX) return number == SIGRTMIN ? "SIGRTMIN" : "SIGRTMIN+" + std::to_string(number - SIGRTMIN);
  return "signal " + std::to_string(number);
}

Cause exited(int code) {
  auto kind = code == kExitDeviceError ? CauseKind::kDeviceError : CauseKind::kExit;
  return {"exit code " + std::to_string(code) + meaning_of(code), code != 0, code == kExitCannotWork, false, kind, code};
}

Cause unseen() {
  Cause cause{"killed, or ended without a word; the kernel told how only to the supervisor that had started it"};
  cause.fault = true;
  cause.unseen = true;
  return cause;
}

Cause cause_of(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return exited(info.si_status);
  std::string text = "killed by " + signal_name(info.si_status);
  if (info.si_code == CLD_DUMPED) text += " (core dumped)";
  return {text, true, false, info.si_status == SIGSEGV || info.si_status == SIGBUS, CauseKind::kSignal, info.si_status};
}

Cause unasked(Cause cause) {
  if (!cause.abnormal) cause.text += ": the process ended itself, though nobody had asked it to; does a plug-in call exit()?";
  return cause;
}

Cause could_not_start(std::string why, bool hopeless) {
  return {"could not start: " + std::move(why), true, hopeless, false, CauseKind::kCouldNotStart};
}

Cause out_of_memory(const std::string& whose) {
  return {"killed by SIGKILL: out of memory, says the kernel" + whose, true, false, false, CauseKind::kOutOfMemory, SIGKILL};
}

Cause hung(std::string why) { return {std::move(why), true, false, false, CauseKind::kHang}; }

Cause start_failed(std::string why) { return {std::move(why), true, false, false, CauseKind::kStartFailed}; }

}  // namespace tv::supervisor
