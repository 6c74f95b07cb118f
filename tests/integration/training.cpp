#include <algorithm>
#include <cstring>
#include <random>

#include "tests/integration/bank_config.h"
#include "tests/support/plugins/trainer.h"

using namespace tv;
using namespace tv::test;

namespace {

std::string trainer_config(const std::string& name, const std::string& worker) {
  return "[[actor]]\nname = \"" + name + "\"\ntype = \"test.trainer\"\nplugin = \"" + plugin("trainer") + "\"\nworker = \"" + worker +
         // A death between a commit and the cursor's move would train a message twice else. Three deaths may hit one message.
         "\"\ndelivery = \"effectively_once\"\nmax_deliveries = 8\n\n";
}

// What the trainer has published last; -1 before the first.
std::int64_t step_of(Client& client, const std::string& name) {
  auto tensor = client.find(name + ".step");
  if (!tensor) return -1;
  std::int64_t step = 0;
  std::memcpy(&step, tensor->data(), sizeof step);
  return step;
}

std::vector<std::string> bytes_of(const std::vector<shm::Tensor>& tensors) {
  std::vector<std::string> all;
  for (const auto& tensor : tensors) all.emplace_back(static_cast<const char*>(tensor.data()), tensor.bytes());
  return all;
}

}  // namespace

TEST_CASE("a trainer that is killed three times ends with the same parameters, bit for bit, as one that is not", "[integration]") {
  constexpr std::int64_t kMessages = 12, kSteps = 10;
  unsigned seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  Daemon daemon({.config = base_config(2, "threads = 1\nspares = 1") + trainer_config("steady", "cpu/0") + trainer_config("killed", "cpu/1")});
  auto client = daemon.connect();
  auto steady = *client->actor<Trainer>("steady");
  auto killed = *client->actor<Trainer>("killed");
  std::vector<std::int64_t> deaths;  // steps in the middle of different messages
  while (deaths.size() < 3) {
    auto step = static_cast<std::int64_t>(random() % static_cast<unsigned>(kMessages)) * kSteps + 1 + static_cast<std::int64_t>(random() % 8);
    if (std::none_of(deaths.begin(), deaths.end(), [&](auto other) { return other / kSteps == step / kSteps; })) deaths.push_back(step);
  }
  std::sort(deaths.begin(), deaths.end());
  std::vector<Future<std::int64_t>> answers, others;
  for (std::int64_t i = 0; i < kMessages; ++i) {
    others.push_back(steady.call(Trainer::train, kSteps));
    answers.push_back(killed.call(Trainer::train, kSteps));
  }
  for (auto step : deaths) {
    daemon.wait_until("the trainer gets to step " + std::to_string(step), [&] { return step_of(*client, "killed") >= step; });
    daemon.kill_and_wait("cpu/1");
  }
  for (std::int64_t i = 0; i < kMessages; ++i) {
    auto answer = answers[static_cast<std::size_t>(i)].get(60s), other = others[static_cast<std::size_t>(i)].get(60s);
    INFO(i << (answer ? "" : ": " + answer.error().message));
    REQUIRE(answer.ok());
    CHECK(*answer == (i + 1) * kSteps);
    REQUIRE(other.ok());
    CHECK(*other == (i + 1) * kSteps);
  }
  CHECK(daemon.worker("cpu/1").restarts == 3);
  auto left = steady.call(Trainer::weights).get(30s), right = killed.call(Trainer::weights).get(30s);
  REQUIRE(left.ok());
  REQUIRE(right.ok());
  REQUIRE(left->size() == 9);
  CHECK(bytes_of(*left) == bytes_of(*right));
  CHECK(daemon.stop() == 0);
}
