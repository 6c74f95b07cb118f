// What makes an actor commit: so many messages, so much time, its own method, and an order from outside, which also writes it to disk.
#include <nlohmann/json.hpp>

#include "tests/support/catch.h"
#include "tests/support/daemon.h"
#include "tests/support/plugins/bank.h"

using namespace tv;
using namespace tv::test;
using nlohmann::json;

namespace {

constexpr CallOptions kPatient{.timeout = 10min};

struct OnDisk : Daemon {
  explicit OnDisk(const std::string& directory, const std::string& checkpoint)
      : Daemon({.config = base_config(1) + "[checkpoints]\ndirectory = \"" + directory + "\"\nmin_interval = \"0s\"\n[[actor]]\nname = \"counter\"\ntype = \"" +
                          Counter::kType + "\"\nplugin = \"" + plugin("bank") + "\"\nworker = \"cpu\"\ncheckpoint = { disk = true, " + checkpoint + " }\n",
                .environment = {{"TENSORVISOR_WORKER", TV_CHAOS_WORKER}}}) {}
  std::int64_t must(Result<std::int64_t> result) {
    if (!result) FAIL(result.error().message + "\n" + log());
    return *result;
  }
  // An answer may be there before its message is marked as read, and would be counted again after a kill: once another call has been
  // answered, all before it are.
  void settle(Ref<Counter>& counter) { must(counter.call_with(kPatient, Counter::value).get()); }
};

constexpr const char* kNeverByItself = "every_messages = 1000000, interval = \"0s\"";

}  // namespace

TEST_CASE("tensorctl checkpoint makes the actor commit what it has done, and writes that", "[commit]") {
  TempDir dir;
  OnDisk daemon(dir.path() + "/kept", kNeverByItself);
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  CHECK(daemon.must(counter.call_with(kPatient, Counter::add, 5).get()) == 5);
  CHECK(daemon.actor("counter").commits == 0);
  auto ordered = daemon.tensorctl({"checkpoint", "counter", "-o", "json"});
  INFO(ordered.out << ordered.err);
  REQUIRE(ordered.status == 0);
  auto written = json::parse(ordered.out)["checkpoints"][0];
  CHECK(written["last_commit_only"] == false);
  CHECK(written["commit"] == 1);
  CHECK(written["generation"] == 1);
  CHECK(daemon.actor("counter").commits == 1);

  // Not what came after it.
  CHECK(daemon.must(counter.call_with(kPatient, Counter::add, 2).get()) == 7);
  daemon.settle(counter);
  daemon.kill_and_wait("cpu");
  CHECK(daemon.must(counter.call_with(kPatient, Counter::value).get()) == 5);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an actor in a long method is not waited for beyond the timeout, and its last commit is said to be all that was written", "[commit]") {
  TempDir dir;
  OnDisk daemon(dir.path() + "/kept", "every_messages = 1");
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  CHECK(daemon.must(counter.call_with(kPatient, Counter::add, 5).get()) == 5);
  auto slow = counter.call_with(kPatient, Counter::slow, std::int64_t{600'000});
  daemon.wait_until("the long method runs", [&] {
    auto told = daemon.tensorctl({"checkpoint", "counter", "--timeout", "1s"});
    INFO(told.out << told.err);
    REQUIRE(told.status == 0);
    return told.out.find("in the middle of a message, no new commit was made in time; this is its last one") != std::string::npos;
  });
  CHECK(daemon.actor("counter").commits >= 1);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an actor commits after so many messages, and not before", "[commit]") {
  TempDir dir;
  OnDisk daemon(dir.path() + "/kept", "every_messages = 3");
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  for (std::int64_t i = 1; i <= 4; ++i) CHECK(daemon.must(counter.call_with(kPatient, Counter::add, 1).get()) == i);
  daemon.settle(counter);
  CHECK(daemon.actor("counter").commits == 1);
  daemon.kill_and_wait("cpu");
  CHECK(daemon.must(counter.call_with(kPatient, Counter::value).get()) == 3);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an actor commits when so much time has passed since its last commit, without another message", "[commit]") {
  TempDir dir;
  OnDisk daemon(dir.path() + "/kept", "every_messages = 1000000, interval = \"50ms\"");
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  CHECK(daemon.must(counter.call_with(kPatient, Counter::add, 5).get()) == 5);
  daemon.wait_until("the commit", [&] { return daemon.actor("counter").commits >= 1; });
  daemon.kill_and_wait("cpu");
  CHECK(daemon.must(counter.call_with(kPatient, Counter::value).get()) == 5);
  CHECK(daemon.stop() == 0);
}
