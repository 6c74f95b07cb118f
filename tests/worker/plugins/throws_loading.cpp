#include <stdexcept>

#include "worker/actor.h"

namespace {
int value() { throw std::runtime_error("a static object threw"); }
const int kValue = value();
}  // namespace

TV_PLUGIN(registry) {
  (void)registry;
  (void)kValue;
}
