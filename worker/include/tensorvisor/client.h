// What a client program includes.
#pragma once

#include "ipc/client.h"
