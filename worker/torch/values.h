// Between wire::Value and what TorchScript takes and gives.
//
//     null  bool  int  float  text  list           map                 tensor
//     None  bool  int  float  str   List or Tuple  Dict with str keys  Tensor
//
// A value becomes what the method's parameter asks for: a list becomes a List[int], a List[Tensor], a Tuple or a List[Any], an int a float.
// Both throw ArgumentError for what has no counterpart.
#pragma once

#include <torch/script.h>

#include "ipc/codec.h"

namespace tv::worker {

// Tensors are views of the arena moved to `device` (not copied on the CPU).
c10::IValue to_ivalue(wire::Value::Reader value, const c10::TypePtr& type, const ipc::Decoder& decoder, const torch::Device& device);

// Tensors are put into the arena, and noted in the encoder.
void from_ivalue(const c10::IValue& ivalue, wire::Value::Builder out, ipc::Encoder& encoder, shm::Store& store, ActorId creator);

}  // namespace tv::worker
