// Actors that hang, or say that they are not well. hanger.cpp makes a plug-in of them.
#pragma once

#include <cstdint>
#include <string>

#include "ipc/call.h"

namespace tv::test {

// args: "health" says how on_health behaves: "" (well), "unhealthy", "throws", "slow" (takes 50 ms), "hangs" (in its first incarnation).
// Health follows what set_health() said last.
struct Hanger {
  static constexpr const char* kType = "test.hanger";
  static constexpr Method<Hanger, std::int64_t(std::int64_t)> add{"add"};  // the new total
  // Adds; in its first incarnation it then spins for ever.
  static constexpr Method<Hanger, std::int64_t(std::int64_t)> spin_once{"spin_once"};
  // Spins for so many milliseconds, of which it has announced as many as `announced`. The incarnation that it ran in.
  static constexpr Method<Hanger, std::uint32_t(std::int64_t, std::int64_t)> compute{"compute"};
  // Waits for the answer of compute() of another.
  static constexpr Method<Hanger, std::uint32_t(std::string, std::int64_t)> wait_for{"wait_for"};
  static constexpr Method<Hanger, void(std::string)> set_health{"set_health"};
  // In its first incarnation: "null" writes to address 0, "abort" calls abort().
  static constexpr Method<Hanger, std::uint32_t(std::string)> crash_once{"crash_once"};
};

}  // namespace tv::test
