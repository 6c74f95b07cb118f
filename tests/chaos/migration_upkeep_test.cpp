// Actors that move in the middle of something else: suspended, being drained, rolled or scaled; to a worker that hangs or dies; and at the
// daemon's end.
#include <signal.h>

#include "tests/chaos/migration_fixture.h"

using namespace tv;
using namespace tv::test;

namespace {

std::string movable_counter(const std::string& more = "") {
  return movable("counter", Counter::kType, "worker = \"cpu\"", "max_deliveries = 255\n" + more);
}

std::vector<Future<std::int64_t>> send(Ref<Counter>& counter, int messages) {
  std::vector<Future<std::int64_t>> calls;
  for (int i = 0; i < messages; ++i) calls.push_back(counter.call_with(kPatient, Counter::add, std::int64_t{1}));
  return calls;
}

// Each counted once, in the order in which they were sent.
void check_counted(Moving& daemon, const std::vector<Future<std::int64_t>>& calls, std::int64_t from) {
  for (const auto& call : calls) CHECK(daemon.must(call.get()) == ++from);
}

void wait_logged(Moving& daemon, const std::string& text) {
  daemon.wait_until(text, [&] { return daemon.logged(text); });
}

}  // namespace

TEST_CASE("an actor that is suspended stays so where it moves, and its mail is read there in order when it is resumed", "[migration]") {
  Moving daemon(workers_that_move(2) + movable_counter());
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  REQUIRE(daemon.must(counter.call_with(kPatient, Counter::add, 5).get()) == 5);
  require_done(daemon.tensorctl({"suspend", "counter"}));
  auto before = send(counter, 20);
  daemon.kill_for_good("cpu/0");
  daemon.wait_until("it has moved", [&] { return daemon.actor("counter").worker == "cpu/1"; });
  daemon.wait_until("it is suspended there", [&] { return daemon.actor("counter").state == "suspended"; });
  auto after = send(counter, 20);
  // What is suspended is not resumed by another death of its host either.
  daemon.kill_worker("cpu/1", SIGABRT);
  daemon.wait_until("its host is back", [&] { return daemon.worker("cpu/1").incarnation == 2 && daemon.worker("cpu/1").state == "ready"; });
  CHECK(daemon.actor("counter").state == "suspended");
  for (const auto& call : before) CHECK_FALSE(call.ready());
  require_done(daemon.tensorctl({"resume", "counter"}));
  check_counted(daemon, before, 5);
  check_counted(daemon, after, 25);
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an actor that moves while it is drained finishes its mail where it went, and is drained then", "[migration]") {
  Moving daemon(workers_that_move(2) + movable_counter());
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  REQUIRE(daemon.must(counter.call_with(kPatient, Counter::add, 5).get()) == 5);
  auto hanging = counter.call_with(kPatient, Counter::hang_once, std::string("begun"), false);
  auto behind = send(counter, 20);
  daemon.wait_until("the method runs", [&] { return client->find("begun").ok(); });
  require_done(daemon.tensorctl({"drain", "counter", "--no-wait"}));
  wait_logged(daemon, "event=\"drain begins\"");
  daemon.kill_for_good("cpu/0");
  CHECK(daemon.must(hanging.get()) == 2u);
  check_counted(daemon, behind, 5);
  daemon.wait_until("it is drained", [&] { return daemon.actor("counter").state == "drained"; });
  CHECK(daemon.actor("counter").worker == "cpu/1");
  auto refused = counter.call(Counter::add, std::int64_t{1}).get();
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Errc::kNotDelivered);
  require_done(daemon.tensorctl({"undrain", "counter"}));
  CHECK(daemon.must(counter.call_with(kPatient, Counter::add, 1).get()) == 26);
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a rolling restart ends well though members move in the middle of it, and no call is lost", "[migration]") {
  Moving daemon(workers_that_move(3) + pool(6));
  Traffic traffic(daemon);
  traffic.wait_for(daemon, 20);
  require_done(daemon.tensorctl({"restart", "--rolling", "p", "--no-wait"}));
  wait_logged(daemon, "event=\"rolling restart goes on\" name=p unit=p/1");
  daemon.kill_worker("cpu/1");  // where the member is that is being settled, or was just now
  wait_logged(daemon, "event=\"rolling restart done\" name=p of=6");
  daemon.wait_until("the member is ready elsewhere",
                    [&] { return daemon.actor("p/1").state == "ready" && daemon.actor("p/1").worker != "cpu/1"; });
  traffic.wait_for(daemon, 50);
  traffic.stop();
  CHECK(traffic.complaint() == "");
  CHECK(balances(daemon, 6) == traffic.paid());
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a pool grows and shrinks though its members move in the middle of it, and no call is lost", "[migration]") {
  Moving daemon(workers_that_move(3) + pool(3, "max_size = 9"));
  Traffic traffic(daemon);
  traffic.wait_for(daemon, 20);
  require_done(daemon.tensorctl({"scale", "p", "9", "--no-wait"}));
  daemon.kill_worker("cpu/1");
  wait_logged(daemon, "event=\"scale up done\" name=p");
  daemon.wait_until("all are ready", [&] {
    for (int i = 0; i < 9; ++i)
      if (daemon.actor("p/" + std::to_string(i)).state != "ready") return false;
    return true;
  });
  traffic.wait_for(daemon, 50);
  require_done(daemon.tensorctl({"scale", "p", "2", "--no-wait"}));
  daemon.kill_worker("cpu/2");
  wait_logged(daemon, "event=\"scale down done\" name=p");
  traffic.wait_for(daemon, 50);
  traffic.stop();
  CHECK(traffic.complaint() == "");
  // Those that come again have the state that they went with, on workers that have come back too.
  require_done(daemon.tensorctl({"restart", "cpu/1"}));
  require_done(daemon.tensorctl({"scale", "p", "9"}));
  CHECK(balances(daemon, 9) == traffic.paid());
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("when the worker that an actor moves to hangs before it has read of it, the actor starts with its next process, or moves on",
          "[migration]") {
  bool moves_on = GENERATE(false, true);
  Moving daemon(workers_that_move(3, "watchdog = \"1s\"\nwatchdog_grace = \"100ms\"" +
                                         std::string(moves_on ? "\ncauses = { hang = \"restart_elsewhere\" }" : "")) +
                movable_counter());
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  REQUIRE(daemon.must(counter.call_with(kPatient, Counter::add, 5).get()) == 5);
  daemon.kill_worker("cpu/1", SIGSTOP);
  daemon.kill_for_good("cpu/0");
  auto calls = send(counter, 50);
  std::string host = moves_on ? "cpu/2" : "cpu/1";
  daemon.wait_ready_on("counter", host);
  check_counted(daemon, calls, 5);
  CHECK(has(daemon.worker("cpu/1").last_death, "its process was stopped (SIGSTOP)"));
  CHECK(daemon.worker("cpu/1").state == (moves_on ? "failed" : "ready"));
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("when the worker that an actor moves to is killed at once, the actor moves on with all that it had", "[migration]") {
  Moving daemon(workers_that_move(4) + movable_counter());
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  std::int64_t count = 0;
  for (int round = 0; round < 6; ++round) {
    auto calls = send(counter, 30);
    std::string host = daemon.actor("counter").worker;
    daemon.kill_worker(host);
    daemon.wait_until("it moves", [&] { return daemon.actor("counter").worker != host; });
    std::string next = daemon.actor("counter").worker;
    daemon.kill_for_good(next);
    daemon.wait_until("it moves on", [&] { return daemon.actor("counter").worker != next; });
    check_counted(daemon, calls, count);
    count += 30;
    for (const auto& gone : {host, next}) {
      CHECK(daemon.tensorctl({"restart", gone}).status == 0);
      daemon.wait_until(gone + " is back", [&] { return daemon.worker(gone).state == "ready"; });
    }
    daemon.wait_until("the counter is well", [&] { return daemon.actor("counter").state == "ready"; });
  }
  CHECK(daemon.must(counter.call_with(kPatient, Counter::value).get()) == count);
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("the daemon ends in order while a mailbox that has moved waits for its reader, and what was answered is on disk", "[migration]") {
  TempDir kept;
  auto config = "[supervisor]\nstop_grace = \"500ms\"\n[checkpoints]\ndirectory = \"" + kept.path() + "/kept\"\n" +
                workers_that_move(2, "watchdog = \"0s\"");
  auto counters = movable("counter", Counter::kType, "worker = \"cpu\"", "max_deliveries = 255");
  auto on_disk = counters.replace(counters.find("every_messages = 1"), 18, "every_messages = 1, disk = true");
  {
    Moving daemon(config + on_disk);
    auto client = daemon.connect();
    auto counter = *client->actor<Counter>("counter");
    check_counted(daemon, send(counter, 20), 0);
    daemon.kill_worker("cpu/1", SIGSTOP);  // reads nothing, and nobody kills it for that
    daemon.kill_for_good("cpu/0");
    daemon.wait_until("it has moved", [&] { return daemon.actor("counter").worker == "cpu/1"; });
    auto unread = send(counter, 20);
    CHECK(daemon.stop() == 0);
    CHECK(has(daemon.log(), "event=\"stop was forced\""));
    for (const auto& call : unread) {
      auto answer = call.get();
      REQUIRE_FALSE(answer.ok());
      CHECK(delivery_of(answer.error()) == Delivery::kUnknown);
    }
  }
  Moving daemon(config + on_disk);
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  CHECK(daemon.must(counter.call_with(kPatient, Counter::value).get()) == 20);
  CHECK(daemon.stop() == 0);
}
