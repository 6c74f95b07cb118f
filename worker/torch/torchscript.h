// The built-in actor type "torchscript": a TorchScript file as an actor without a line of C++.
//
//     [[actor]]
//     name = "model"
//     type = "torchscript"
//     args.path = "/srv/model.pt"                                       # required
//     args.warmup = [{ shape = [1, 3, 224, 224], dtype = "float32" }]   # one entry an argument of forward; runs it before ready
//
// Every method of the module can be called by its name, with values and tensors as worker/torch/values.h says. The module has no state
// that is committed: it is loaded afresh with each start.
#pragma once

#include "worker/actor.h"

namespace tv::worker {

void register_torchscript(Registry& registry);

}  // namespace tv::worker
