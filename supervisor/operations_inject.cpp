// Operations: faults on purpose.
#include <signal.h>

#include <array>

#include "config/log.h"
#include "config/units.h"
#include "supervisor/operations.h"

namespace tv::supervisor {
namespace {

std::string in_quotes(const std::string& name) { return "\"" + name + "\""; }

int signal_of(FaultKind kind) { return kind == FaultKind::kCrash ? SIGSEGV : kind == FaultKind::kKill ? SIGKILL : SIGSTOP; }

Result<void> check(const Fault& fault) {
  if (fault.kind == FaultKind::kExit && (fault.code < 0 || fault.code > 255))
    return Error{Errc::kInvalidArgument, "there is no exit code " + std::to_string(fault.code) + "; 0 to 255 are"};
  if (!is_of_actor(fault.kind)) return {};
  if (fault.count == 0 || fault.count > limits::kMaxFaults)
    return Error{Errc::kInvalidArgument,
                 "a fault for " + std::to_string(fault.count) + " messages; 1 to " + std::to_string(limits::kMaxFaults) + " are possible"};
  if (fault.kind == FaultKind::kDelay && (fault.delay <= 0ns || fault.delay > kMaxFaultDelay))
    return Error{Errc::kInvalidArgument, "a delay of " + config::format_duration(fault.delay) + "; more than 0 and at most " +
                                             config::format_duration(kMaxFaultDelay) + " are possible"};
  return {};
}

}  // namespace

std::string_view fault_name(FaultKind kind) {
  static constexpr std::array<std::string_view, 7> kNames = {"crash", "kill", "stop", "hang", "exit", "throw", "delay"};
  return kNames[static_cast<std::size_t>(kind)];
}

Result<std::string> Operations::inject(const std::string& name, const Fault& fault) {
  if (!config_.inject.enabled)
    return Error{
        Errc::kUnsupported,
        "this daemon injects no faults: write enabled = true under [inject] in its configuration, on a machine where that does no harm"};
  TV_TRY(check(fault));
  std::string kind(fault_name(fault.kind));
  if (is_of_actor(fault.kind)) {
    auto actor = TV_TRY(one_actor(name));
    TV_TRY(workers_.inject_into_actor(actor, fault));
    if (fault.kind == FaultKind::kDelay)
      log::warning("fault injected",
                   {{"kind", kind}, {"actor", name}, {"count", fault.count}, {"delay", config::format_duration(fault.delay)}});
    else
      log::warning("fault injected", {{"kind", kind}, {"actor", name}, {"count", fault.count}});
    return kind + " injected into the next " + (fault.count == 1 ? std::string("message") : std::to_string(fault.count) + " messages") +
           " of actor " + in_quotes(name);
  }
  auto index = TV_TRY(one_worker(name));
  const Worker& worker = workers_.all()[index];
  pid_t pid = worker.pid();
  TV_TRY(fault.kind < FaultKind::kHang ? workers_.signal(index, signal_of(fault.kind)) : workers_.inject(index, fault));
  if (fault.kind == FaultKind::kExit)
    log::warning("fault injected", {{"kind", kind}, {"worker", name}, {"pid", pid}, {"code", fault.code}});
  else
    log::warning("fault injected", {{"kind", kind}, {"worker", name}, {"pid", pid}});
  return kind + " injected into worker " + in_quotes(name) + " (pid " + std::to_string(pid) + ")";
}

Result<ActorId> Operations::one_actor(const std::string& name) const {
  auto target = TV_TRY(resolve(name));
  if (target.actors.size() == 1 && actors_.find(name)) return target.actors.front();
  return Error{Errc::kInvalidArgument,
               in_quotes(name) + " is no actor; this fault is for one actor, or one member of a pool, as tensorctl list actors has them"};
}

}  // namespace tv::supervisor
