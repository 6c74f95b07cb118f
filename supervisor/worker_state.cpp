#include "supervisor/worker_state.h"

#include <array>
#include <cstddef>

namespace tv::supervisor {
namespace {

using enum WorkerState;
using Row = std::array<WorkerStep, kWorkerEvents>;

constexpr std::uint32_t kFork = kDisarm | kAcquire;
constexpr std::uint32_t kAskToStop = kDisarm | kSendStop | kArmGrace;

// One row a state, one column an event, in the order of the enumerations. Staying without an action: the event means nothing here.
constexpr std::array<Row, kWorkerStates> kTable = {{
    // stopped
    {{{kForking, kAcquire}, {kStopped, kDiscard}, {kStopped, 0}, {kStopped, 0}, {kStopped, 0}, {kStopped, 0}, {kStopped, 0}, {kStopped, 0},
      {kStopped, 0}, {kStopped, 0}, {kForking, kForgive | kAcquire}}},
    // forking
    {{{kForking, 0}, {kStarting, kAssign | kArmStart}, {kForking, 0}, {kForking, 0}, {kForking, 0}, {kForking, 0}, {kForking, 0},
      {kForking, 0}, {kForking, 0}, {kStopped, kCancel | kReportStopped}, {kForking, kForgive}}},
    // starting
    {{{kStarting, 0}, {kStarting, kDiscard}, {kReady, kDisarm | kReportReady}, {kForking, kFork}, {kBackoff, kDisarm | kArmBackoff},
      {kFailed, kDisarm | kReportFailed}, {kStarting, 0}, {kStarting, kKill}, {kStarting, 0}, {kStopping, kAskToStop}, {kCycling, kForgive | kAskToStop}}},
    // ready
    {{{kReady, 0}, {kReady, kDiscard}, {kReady, 0}, {kForking, kFork}, {kBackoff, kArmBackoff}, {kFailed, kReportFailed}, {kReady, 0},
      {kReady, 0}, {kReady, 0}, {kStopping, kAskToStop}, {kCycling, kForgive | kAskToStop}}},
    // backoff
    {{{kForking, kFork}, {kBackoff, kDiscard}, {kBackoff, 0}, {kBackoff, 0}, {kBackoff, 0}, {kBackoff, 0}, {kForking, kAcquire},
      {kBackoff, 0}, {kBackoff, 0}, {kStopped, kDisarm | kReportStopped}, {kForking, kForgive | kFork}}},
    // stopping
    {{{kCycling, 0}, {kStopping, kDiscard}, {kStopping, 0}, {kStopped, kDisarm | kReportStopped}, {kStopped, kDisarm | kReportStopped},
      {kStopped, kDisarm | kReportStopped}, {kStopping, 0}, {kStopping, 0}, {kStopping, kKill}, {kStopping, 0}, {kCycling, kForgive}}},
    // cycling
    {{{kCycling, 0}, {kCycling, kDiscard}, {kCycling, 0}, {kForking, kFork}, {kForking, kFork}, {kForking, kFork}, {kCycling, 0},
      {kCycling, 0}, {kCycling, kKill}, {kStopping, 0}, {kCycling, 0}}},
    // failed
    {{{kForking, kForgive | kAcquire}, {kFailed, kDiscard}, {kFailed, 0}, {kFailed, 0}, {kFailed, 0}, {kFailed, 0}, {kFailed, 0},
      {kFailed, 0}, {kFailed, 0}, {kStopped, kReportStopped}, {kForking, kForgive | kAcquire}}},
}};

}  // namespace

WorkerStep next_step(WorkerState state, WorkerEvent event) {
  return kTable[static_cast<std::size_t>(state)][static_cast<std::size_t>(event)];
}

std::string_view state_name(WorkerState state) {
  switch (state) {
    case kStopped: return "stopped";
    case kForking:
    case kStarting: return "starting";
    case kReady: return "ready";
    case kBackoff: return "backoff";
    case kStopping:
    case kCycling: return "stopping";
    case kFailed: return "failed";
  }
  return "unknown";
}

}  // namespace tv::supervisor
