#include <cstring>

#include "tests/integration/bank_config.h"

using namespace tv;
using namespace tv::test;

namespace {

shm::Tensor floats(Client& client, std::int64_t n, float value) {
  auto draft = client.store()->create(*shm::TensorSpec::contiguous(shm::DType::kFloat32, {n}));
  if (!draft) FAIL(draft.error().message);
  for (std::int64_t i = 0; i < n; ++i) std::memcpy(draft->span().data() + i * 4, &value, 4);
  return std::move(*draft).seal();
}

}  // namespace

TEST_CASE("a client's tensor is summed by an actor where it lies, and freed when nobody needs it", "[integration]") {
  Daemon daemon({.config = counter_config()});
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  auto before = daemon.objects();
  {
    auto tensor = floats(*client, 100000, 0.5F);
    auto sum = counter.call(Counter::sum, tensor).get(10s);
    INFO((sum ? "" : sum.error().message));
    REQUIRE(sum.ok());
    CHECK(*sum == 50000);
    CHECK(daemon.objects() >= before + 1);
  }
  {
    auto result = counter.call(Counter::put_tensor, 10).get(10s);
    REQUIRE(result.ok());
    float last;
    std::memcpy(&last, static_cast<const std::byte*>(result->data()) + 36, 4);
    CHECK(last == 9);
    CHECK(result->store() == client->store());
  }
  // One more round makes both sides look at what has been read and freed.
  REQUIRE(counter.call(Counter::value).get(10s).ok());
  daemon.wait_until("the tensors are freed", [&] { return daemon.objects() <= before + 2; });
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an answer's tensor survives the death of the worker that made it", "[integration]") {
  Daemon daemon({.config = counter_config()});
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  auto tensor = *counter.call(Counter::put_tensor, 1000).get(10s);
  daemon.kill_and_wait("cpu");
  float last;
  std::memcpy(&last, static_cast<const std::byte*>(tensor.data()) + 3996, 4);
  CHECK(last == 999);
  CHECK(*counter.call(Counter::sum, tensor).get(10s) == 499500);
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a published tensor is found by its name by everybody, also after its publisher's death", "[integration]") {
  Daemon daemon({.config = counter_config()});
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  CHECK_FALSE(client->find("weights").ok());
  CHECK(*counter.call(Counter::publish, std::string("weights"), 10).get(10s) == 1);
  CHECK(*counter.call(Counter::publish, std::string("weights"), 20).get(10s) == 2);
  daemon.kill_and_wait("cpu");
  auto weights = client->find("weights");
  REQUIRE(weights.ok());
  CHECK(weights->spec().shape[0] == 20);
  REQUIRE(counter.call(Counter::withdraw, std::string("weights")).get(10s).ok());
  CHECK_FALSE(client->find("weights").ok());
  CHECK(static_cast<const float*>(weights->data())[19] == 19);  // held by us
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("state that was committed a thousand times takes no more room than one commit", "[integration]") {
  Daemon daemon({.config = counter_config()});
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  REQUIRE(counter.call(Counter::add, 1).get(10s).ok());
  auto before = daemon.objects();
  for (int i = 0; i < 1000; ++i) REQUIRE(counter.call(Counter::add, 1).get(10s).ok());
  CHECK(daemon.objects() <= before + 2);
  CHECK(daemon.actor("counter").commits >= 1000);
  CHECK(*counter.call(Counter::value).get(10s) == 1001);
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an actor that writes into a tensor of another worker kills its own worker alone, and is named", "[integration]") {
  Daemon daemon({.config = base_config(2, "restart = { intensity = 0 }") + actor_config("owner", "test.counter", "worker = \"cpu/0\"") +
                           actor_config("writer", "test.counter", "worker = \"cpu/1\"")});
  auto client = daemon.connect();
  auto owner = *client->actor<Counter>("owner");
  auto writer = *client->actor<Counter>("writer");
  auto tensor = owner.call(Counter::put_tensor, 1000).get(10s);
  REQUIRE(tensor.ok());
  CHECK_FALSE(writer.call(Counter::scribble, *tensor).get(10s).ok());
  daemon.wait_until("the writer's death", [&] { return daemon.actor("writer").state == "failed"; });

  std::string death = daemon.worker("cpu/1").last_death;
  INFO(death);
  CHECK(death.find("killed by SIGSEGV") == 0);
  std::string what = "actor \"writer\" wrote to tensor " + shm::to_string(tensor->handle()) + " (float32[1000]) of worker \"cpu/0\"";
  CHECK(death.find(what) != std::string::npos);
  CHECK(death.find("which is sealed") != std::string::npos);
  CHECK(daemon.logged("wrote to tensor " + shm::to_string(tensor->handle())));
  CHECK(daemon.tensorctl({"describe", "worker", "cpu/1"}).out.find("wrote to tensor") != std::string::npos);
  CHECK(daemon.tensorctl({"arena", "who", shm::to_string(tensor->handle())}).out.find("put_tensor") != std::string::npos);

  float first, second;
  std::memcpy(&first, tensor->data(), 4);
  std::memcpy(&second, static_cast<const std::byte*>(tensor->data()) + 4, 4);
  CHECK(first == 0);
  CHECK(second == 1);
  CHECK(owner.call(Counter::value).get(10s).ok());
  CHECK(daemon.worker("cpu/0").incarnation == 1);
  CHECK(daemon.fsck().empty());
}
