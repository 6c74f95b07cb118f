// Between torch::Tensor and the arena. The only header of ours that includes LibTorch.
//
//     torch::Tensor weight = tv::to_torch(tensor);         // no copy: a view of the arena that holds the object while it lives
//     tv::shm::Tensor out = *tv::put(store, logits);        // one copy, into the arena
//
// Views are read-only memory: in-place operations on them end the worker by SIGSEGV; clone() first. Strided CPU tensors keep their
// strides where no two elements overlap (a transposed view of a whole tensor); others (expanded, sliced with gaps) are made contiguous.
#pragma once

#include <torch/torch.h>

#include "ipc/codec.h"
#include "shm/store.h"

namespace tv {

// kUnsupported for a dtype that this LibTorch lacks.
Result<torch::Tensor> view(const shm::Tensor& tensor);
torch::Tensor to_torch(const shm::Tensor& tensor);  // throws std::runtime_error where view() has an Error

// kUnsupported for a tensor on a device ("move it with .cpu() first"), sparse, per-channel quantised, or of an unknown dtype;
// kInvalidArgument for an undefined one; else what Store::create says.
Result<shm::Tensor> put(shm::Store& store, const torch::Tensor& tensor, ActorId creator = kNoActor);

// A tensor to be computed straight into the arena: write through `tensor`, then seal.
struct TorchDraft {
  shm::Draft draft;
  torch::Tensor tensor;
  shm::Tensor seal() && {
    tensor.reset();
    return std::move(draft).seal();
  }
};
Result<TorchDraft> draft(shm::Store& store, at::IntArrayRef shape, at::ScalarType dtype, ActorId creator = kNoActor);

Result<shm::DType> dtype_of(at::ScalarType type);

}  // namespace tv
