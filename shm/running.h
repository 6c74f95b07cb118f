// What ActorCell::running says: which of an actor's code runs, and until when it may go without a turn of the loop. One word, so that the
// supervisor sees both of one moment. Pure.
#pragma once

#include <cstdint>

namespace tv::shm {

enum class Doing : std::uint8_t {
  kNothing = 0,
  kMethod = 1,  // the message at hand (ActorCell::at_hand), and the commit after it
  kStart = 2,   // making it, load, on_start
  kStop = 3,    // on_stop, and the commit after it
  kHealth = 4,  // on_health
};

struct Running {
  Doing doing = Doing::kNothing;
  std::int64_t until_ns = 0;  // CLOCK_MONOTONIC, rounded down to 256 ns; 0: as long as any other. Of a health check: when it is over time

  bool operator==(const Running&) const = default;
};

constexpr std::uint64_t pack(Running running) {
  return (static_cast<std::uint64_t>(running.until_ns) & ~std::uint64_t{0xff}) | static_cast<std::uint64_t>(running.doing);
}
constexpr Running unpack_running(std::uint64_t word) {
  return {static_cast<Doing>(word & 0xff), static_cast<std::int64_t>(word & ~std::uint64_t{0xff})};
}

}  // namespace tv::shm
