#include "network.h"

#include <cmath>

namespace fashion {
namespace {

constexpr std::int64_t kFilters1 = 8;
constexpr std::int64_t kFilters2 = 16;
constexpr std::int64_t kHidden = 64;
constexpr std::int64_t kPooled = kFilters2 * 7 * 7;

// Mean and standard deviation of the training images' pixels, scaled to 0..1.
constexpr double kMean = 0.286;
constexpr double kDeviation = 0.353;

constexpr double kDecay1 = 0.9;
constexpr double kDecay2 = 0.999;
constexpr double kEpsilon = 1e-8;

torch::Generator generator(std::uint64_t seed) { return at::detail::createCPUGenerator(seed); }

}  // namespace

const std::vector<Parameter>& parameters() {
  static const std::vector<Parameter> all = {
      {"conv1.weight", {kFilters1, 1, 3, 3}, 9},
      {"conv1.bias", {kFilters1}, 0},
      {"conv2.weight", {kFilters2, kFilters1, 3, 3}, 9 * kFilters1},
      {"conv2.bias", {kFilters2}, 0},
      {"hidden.weight", {kHidden, kPooled}, kPooled},
      {"hidden.bias", {kHidden}, 0},
      {"output.weight", {10, kHidden}, 4 * kHidden},
      {"output.bias", {10}, 0},
  };
  return all;
}

Weights initial_weights(std::uint64_t seed) {
  Weights weights;
  auto random = generator(seed);
  for (const auto& parameter : parameters()) {
    auto tensor = torch::zeros(parameter.shape);
    if (parameter.inputs > 0) {
      double bound = std::sqrt(6.0 / static_cast<double>(parameter.inputs));
      tensor.uniform_(-bound, bound, random);
    }
    weights[parameter.name] = tensor;
  }
  return weights;
}

torch::Tensor logits(const Weights& weights, const torch::Tensor& images) {
  auto x = images.unsqueeze(1).to(torch::kFloat).mul_(1.0 / 255).sub_(kMean).div_(kDeviation);
  x = torch::conv2d(x, weights.at("conv1.weight"), weights.at("conv1.bias"), 1, 1);
  x = torch::relu(torch::max_pool2d(x, 2));
  x = torch::conv2d(x, weights.at("conv2.weight"), weights.at("conv2.bias"), 1, 1);
  x = torch::relu(torch::max_pool2d(x, 2)).flatten(1);
  x = torch::relu(torch::linear(x, weights.at("hidden.weight"), weights.at("hidden.bias")));
  return torch::linear(x, weights.at("output.weight"), weights.at("output.bias"));
}

Adam initial_adam() {
  Adam adam;
  for (const auto& parameter : parameters()) {
    adam.first[parameter.name] = torch::zeros(parameter.shape);
    adam.second[parameter.name] = torch::zeros(parameter.shape);
  }
  return adam;
}

double train_step(Weights& weights, Adam& adam, std::int64_t step, double learning_rate, const torch::Tensor& images,
                  const torch::Tensor& labels) {
  for (auto& [name, weight] : weights) {
    weight.set_requires_grad(true);
    weight.mutable_grad() = torch::Tensor();
  }
  auto loss = torch::nll_loss(torch::log_softmax(logits(weights, images), 1), labels);
  loss.backward();

  torch::NoGradGuard no_grad;
  const double correction1 = 1 - std::pow(kDecay1, static_cast<double>(step + 1));
  const double correction2 = 1 - std::pow(kDecay2, static_cast<double>(step + 1));
  for (auto& [name, weight] : weights) {
    const auto& gradient = weight.grad();
    auto& first = adam.first.at(name).mul_(kDecay1).add_(gradient, 1 - kDecay1);
    auto& second = adam.second.at(name).mul_(kDecay2).addcmul_(gradient, gradient, 1 - kDecay2);
    weight.addcdiv_(first, (second / correction2).sqrt_().add_(kEpsilon), -learning_rate / correction1);
  }
  return loss.item<double>();
}

torch::Tensor epoch_order(std::int64_t images, std::uint64_t seed, std::int64_t epoch) {
  return torch::randperm(images, generator(seed * 1'000'003 + static_cast<std::uint64_t>(epoch)));
}

}  // namespace fashion
