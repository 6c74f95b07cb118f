#include "tests/support/plugins/trainer.h"

#include "worker/torch/savers.h"
#include "worker/torch/torch.h"

namespace tv::test {
namespace {

class TrainerActor final : public Actor {
 public:
  explicit TrainerActor(Context& context) : context_(context) {
    torch::manual_seed(context.args().get<std::int64_t>("seed", 1));
    net_ = torch::nn::Sequential(torch::nn::Linear(16, 32), torch::nn::BatchNorm1d(32), torch::nn::ReLU(), torch::nn::Dropout(0.2),
                                 torch::nn::Linear(32, 4));
    adam_ = std::make_unique<torch::optim::Adam>(net_->parameters(), torch::optim::AdamOptions(1e-2));
  }

  void save(StateWriter& state) const override {
    save_module(state, "net", *net_);
    save_optimizer(state, "adam", *adam_);
    save_generator(state, "random");
    state.put("step", step_);
  }
  void load(const StateReader& state) override {
    load_module(state, "net", *net_);
    load_optimizer(state, "adam", *adam_);
    load_generator(state, "random");
    state.get("step", step_);
  }

  std::int64_t train(std::int64_t steps) {
    for (std::int64_t i = 0; i < steps; ++i) {
      publish_step();
      adam_->zero_grad();
      auto loss = net_->forward(torch::randn({32, 16})).square().mean();
      loss.backward();
      adam_->step();
      auto& options = static_cast<torch::optim::AdamOptions&>(adam_->param_groups()[0].options());
      options.lr(options.lr() * 0.999);
      ++step_;
    }
    return step_;
  }

  std::vector<shm::Tensor> weights() {
    std::vector<shm::Tensor> all;
    auto keep = [&](const torch::Tensor& tensor) {
      auto stored = put(*context_.store(), tensor.detach());
      if (!stored) throw std::runtime_error(stored.error().message);
      all.push_back(*stored);
    };
    for (const auto& parameter : net_->parameters()) keep(parameter);
    for (const auto& buffer : net_->buffers()) keep(buffer);
    return all;
  }

 private:
  void publish_step() {
    auto stored = put(*context_.store(), torch::tensor({step_}));
    if (!stored || !context_.publish(context_.name() + ".step", *stored)) throw std::runtime_error("the step cannot be published");
  }

  Context& context_;
  torch::nn::Sequential net_ = nullptr;
  std::unique_ptr<torch::optim::Adam> adam_;
  std::int64_t step_ = 0;
};

}  // namespace
}  // namespace tv::test

TV_PLUGIN(registry) {
  using namespace tv::test;
  registry.add<TrainerActor, Trainer>().method(Trainer::train, &TrainerActor::train).method(Trainer::weights, &TrainerActor::weights);
}
