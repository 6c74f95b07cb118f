#include "worker/actor.h"

TV_PLUGIN(registry) { (void)registry; }
