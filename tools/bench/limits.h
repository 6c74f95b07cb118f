// What the machine itself can do: the figures that ours are held against.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "tools/bench/ping_pong.h"

namespace tv::bench {

// Two words in shared memory, each on a line of its own. Blocking: each side sleeps on its futex, without a timeout, which would cost
// time that the limit must not have. Spinning: a cache line goes back and forth. The crew kills what hangs.
std::unique_ptr<Crew> futex_limit(const Setting& setting, std::size_t most_samples);

// One process wakes `receivers` others, who answer all; the last answer wakes it. The first samples are the whole times.
std::unique_ptr<Crew> futex_fan_limit(std::size_t receivers, std::size_t most_samples);

// Processors for the sides of a crew of one and many: the one alone on the first, the many on the others in turn.
std::vector<int> spread_cpus(std::size_t others);

}  // namespace tv::bench
