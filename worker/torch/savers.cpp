#include "worker/torch/savers.h"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <sstream>
#include <stdexcept>
#include <utility>
#include <vector>

#include "worker/torch/torch.h"

namespace tv {
namespace {

using Named = std::vector<std::pair<std::string, torch::Tensor>>;

shm::Tensor stored(StateWriter& state, const std::string& key, const torch::Tensor& tensor) {
  auto put_there = put(state.store(), tensor.detach().cpu());
  if (!put_there) throw std::runtime_error("saving " + key + ": " + put_there.error().message);
  return std::move(*put_there);
}

// Names of parameters and of buffers may not clash: LibTorch refuses to register both under one name.
Named tensors_of(const torch::nn::Module& module) {
  Named all;
  for (const auto& parameter : module.named_parameters()) all.emplace_back(parameter.key(), parameter.value());
  for (const auto& buffer : module.named_buffers()) all.emplace_back(buffer.key(), buffer.value());
  std::erase_if(all, [](const auto& named) { return !named.second.defined(); });
  return all;
}

std::vector<std::string> names_of(const Named& tensors) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors) names.push_back(name);
  return names;
}

[[noreturn]] void misfit(const std::string& key, const std::string& what) {
  throw std::runtime_error("the saved \"" + key + "\" does not fit: " + what);
}

std::string described(const torch::Tensor& tensor) {
  std::ostringstream text;
  text << tensor.sizes() << " of " << tensor.scalar_type();
  return text.str();
}

void check_names(const std::string& key, std::vector<std::string> saved, std::vector<std::string> here) {
  std::sort(saved.begin(), saved.end());
  std::sort(here.begin(), here.end());
  for (const auto& name : here)
    if (!std::binary_search(saved.begin(), saved.end(), name)) misfit(key, "it has no \"" + name + "\"");
  for (const auto& name : saved)
    if (!std::binary_search(here.begin(), here.end(), name)) misfit(key, "there is nothing to load its \"" + name + "\" into");
}

void save_bytes(StateWriter& state, const std::string& key, const std::string& bytes) {
  auto view = torch::from_blob(const_cast<char*>(bytes.data()), {static_cast<std::int64_t>(bytes.size())}, torch::kUInt8);
  state.put(key, stored(state, key, view));
}

std::string options_name(std::size_t group) { return "options" + std::to_string(group); }

}  // namespace

void save_module(StateWriter& state, const std::string& key, const torch::nn::Module& module) {
  auto tensors = tensors_of(module);
  for (const auto& [name, tensor] : tensors) {
    auto full = key + "." + name;
    state.put(full, stored(state, full, tensor));
  }
  state.put(key, names_of(tensors));
}

bool load_module(const StateReader& state, const std::string& key, torch::nn::Module& module) {
  std::vector<std::string> saved;
  if (!state.get(key, saved)) return false;
  auto tensors = tensors_of(module);
  check_names(key, std::move(saved), names_of(tensors));
  Named found;
  for (const auto& [name, tensor] : tensors) {
    shm::Tensor value;
    if (!state.get(key + "." + name, value)) misfit(key, "\"" + name + "\" is listed and not there");
    auto view = to_torch(value);
    if (view.sizes() != tensor.sizes() || view.scalar_type() != tensor.scalar_type())
      misfit(key, "\"" + name + "\" is " + described(view) + ", not " + described(tensor));
    found.emplace_back(name, std::move(view));
  }
  torch::NoGradGuard no_grad;
  for (std::size_t i = 0; i < tensors.size(); ++i) tensors[i].second.copy_(found[i].second);
  return true;
}

void save_optimizer(StateWriter& state, const std::string& key, const torch::optim::Optimizer& optimizer) {
  torch::serialize::OutputArchive archive, whole;
  optimizer.save(whole);
  archive.write("optimizer", whole);
  // A load of LibTorch's leaves the options as they are (seen with 1.13): a learning rate that has been lowered would be forgotten.
  const auto& groups = optimizer.param_groups();
  for (std::size_t i = 0; i < groups.size(); ++i) {
    torch::serialize::OutputArchive options;
    groups[i].options().serialize(options);
    archive.write(options_name(i), options);
  }
  std::ostringstream stream;
  archive.save_to(stream);
  save_bytes(state, key, stream.str());
}

bool load_optimizer(const StateReader& state, const std::string& key, torch::optim::Optimizer& optimizer) {
  shm::Tensor saved;
  if (!state.get(key, saved)) return false;
  try {
    torch::serialize::InputArchive archive;
    archive.load_from(static_cast<const char*>(saved.data()), saved.bytes());
    torch::serialize::InputArchive whole;
    archive.read("optimizer", whole);
    optimizer.load(whole);
    for (std::size_t i = 0; i < optimizer.param_groups().size(); ++i) {
      torch::serialize::InputArchive options;
      archive.read(options_name(i), options);
      optimizer.param_groups()[i].options().serialize(options);
    }
  } catch (const c10::Error& error) {
    misfit(key, error.what_without_backtrace());
  }
  return true;
}

void save_generator(StateWriter& state, const std::string& key) { save_generator(state, key, at::detail::getDefaultCPUGenerator()); }

bool load_generator(const StateReader& state, const std::string& key) {
  auto generator = at::detail::getDefaultCPUGenerator();
  return load_generator(state, key, generator);
}

void save_generator(StateWriter& state, const std::string& key, const at::Generator& generator) {
  auto same = generator;  // a reference to it; the lock wants one that is not const
  std::lock_guard lock(same.mutex());
  state.put(key, stored(state, key, same.get_state()));
}

bool load_generator(const StateReader& state, const std::string& key, at::Generator& generator) {
  shm::Tensor saved;
  if (!state.get(key, saved)) return false;
  std::lock_guard lock(generator.mutex());
  try {
    generator.set_state(to_torch(saved).clone());
  } catch (const c10::Error& error) {
    misfit(key, error.what_without_backtrace());
  }
  return true;
}

}  // namespace tv
