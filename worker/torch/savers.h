// Ready-made savers: what a trainer needs in save() and load() so that its next incarnation goes on bit for bit.
//
//     void save(tv::StateWriter& state) const override {
//       tv::save_module(state, "model", *model_);
//       tv::save_optimizer(state, "adam", *optimizer_);
//       tv::save_generator(state, "random");
//       state.put("step", step_);
//     }
//     void load(const tv::StateReader& state) override {
//       tv::load_module(state, "model", *model_);
//       tv::load_optimizer(state, "adam", *optimizer_);   // made over the same parameters, in the same order
//       tv::load_generator(state, "random");
//       state.get("step", step_);
//     }
//
// Saving copies once, into the arena; loading copies once, out of it, into memory that may be written. Tensors on a device come over the
// processor's memory. One thread, that of the actor. save_* throw std::runtime_error where there is no room or a tensor has no place in the
// arena (worker/torch/torch.h). load_* return false, and change nothing, when the state has no such key; they throw std::runtime_error, and
// name what differs, when it does not fit what it is loaded into.
#pragma once

#include <torch/torch.h>

#include <string>

#include "worker/actor.h"

namespace tv {

// Parameters and buffers, each a tensor under its own name: KEY.NAME ("model.fc1.weight"). Shapes and dtypes must be the same at the load; a
// tensor that only one side has is an error.
void save_module(StateWriter& state, const std::string& key, const torch::nn::Module& module);
bool load_module(const StateReader& state, const std::string& key, torch::nn::Module& module);

// Any optimizer of torch::optim: options of its groups and what it keeps for each parameter, as LibTorch's own archive.
void save_optimizer(StateWriter& state, const std::string& key, const torch::optim::Optimizer& optimizer);
bool load_optimizer(const StateReader& state, const std::string& key, torch::optim::Optimizer& optimizer);

// The random numbers of the processor's default generator (dropout, shuffles, initial weights). All actors of a worker share it: what one
// draws the others do not, so a trainer that is to repeat itself exactly has the worker for itself, or a generator of its own.
void save_generator(StateWriter& state, const std::string& key);
bool load_generator(const StateReader& state, const std::string& key);
void save_generator(StateWriter& state, const std::string& key, const at::Generator& generator);
bool load_generator(const StateReader& state, const std::string& key, at::Generator& generator);

}  // namespace tv
