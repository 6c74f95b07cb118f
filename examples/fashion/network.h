// The network: two convolutions with pooling, two linear layers; 52,000 parameters. A function of a map of weights rather than a module,
// so that the classifier computes with weights where they lie in the arena.
#pragma once

#include <torch/torch.h>

#include <map>
#include <string>
#include <vector>

namespace fashion {

using Weights = std::map<std::string, torch::Tensor>;

struct Parameter {
  const char* name;
  std::vector<std::int64_t> shape;
  std::int64_t inputs;  // of one unit: sets the width of the first weights (He initialisation); 0: begins as zeros
};
const std::vector<Parameter>& parameters();

Weights initial_weights(std::uint64_t seed);

// uint8[n, 28, 28] to float32[n, 10].
torch::Tensor logits(const Weights& weights, const torch::Tensor& images);

// Adam, with moments as plain tensors: what is saved is all there is.
struct Adam {
  Weights first;   // moving mean of the gradients
  Weights second;  // and of their squares
};
Adam initial_adam();

// One step of training, `step` from 0. Changes weights and moments in place; returns the loss.
double train_step(Weights& weights, Adam& adam, std::int64_t step, double learning_rate, const torch::Tensor& images,
                  const torch::Tensor& labels);

// The order of images in an epoch: the same for the same arguments, so that a restored trainer goes on where it stopped.
torch::Tensor epoch_order(std::int64_t images, std::uint64_t seed, std::int64_t epoch);

}  // namespace fashion
