// A state between the arena and a file. In the arena a state's values refer to tensors by handle; a handle means nothing in another arena,
// so in a file they refer to them by their place in a list, and each has a name that says where it stood: "weights", "layers.0.bias".
#pragma once

#include <span>
#include <string>
#include <vector>

#include "shm/state.h"

namespace tv::ipc {

struct StoredState {
  struct NamedTensor {
    std::string name;  // unique; valid UTF-8
    shm::Tensor tensor;
  };
  std::vector<std::byte> values;     // a framed wire::Value; `tensor` in it is a place in `tensors`
  std::vector<NamedTensor> tensors;  // each once, whatever refers to it
};

// kCorrupt for a state that no actor runtime has written.
Result<StoredState> stored_state(const shm::State& state);
// The reverse, with the tensors where they are now.
Result<shm::State> state_from_stored(std::span<const std::byte> values, std::vector<shm::Tensor> tensors);

}  // namespace tv::ipc
