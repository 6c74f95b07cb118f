// The end of a tree in any state: wound down with fake processes that stop, die or hang, in a random order.
#pragma once

#include <string>
#include <vector>

#include "supervisor/tree.h"

namespace tv::simulator {

// What was wrong; empty: nothing. The tree is a copy, and is at its end afterwards.
std::string wind_down(supervisor::Tree tree, std::int64_t now_ns, std::uint64_t seed);

}  // namespace tv::simulator
