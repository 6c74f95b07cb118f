// Faults on purpose (tensorctl inject): what is done to a worker's process, or to the next messages of an actor in it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "config/clock.h"
#include "config/ids.h"

namespace tv::supervisor {

// The first three are signals; the worker itself obeys the others, between two messages.
enum class FaultKind : std::uint8_t { kCrash, kKill, kStop, kHang, kExit, kThrow, kDelay };

inline constexpr Nanoseconds kMaxFaultDelay = 10min;  // of one message

std::string_view fault_name(FaultKind kind);  // "crash"
constexpr bool is_of_actor(FaultKind kind) { return kind >= FaultKind::kThrow; }

struct Fault {
  FaultKind kind = FaultKind::kCrash;
  int code = 0;             // of kExit, 0 to 255
  std::uint32_t count = 1;  // of kThrow and kDelay: messages
  Nanoseconds delay{0};     // of kDelay
};

}  // namespace tv::supervisor
