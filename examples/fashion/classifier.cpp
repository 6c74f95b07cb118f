#include "classifier.h"

#include <stdexcept>

namespace fashion {
namespace {

constexpr int kFetchAttempts = 8;
constexpr std::int64_t kMaxBatch = 4096;

}  // namespace

std::vector<std::int64_t> ClassifierActor::classify(tv::shm::Tensor images) {
  if (!images) throw std::invalid_argument("classify needs a tensor uint8[n, 28, 28], not null");
  const auto& spec = images.spec();
  if (spec.dtype != tv::shm::DType::kUInt8 || spec.dims != 3 || spec.shape[1] != kImageSide || spec.shape[2] != kImageSide)
    throw std::invalid_argument("classify needs a tensor uint8[n, 28, 28], not " + tv::shm::to_string(spec));
  if (spec.shape[0] < 1 || spec.shape[0] > kMaxBatch)
    throw std::invalid_argument("classify takes 1 to " + std::to_string(kMaxBatch) + " images at once, not " +
                                std::to_string(spec.shape[0]));
  refresh();
  torch::NoGradGuard no_grad;
  auto labels = logits(weights_, tv::to_torch(images)).argmax(1).contiguous();
  const auto* first = labels.data_ptr<std::int64_t>();
  return {first, first + labels.numel()};
}

std::vector<WeightPlace> ClassifierActor::weights() {
  refresh();
  std::vector<WeightPlace> places;
  for (const auto& [name, tensor] : published_) {
    const auto parameter = name.substr(name.rfind('/') + 1);
    const auto& view = weights_.at(parameter);
    const auto* address = static_cast<const std::byte*>(view.data_ptr());
    const auto& arena = context_.store()->arena();
    if (!arena->contains(address)) throw std::logic_error(parameter + " was copied out of the arena");
    places.push_back({name, arena->offset_of(address), static_cast<std::uint64_t>(view.nbytes())});
  }
  return places;
}

void ClassifierActor::refresh() {
  for (int attempt = 0; attempt < kFetchAttempts; ++attempt) {
    const auto version = context_.version(kWeightsStep);
    if (version == 0) throw std::runtime_error("no weights are published yet; call train of a fashion.trainer first");
    if (version == version_ || fetch(version)) return;
  }
  throw std::runtime_error("the weights changed faster than they could be fetched; ask again");
}

// False when they were replaced meanwhile.
bool ClassifierActor::fetch(std::uint64_t version) {
  auto step = context_.find(kWeightsStep);
  if (!step) return false;
  auto words = tv::to_torch(*step);
  if (words.scalar_type() != torch::kLong || words.numel() != 2) throw std::runtime_error(std::string(kWeightsStep) + " is no int64[2]");
  const auto set = words[1].item<std::int64_t>();

  std::map<std::string, tv::shm::Tensor> published;
  Weights weights;
  for (const auto& parameter : parameters()) {
    auto name = weight_name(set, parameter.name);
    auto tensor = context_.find(name);
    if (!tensor) return false;
    auto view = tv::to_torch(*tensor);
    if (view.scalar_type() != torch::kFloat || view.sizes() != at::IntArrayRef(parameter.shape))
      throw std::runtime_error(name + " is " + tv::shm::to_string(tensor->spec()) + ", which is another network's");
    weights[parameter.name] = view;
    published[name] = std::move(*tensor);
  }
  if (context_.version(kWeightsStep) != version) return false;
  weights_ = std::move(weights);
  published_ = std::move(published);
  version_ = version;
  return true;
}

}  // namespace fashion
