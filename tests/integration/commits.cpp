// What administrators see when a full arena keeps an actor from committing its state.
#include <nlohmann/json.hpp>

#include "tests/integration/bank_config.h"

using namespace tv;
using namespace tv::test;
using nlohmann::json;

TEST_CASE("commits that fail in a full arena show in health, status and describe, until one succeeds", "[integration]") {
  Daemon daemon({.config = "[arena]\nsize = \"16MiB\"\npatience = \"300ms\"\n[[worker]]\nname = \"cpu\"\ncount = 2\n" +
                           actor_config("filler", "test.counter", "worker = \"cpu/0\"") +
                           actor_config("counter", "test.counter", "worker = \"cpu/1\"")});
  auto client = daemon.connect();
  auto filler = *client->actor<Counter>("filler");
  auto counter = *client->actor<Counter>("counter");
  auto status = [&] { return json::parse(daemon.tensorctl({"status", "-o", "json"}).out); };
  auto described = [&] { return json::parse(daemon.tensorctl({"describe", "actor", "counter", "-o", "json"}).out); };
  CHECK(status()["health"] == "ok");
  CHECK(status()["problems"].empty());

  int published = 0;
  while (published < 100 && filler.call(Counter::publish, "t" + std::to_string(published), std::int64_t{512} << 10).get(30s).ok())
    ++published;
  REQUIRE(published > 0);
  REQUIRE(published < 100);
  auto failed = counter.call(Counter::add, 5).get(30s);
  REQUIRE_FALSE(failed.ok());
  INFO(failed.error().message);
  CHECK(failed.error().code == Errc::kOutcomeUnknown);
  CHECK(failed.error().message.find("7 of 7 blocks of 2.0MiB are leased") != std::string::npos);
  daemon.wait_until("the reason is known", [&] { return !described()["last_commit_error"].is_null(); });
  auto actor = described();
  CHECK(actor["commits_failed"] == 1);
  CHECK(actor["commits_failing_since"].is_string());
  CHECK(actor["last_commit_error"].get<std::string>().find("the arena is full") != std::string::npos);
  auto ill = status();
  CHECK(ill["health"] == "degraded");
  REQUIRE(ill["problems"].size() == 1);
  CHECK(ill["problems"][0].get<std::string>().find("actor \"counter\" has not been able to commit its state") == 0);
  CHECK(daemon.tensorctl({"status"}).out.find("the arena is full") != std::string::npos);
  CHECK(daemon.logged("state not committed"));

  REQUIRE(filler.call(Counter::withdraw, std::string("t0")).get(30s).ok());
  auto value = counter.call(Counter::value).get(30s);
  if (!value) FAIL(value.error().message);
  CHECK(*value == 5);
  auto well = described();
  CHECK(well["commits_failing_since"].is_null());
  CHECK(well["last_commit_error"].is_string());
  CHECK(status()["health"] == "ok");
  CHECK(daemon.stop() == 0);
}
