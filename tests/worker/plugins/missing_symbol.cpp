#include "worker/actor.h"

void nobody_defines_this();

TV_PLUGIN(registry) {
  (void)registry;
  nobody_defines_this();
}
