#include <stdexcept>

#include "worker/actor.h"

namespace {
int value() { throw std::runtime_error("out of ink"); }
const int kValue = value();
}  // namespace

TV_PLUGIN(registry) {
  (void)registry;
  (void)kValue;
}
