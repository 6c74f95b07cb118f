#include "trainer.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>

namespace fashion {
namespace {

constexpr std::int64_t kProgressSteps = 25;
constexpr double kLearningRateEnd = 0.1;  // of the first one; falls linearly over the training

void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(what);
}

void check(const TrainOptions& options) {
  require(options.epochs >= 1 && options.epochs <= 1000, "epochs must be 1 to 1000");
  require(options.batch >= 1 && options.batch <= 4096, "batch must be 1 to 4096");
  require(options.learning_rate > 0 && options.learning_rate <= 1, "learning_rate must be above 0 and at most 1");
  require(options.images >= 0, "images must not be negative");
  require(options.checkpoint_steps >= 1, "checkpoint_steps must be at least 1");
}

template <class T>
T value_of(tv::Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(result).value();
}

Weights cloned(const std::map<std::string, tv::shm::Tensor>& sealed) {
  Weights tensors;
  for (const auto& parameter : parameters()) {
    auto found = sealed.find(parameter.name);
    if (found == sealed.end()) throw std::runtime_error(std::string("the saved state lacks ") + parameter.name);
    auto tensor = tv::to_torch(found->second);
    if (tensor.sizes() != at::IntArrayRef(parameter.shape))
      throw std::runtime_error(std::string("another shape was saved of ") + parameter.name);
    tensors[parameter.name] = tensor.clone();
  }
  return tensors;
}

}  // namespace

TrainReport TrainerActor::train(TrainOptions options) {
  check(options);
  if (!images_.defined() || data_ != options.data) {
    auto dataset = value_of(load_dataset(options.data, Part::kTrain));
    images_ = torch::from_blob(dataset.images.data(), {dataset.count, kImageSide, kImageSide}, torch::kUInt8).clone();
    labels_ = torch::from_blob(dataset.labels.data(), {dataset.count}, torch::kUInt8).to(torch::kLong);
    data_ = options.data;
  }
  const std::int64_t count = options.images == 0 ? images_.size(0) : std::min(options.images, images_.size(0));
  const std::int64_t steps_per_epoch = count / options.batch;
  require(steps_per_epoch >= 1, "batch must not be larger than the number of images");
  const std::int64_t total = steps_per_epoch * options.epochs;

  TrainReport report;
  life_began_ns_ = tv::monotonic_ns();
  if (position_.active && position_.options == options) {
    report.resumed_at = position_.step;
    context_.log(tv::log::Level::kNotice, "training resumed", {{"step", position_.step}, {"steps", total}});
  } else {
    begin(options);
    context_.log(tv::log::Level::kNotice, "training started", {{"steps", total}, {"images", count}});
  }
  seconds_before_ = position_.seconds;

  while (position_.step < total) run_epoch(steps_per_epoch, total);
  checkpoint(total);

  report.steps = position_.step;
  report.loss = position_.last_loss;
  report.seconds = position_.seconds;
  position_.active = saved_.active = false;  // committed together with the message
  context_.log(tv::log::Level::kNotice, "training done", {{"steps", report.steps}, {"loss", report.loss}, {"seconds", report.seconds}});
  return report;
}

void TrainerActor::begin(const TrainOptions& options) {
  position_ = Position{};
  position_.options = options;
  position_.active = true;
  weights_ = initial_weights(static_cast<std::uint64_t>(options.seed));
  adam_ = initial_adam();
}

// The rest of the epoch that the position is in.
void TrainerActor::run_epoch(std::int64_t steps_per_epoch, std::int64_t total) {
  const auto& options = position_.options;
  const std::int64_t epoch = position_.step / steps_per_epoch;
  const auto order = epoch_order(steps_per_epoch * options.batch, static_cast<std::uint64_t>(options.seed), epoch);
  for (std::int64_t i = position_.step % steps_per_epoch; i < steps_per_epoch; ++i) {
    auto chosen = order.narrow(0, i * options.batch, options.batch);
    double done = static_cast<double>(position_.step) / static_cast<double>(total);
    double rate = options.learning_rate * (1 - (1 - kLearningRateEnd) * done);
    position_.epoch_loss +=
        train_step(weights_, adam_, position_.step, rate, images_.index_select(0, chosen), labels_.index_select(0, chosen));
    ++position_.step;
    if (i + 1 == steps_per_epoch) {
      position_.last_loss = position_.epoch_loss / static_cast<double>(steps_per_epoch);
      position_.epoch_loss = 0;
      context_.log(tv::log::Level::kInfo, "epoch done", {{"epoch", epoch + 1}, {"step", position_.step}, {"loss", position_.last_loss}});
    }
    context_.extend_watchdog(std::chrono::minutes(1));  // a step is shorter, many of them are not
    if (context_.stop_requested()) {
      checkpoint(total);
      throw tv::Interrupted();
    }
    if (position_.step % options.checkpoint_steps == 0) {
      checkpoint(total);
    } else if (position_.step % kProgressSteps == 0) {
      publish_progress(total);
    }
  }
}

void TrainerActor::checkpoint(std::int64_t total) {
  position_.seconds = seconds_before_ + static_cast<double>(tv::monotonic_ns() - life_began_ns_) / 1e9;
  auto weights = seal(weights_);
  auto first = seal(adam_.first);
  auto second = seal(adam_.second);
  saved_weights_ = std::move(weights);
  saved_first_ = std::move(first);
  saved_second_ = std::move(second);
  publish_weights();
  saved_ = position_;
  if (auto committed = context_.commit(); !committed) throw std::runtime_error("cannot commit: " + committed.error().message);
  publish_progress(total);
}

void TrainerActor::publish_progress(std::int64_t total) {
  const std::int64_t into_epoch = position_.step % std::max<std::int64_t>(1, total / position_.options.epochs);
  const double loss = into_epoch == 0 ? position_.last_loss : position_.epoch_loss / static_cast<double>(into_epoch);
  publish(kProgress,
          torch::tensor({static_cast<double>(position_.step), static_cast<double>(total), loss, static_cast<double>(saved_.step)},
                        torch::kDouble));
}

// Into the set that is not in use, then the word that says which is: readers never see weights of two steps. Which one is in use is read
// from what is published, since a crash may come between publication and commit.
void TrainerActor::publish_weights() {
  std::int64_t set = 0;
  if (auto current = context_.find(kWeightsStep)) set = 1 - tv::to_torch(*current).index({1}).item<std::int64_t>();
  for (const auto& [name, tensor] : saved_weights_) value_of(context_.publish(weight_name(set, name), tensor));
  publish(kWeightsStep, torch::tensor({position_.step, set}, torch::kLong));
}

void TrainerActor::publish(const std::string& name, const torch::Tensor& tensor) {
  value_of(context_.publish(name, value_of(tv::put(*context_.store(), tensor, context_.id()))));
}

TrainerActor::Sealed TrainerActor::seal(const Weights& tensors) {
  Sealed sealed;
  for (const auto& [name, tensor] : tensors) sealed.emplace(name, value_of(tv::put(*context_.store(), tensor.detach(), context_.id())));
  return sealed;
}

void TrainerActor::save(tv::StateWriter& state) const {
  state.put("position", saved_);
  state.put("weights", saved_weights_);
  state.put("first_moments", saved_first_);
  state.put("second_moments", saved_second_);
}

void TrainerActor::load(const tv::StateReader& state) {
  Position position;
  if (!state.get("position", position) || position.step == 0) return;  // no snapshot was taken in that life
  state.get("weights", saved_weights_);
  state.get("first_moments", saved_first_);
  state.get("second_moments", saved_second_);
  weights_ = cloned(saved_weights_);
  adam_ = {cloned(saved_first_), cloned(saved_second_)};
  position_ = saved_ = position;
}

}  // namespace fashion
