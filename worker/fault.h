// Faults on purpose, as the supervisor orders them (tensorctl inject), for those that no signal makes.
#pragma once

#include <cstdint>

#include "config/clock.h"

namespace tv::worker {

// Of a process.
struct Fault {
  enum class Kind : std::uint8_t { kHang, kExit, kThrow, kDelay };
  Kind kind = Kind::kHang;
  int code = 0;             // of kExit
  std::uint32_t count = 0;  // of kThrow and kDelay
  Nanoseconds delay{0};     // of kDelay
};

// What waits for an actor's next messages. Only the loop touches it.
struct ActorFaults {
  std::uint32_t throws = 0;
  std::uint32_t delays = 0;
  Nanoseconds delay{0};
};

// Never returns, and beats no heart; signals are handled.
[[noreturn]] void hang();
// Lets the time pass with a beating heart: a slow method, not one that hangs.
void wait_with_beats(Nanoseconds delay);

}  // namespace tv::worker
