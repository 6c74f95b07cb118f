// Modules, optimizers and generators through a state and back.
#include "worker/torch/savers.h"

#include "tests/support/arena_fixture.h"
#include "worker/state_codec.h"
#include "worker/torch/torch.h"

namespace tv::test {
namespace {

torch::nn::Sequential make_net(int width = 8) {
  return torch::nn::Sequential(torch::nn::Linear(4, width), torch::nn::BatchNorm1d(width), torch::nn::ReLU(), torch::nn::Dropout(0.5),
                               torch::nn::Linear(width, 2));
}

void train_step(torch::nn::Sequential& net, torch::optim::Optimizer& optimizer) {
  optimizer.zero_grad();
  auto loss = net->forward(torch::randn({16, 4})).square().mean();
  loss.backward();
  optimizer.step();
}

bool same_tensors(const torch::nn::Module& a, const torch::nn::Module& b) {
  auto left = a.named_parameters(), right = b.named_parameters();
  for (const auto& item : a.named_buffers()) left.insert(item.key(), item.value());
  for (const auto& item : b.named_buffers()) right.insert(item.key(), item.value());
  if (left.size() != right.size() || left.is_empty()) return false;
  for (const auto& item : left)
    if (!torch::equal(item.value(), right[item.key()])) return false;
  return true;
}

struct Saving {
  ArenaFixture arena;
  std::shared_ptr<shm::Store> store = arena.attach(1);
  worker::StateBuffer buffer{store};
  shm::State state;  // holds the tensors

  std::unique_ptr<worker::SavedState> saved() {
    auto finished = buffer.finish();
    if (!finished) FAIL(finished.error().message);
    state = std::move(*finished);
    auto parsed = worker::SavedState::parse(state, store);
    if (!parsed) FAIL(parsed.error().message);
    return std::move(*parsed);
  }
};

std::string thrown(const std::function<void()>& body) {
  try {
    body();
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "";
}

// Saves after a few steps, takes a few more; what is loaded into fresh objects takes the same ones and must end where the first did.
template <class Make>
void goes_on_bit_for_bit(Make make_optimizer) {
  torch::manual_seed(7);
  auto net = make_net();
  auto optimizer = make_optimizer(net->parameters());
  for (int i = 0; i < 3; ++i) train_step(net, *optimizer);
  Saving saving;
  save_module(saving.buffer, "net", *net);
  save_optimizer(saving.buffer, "optimizer", *optimizer);
  save_generator(saving.buffer, "random");
  for (int i = 0; i < 3; ++i) train_step(net, *optimizer);

  torch::manual_seed(8);
  auto other = make_net();
  auto its_optimizer = make_optimizer(other->parameters());
  auto saved = saving.saved();
  CHECK(load_module(*saved, "net", *other));
  CHECK(load_optimizer(*saved, "optimizer", *its_optimizer));
  CHECK(load_generator(*saved, "random"));
  CHECK_FALSE(same_tensors(*net, *other));
  for (int i = 0; i < 3; ++i) train_step(other, *its_optimizer);
  CHECK(same_tensors(*net, *other));
}

}  // namespace

TEST_CASE("a saved training with Adam goes on bit for bit", "[savers]") {
  goes_on_bit_for_bit([](auto parameters) { return std::make_unique<torch::optim::Adam>(parameters, torch::optim::AdamOptions(1e-2)); });
}

TEST_CASE("a saved training with AdamW goes on bit for bit", "[savers]") {
  goes_on_bit_for_bit([](auto parameters) { return std::make_unique<torch::optim::AdamW>(parameters, torch::optim::AdamWOptions(1e-2)); });
}

TEST_CASE("a saved training with SGD and momentum goes on bit for bit", "[savers]") {
  goes_on_bit_for_bit([](auto parameters) {
    return std::make_unique<torch::optim::SGD>(parameters, torch::optim::SGDOptions(1e-2).momentum(0.9).nesterov(true));
  });
}

TEST_CASE("a saved training with RMSprop goes on bit for bit", "[savers]") {
  goes_on_bit_for_bit(
      [](auto parameters) { return std::make_unique<torch::optim::RMSprop>(parameters, torch::optim::RMSpropOptions(1e-3).momentum(0.5)); });
}

TEST_CASE("a saved training with Adagrad goes on bit for bit", "[savers]") {
  goes_on_bit_for_bit([](auto parameters) { return std::make_unique<torch::optim::Adagrad>(parameters, torch::optim::AdagradOptions(1e-2)); });
}

TEST_CASE("options of a saved optimizer come back with it", "[savers]") {
  auto net = make_net();
  torch::optim::Adam optimizer(net->parameters(), torch::optim::AdamOptions(0.25));
  Saving saving;
  save_optimizer(saving.buffer, "adam", optimizer);
  torch::optim::Adam other(net->parameters(), torch::optim::AdamOptions(1));
  REQUIRE(load_optimizer(*saving.saved(), "adam", other));
  CHECK(static_cast<torch::optim::AdamOptions&>(other.param_groups()[0].options()).lr() == 0.25);
}

TEST_CASE("a generator of one's own goes on where it was saved", "[savers]") {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(5);
  Saving saving;
  (void)torch::rand({3}, generator);
  save_generator(saving.buffer, "own", generator);
  auto next = torch::rand({5}, generator);
  auto other = at::make_generator<at::CPUGeneratorImpl>(6);
  REQUIRE(load_generator(*saving.saved(), "own", other));
  CHECK(torch::equal(torch::rand({5}, other), next));
}

TEST_CASE("a state without the key changes nothing", "[savers]") {
  Saving saving;
  auto saved = saving.saved();
  auto net = make_net();
  auto before = net->parameters()[0].clone();
  torch::optim::SGD optimizer(net->parameters(), torch::optim::SGDOptions(1));
  CHECK_FALSE(load_module(*saved, "net", *net));
  CHECK_FALSE(load_optimizer(*saved, "sgd", optimizer));
  CHECK_FALSE(load_generator(*saved, "random"));
  CHECK(torch::equal(net->parameters()[0], before));
}

TEST_CASE("a saved module that does not fit says which tensor differs, and changes nothing", "[savers]") {
  auto net = make_net();
  Saving saving;
  save_module(saving.buffer, "net", *net);
  auto saved = saving.saved();
  auto wider = make_net(9);
  auto before = wider->parameters()[0].clone();
  CHECK(thrown([&] { load_module(*saved, "net", *wider); }).find("\"0.weight\" is [8, 4]") != std::string::npos);
  CHECK(torch::equal(wider->parameters()[0], before));
  torch::nn::Sequential shorter(torch::nn::Linear(4, 8));
  CHECK(thrown([&] { load_module(*saved, "net", *shorter); }).find("nothing to load its") != std::string::npos);
  torch::nn::Sequential longer = make_net();
  longer->push_back(torch::nn::Linear(2, 2));
  CHECK(thrown([&] { load_module(*saved, "net", *longer); }).find("it has no \"5.") != std::string::npos);
}

TEST_CASE("bytes that are no saved optimizer or generator are refused with the reason", "[savers]") {
  auto net = make_net();
  torch::optim::Adam adam(net->parameters());
  train_step(net, adam);
  Saving saving;
  save_optimizer(saving.buffer, "adam", adam);
  saving.buffer.put("bytes", *put(*saving.store, torch::zeros({10}, torch::kUInt8)));
  auto saved = saving.saved();
  CHECK(thrown([&] { load_optimizer(*saved, "bytes", adam); }).find("does not fit") != std::string::npos);
  CHECK(thrown([&] { auto generator = at::make_generator<at::CPUGeneratorImpl>(6); load_generator(*saved, "bytes", generator); })
            .find("does not fit") != std::string::npos);
}

}  // namespace tv::test
