// The life of one configured worker as a table: (state, event) -> next state and what is to be done. Pure; workers.h does it.
//
//     stopped --start--> forking --process--> starting --ready--> ready
//                           ^                    |                  |
//                           |<-- death, at once -+------------------+
//                           +-- backoff <-- death, later -----------+--> failed (given up)
//
// A stop goes over stopping (asked, then killed when the grace is over); cycling is a stop that is followed by a start.
#pragma once

#include <cstdint>
#include <string_view>

namespace tv::supervisor {

enum class WorkerState : std::uint8_t { kStopped, kForking, kStarting, kReady, kBackoff, kStopping, kCycling, kFailed };
inline constexpr std::size_t kWorkerStates = 8;

enum class WorkerEvent : std::uint8_t {
  kStart,         // it is wanted
  kProcess,       // a parked process is there for it
  kReady,         // its process says so
  kDeathNow,      // its process has ended; policy: restart at once
  kDeathLater,    // restart after a delay
  kDeathGiveUp,   // do not restart
  kBackoffOver,
  kStartTimeout,
  kGraceOver,
  kStop,
  kRestart,       // stop in order, then start; or another chance
};
inline constexpr std::size_t kWorkerEvents = 11;

// Done in the order of their bits.
enum WorkerAction : std::uint32_t {
  kNothing = 0,
  kDisarm = 1u << 0,      // the timer
  kForgive = 1u << 1,     // forget earlier deaths
  kCancel = 1u << 2,      // the request for a process
  kDiscard = 1u << 3,     // the process that came too late
  kAcquire = 1u << 4,     // ask for a process
  kAssign = 1u << 5,
  kSendStop = 1u << 6,
  kKill = 1u << 7,
  kArmStart = 1u << 8,
  kArmGrace = 1u << 9,
  kArmBackoff = 1u << 10,
  kReportReady = 1u << 11,
  kReportStopped = 1u << 12,
  kReportFailed = 1u << 13,
};

struct WorkerStep {
  WorkerState next;
  std::uint32_t actions;
};

WorkerStep next_step(WorkerState state, WorkerEvent event);

// As tools show it: forking counts as starting, cycling as stopping.
std::string_view state_name(WorkerState state);
// There is a process, assigned to this worker, that has not been reaped.
constexpr bool has_process(WorkerState state) {
  return state == WorkerState::kStarting || state == WorkerState::kReady || state == WorkerState::kStopping || state == WorkerState::kCycling;
}

}  // namespace tv::supervisor
