// The actor whose worker is killed by `tv-bench restart`: it holds one tensor of a given size as its state.
#pragma once

#include <cstdint>

#include "worker/actor.h"

namespace tv::bench {

struct Holder {
  static constexpr const char* kType = "bench.holder";
  // Counts the call, which is committed, looks at both ends of the state and answers with the process it lives in. Throws when the state
  // is not what it was made as.
  static constexpr Method<Holder, std::int64_t()> touch{"touch"};
};

}  // namespace tv::bench
