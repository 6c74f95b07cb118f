// What an actor plug-in includes.
#pragma once

#include "worker/actor.h"
