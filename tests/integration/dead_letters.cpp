#include <algorithm>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/integration/bank_config.h"

using namespace tv;
using namespace tv::test;
using nlohmann::json;

namespace {

// One actor, and restarts without much delay.
std::string config_of(const std::string& actor_extra = "") {
  return base_config(1, "restart = { min = \"1ms\", max = \"10ms\" }") + actor_config("counter", "test.counter", actor_extra);
}

shm::Tensor floats(Client& client, std::int64_t n, float value) {
  auto draft = client.store()->create(*shm::TensorSpec::contiguous(shm::DType::kFloat32, {n}));
  if (!draft) FAIL(draft.error().message);
  for (std::int64_t i = 0; i < n; ++i) std::memcpy(draft->span().data() + i * 4, &value, 4);
  return std::move(*draft).seal();
}

std::ptrdiff_t runs(const std::string& path) {
  auto text = read_text(path + ".runs");
  return std::count(text.begin(), text.end(), '\n');
}

}  // namespace

TEST_CASE(
    "a message that kills its worker three times goes to the dead letters, its neighbours are handled once, and a replay succeeds when "
    "the cause is gone",
    "[integration]") {
  Daemon daemon({.config = config_of()});
  auto client = daemon.connect("tester");
  auto counter = *client->actor<Counter>("counter");
  std::string antidote = daemon.dir() + "/antidote";

  auto before = counter.call(Counter::add, 1);
  auto poison = counter.call(Counter::poison, antidote, floats(*client, 10, 2.0F));
  auto behind = counter.call(Counter::add, 10);
  auto outcome = poison.get(30s);
  REQUIRE_FALSE(outcome.ok());
  INFO(outcome.error().message);
  CHECK(outcome.error().code == Errc::kOutcomeUnknown);
  CHECK(outcome.error().message.find("counter.poison: given up after 3 deaths of its worker: killed by SIGKILL") != std::string::npos);
  CHECK(outcome.error().message.find("dead letter 1") != std::string::npos);
  CHECK(*before.get(30s) == 1);
  CHECK(*behind.get(30s) == 11);
  CHECK(runs(antidote) == 3);
  CHECK(daemon.worker("cpu").restarts == 3);
  CHECK(daemon.worker("cpu").state == "ready");
  CHECK(daemon.logged("dead letter taken"));

  auto list = daemon.tensorctl({"dead-letters", "list", "-o", "json"});
  INFO(list.out << list.err);
  REQUIRE(list.status == 0);
  auto letter = json::parse(list.out)["dead_letters"].at(0);
  CHECK(letter["id"] == 1);
  CHECK(letter["actor"] == "counter");
  CHECK(letter["method"] == "poison");
  CHECK(letter["from"].get<std::string>().find("tester") != std::string::npos);
  CHECK(letter["tries"] == 3);
  CHECK(letter["cause"] == "killed by SIGKILL");
  auto shown = daemon.tensorctl({"dead-letters", "show", "1", "-o", "json"});
  INFO(shown.out << shown.err);
  REQUIRE(shown.status == 0);
  auto arguments = json::parse(shown.out)["arguments"];
  CHECK(arguments.at(0) == antidote);
  CHECK(arguments.at(1)["tensor"] == "float32[10]");
  CHECK(daemon.tensorctl({"dead-letters", "show", "1"}).out.find("float32[10]") != std::string::npos);
  CHECK(json::parse(daemon.tensorctl({"describe", "actor", "counter", "-o", "json"}).out)["dead_letters"] == 1);
  CHECK(daemon.fsck().empty());

  // Its sender is gone, and the tensor that it sent is still there.
  client.reset();
  daemon.wait_until("nothing of the letter counts as forgotten", [&] {
    return daemon.tensorctl({"arena", "leaks", "--older-than", "1ns"}).out.find("nothing older than") == 0;
  });
  std::ofstream(antidote) << "drink me\n";
  auto replayed = daemon.tensorctl({"dead-letters", "replay", "1"});
  INFO(replayed.out << replayed.err);
  REQUIRE(replayed.status == 0);
  daemon.wait_until("the message has been handled", [&] { return runs(antidote) == 4; });
  auto later = daemon.connect("later");
  CHECK(*(*later->actor<Counter>("counter")).call(Counter::value).get(30s) == 31);
  CHECK(json::parse(daemon.tensorctl({"dead-letters", "list", "-o", "json"}).out)["dead_letters"].empty());
  CHECK(daemon.tensorctl({"dead-letters", "replay", "1"}).status == 4);
  CHECK(daemon.worker("cpu").restarts == 3);
  daemon.wait_until("the books balance", [&] { return daemon.fsck().empty(); });
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a replayed message that kills again is another dead letter, and a purge drops it", "[integration]") {
  Daemon daemon({.config = config_of("max_deliveries = 1")});
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  std::string antidote = daemon.dir() + "/antidote";
  auto objects = daemon.objects();
  REQUIRE_FALSE(counter.call(Counter::poison, antidote, floats(*client, 10, 2.0F)).get(30s).ok());
  REQUIRE(daemon.tensorctl({"dead-letters", "replay", "1"}).status == 0);
  json letters;
  daemon.wait_until("it is a dead letter again", [&] {
    letters = json::parse(daemon.tensorctl({"dead-letters", "list", "-o", "json"}).out)["dead_letters"];
    return letters.size() == 1;
  });
  CHECK(letters.at(0)["id"] == 2);
  CHECK(letters.at(0)["from"] == "supervisor");
  CHECK(runs(antidote) == 2);
  CHECK(daemon.tensorctl({"dead-letters", "purge", "1"}).status == 4);
  CHECK(daemon.tensorctl({"dead-letters", "purge"}).status == 2);
  CHECK(daemon.tensorctl({"dead-letters", "purge", "2"}).status == 0);
  CHECK(daemon.tensorctl({"dead-letters", "show", "2"}).status == 4);
  CHECK(daemon.tensorctl({"dead-letters", "purge", "--all"}).status == 0);
  REQUIRE(counter.call(Counter::value).get(30s).ok());
  daemon.wait_until("its tensors are freed", [&] { return daemon.objects() <= objects + 2; });
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("at most once, the call that kills its worker is answered as soon as the worker is back, and never run twice", "[integration]") {
  Daemon daemon({.config = config_of("delivery = \"at_most_once\"")});
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  std::string antidote = daemon.dir() + "/antidote";
  auto poison = counter.call_with({.timeout = 10min}, Counter::poison, antidote, floats(*client, 10, 2.0F));
  auto behind = counter.call(Counter::add, 10);
  auto outcome = poison.get(60s);
  REQUIRE_FALSE(outcome.ok());
  INFO(outcome.error().message);
  CHECK(outcome.error().code == Errc::kOutcomeUnknown);
  CHECK(outcome.error().message ==
        "counter.poison: its worker died while it ran: killed by SIGKILL; this actor takes each message at most once");
  CHECK(*behind.get(30s) == 10);
  CHECK(runs(antidote) == 1);
  CHECK(daemon.worker("cpu").restarts == 1);
  CHECK(json::parse(daemon.tensorctl({"dead-letters", "list", "-o", "json"}).out)["dead_letters"].empty());
  CHECK(daemon.stop() == 0);
}
