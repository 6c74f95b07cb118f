// A trainer with everything that must come back exactly: a module with buffers and dropout, an optimizer, random numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "worker/actor.h"

namespace tv::test {

struct Trainer {
  static constexpr const char* kType = "test.trainer";
  // So many steps; the answer is the number of steps so far. Publishes NAME.step before each, so that it can be killed in the middle.
  static constexpr Method<Trainer, std::int64_t(std::int64_t)> train{"train"};
  // Parameters and buffers, by name.
  static constexpr Method<Trainer, std::vector<shm::Tensor>()> weights{"weights"};
};

}  // namespace tv::test
