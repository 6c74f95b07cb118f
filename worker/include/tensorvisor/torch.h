// What an actor plug-in or client that uses torch::Tensor includes besides.
#pragma once

#include "worker/torch/savers.h"
#include "worker/torch/torch.h"
