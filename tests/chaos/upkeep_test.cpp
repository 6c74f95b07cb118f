// Drain, rolling restart, suspend, resume and scale, on real processes and under traffic: every call is answered once, and its effect is
// there once.
#include <filesystem>

#include "tests/chaos/upkeep_fixture.h"

using namespace tv;
using namespace tv::test;

TEST_CASE("a rolling restart of a pool under traffic restarts every member and loses no call", "[upkeep]") {
  auto daemon = start(workers(2) + pool(4));
  Traffic traffic(daemon);
  traffic.wait_for(daemon, 20);
  auto rolled = daemon.tensorctl({"restart", "--rolling", "p", "--timeout", "1min"});
  require_done(rolled);
  CHECK(rolled.out == "rolling restart of \"p\": 4 of 4 done\n");
  CHECK(has(rolled.err, "rolling restart of \"p\": "));
  traffic.wait_for(daemon, 20);
  traffic.stop();
  CHECK(traffic.complaint() == "");
  auto log = daemon.log();
  std::string last;
  for (int i = 0; i < 4; ++i) {  // in their order, each stopped once
    auto at = moment(log, stopped(i % 2, "p/" + std::to_string(i)));
    CHECK(at >= last);
    last = at;
  }
  CHECK(balances(daemon, 4) == traffic.paid());
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a pool with one member is rolled without a call refused: its mail waits", "[upkeep]") {
  auto daemon = start(workers(1) + pool(1));
  Traffic traffic(daemon);
  traffic.wait_for(daemon, 5);
  require_done(daemon.tensorctl({"restart", "--rolling", "p"}));
  traffic.wait_for(daemon, 5);
  traffic.stop();
  CHECK(traffic.complaint() == "");
  CHECK(balances(daemon, 1) == traffic.paid());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a rolling restart of workers under traffic gives each a new process and loses no call", "[upkeep]") {
  auto daemon = start(workers(2) + pool(4));
  Traffic traffic(daemon);
  traffic.wait_for(daemon, 20);
  auto before = std::vector<int>{daemon.worker("cpu/0").pid, daemon.worker("cpu/1").pid};
  require_done(daemon.tensorctl({"restart", "--rolling", "cpu"}));
  CHECK(daemon.worker("cpu/0").pid != before[0]);
  CHECK(daemon.worker("cpu/1").pid != before[1]);
  traffic.wait_for(daemon, 20);
  traffic.stop();
  CHECK(traffic.complaint() == "");
  CHECK(balances(daemon, 4) == traffic.paid());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a rolling restart survives the death of a worker in the middle of it", "[upkeep]") {
  auto daemon = start(workers(2) + pool(4));
  Traffic traffic(daemon);
  traffic.wait_for(daemon, 20);
  require_done(daemon.tensorctl({"restart", "--rolling", "p", "--no-wait"}));
  daemon.wait_until("the second member", [&] { return daemon.logged("event=\"rolling restart goes on\" name=p unit=p/1"); });
  daemon.kill_worker("cpu/1");
  daemon.wait_until("the end of it", [&] { return daemon.logged("event=\"rolling restart done\" name=p of=4"); });
  traffic.wait_for(daemon, 20);
  traffic.stop();
  CHECK(traffic.complaint() == "");
  CHECK(balances(daemon, 4) == traffic.paid());
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a rolling restart stops at a worker whose actors do not come back, and leaves the others as they are", "[upkeep]") {
  TempDir dir;
  std::string library = dir.path() + "/ledger.so";
  std::filesystem::copy_file(plugin("ledger"), library);
  auto config = workers(2) + pool(2);
  config.replace(config.find(plugin("ledger")), plugin("ledger").size(), library);
  auto daemon = start(config);
  int second = daemon.worker("cpu/1").pid;
  std::filesystem::remove(library);
  auto rolled = daemon.tensorctl({"restart", "--rolling", "cpu"});
  CHECK(rolled.status == 1);
  INFO(rolled.err);
  CHECK(has(rolled.err, "0 of 2 done, then failed: \"cpu/0\" did not come back: "));
  CHECK(has(rolled.err, "ledger.so"));
  CHECK(daemon.worker("cpu/1").pid == second);
  CHECK(daemon.actor("p/1").state == "ready");
  // A failed actor stays away when its worker is restarted, and nobody waits for it; a process that could not load the plug-in does not try again.
  std::filesystem::copy_file(plugin("ledger"), library);
  require_done(daemon.tensorctl({"restart", "--rolling", "cpu"}));
  CHECK(daemon.worker("cpu/1").pid != second);
  require_done(daemon.tensorctl({"wait", "cpu/0"}));
  require_done(daemon.tensorctl({"restart", "--rolling", "p"}));
  CHECK(daemon.actor("p/0").state == "ready");
  CHECK(daemon.stop() == 0);
}

TEST_CASE("effectively once holds for calls between actors while their pool is rolled and both ends die", "[upkeep]") {
  auto daemon = start(workers(3) + "[[pool]]\nname = \"p\"\ntype = \"test.account\"\nplugin = \"" + plugin("ledger") +
                      "\"\nsize = 4\nworkers = [\"cpu/0\", \"cpu/1\"]\ndelivery = \"effectively_once\"\nmax_deliveries = 255\n"
                      "args = { start = 1000000 }\n[[actor]]\nname = \"teller\"\ntype = \"test.teller\"\nplugin = \"" + plugin("ledger") +
                      "\"\nworker = \"cpu/2\"\ndelivery = \"effectively_once\"\nmax_deliveries = 255\n");
  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> answered{0};
  std::string complaint;
  auto client = daemon.connect("mover");
  std::thread mover([&] {
    auto teller = *client->actor<Teller>("teller");
    while (!stop) {
      auto moved = teller.call_with(kPatient, Teller::transfer, std::string("p"), std::string("p"), std::int64_t{3}).get();
      if (!moved) {
        complaint = moved.error().message;
        return;
      }
      ++answered;
    }
  });
  auto more = [&](std::int64_t n) { daemon.wait_until("transfers", [&, goal = answered + n] { return answered >= goal || !complaint.empty(); }); };
  for (int round = 1; round <= 3; ++round) {
    more(10);
    require_done(daemon.tensorctl({"restart", "--rolling", "p", "--no-wait"}));
    daemon.kill_worker("cpu/2");
    daemon.kill_worker(round % 2 == 0 ? "cpu/0" : "cpu/1");
    daemon.wait_until("the end of it", [&] {
      auto log = daemon.log();
      int ends = 0;
      for (auto at = log.find("event=\"rolling restart done\""); at != std::string::npos; at = log.find("event=\"rolling restart done\"", at + 1)) ++ends;
      return ends == round;
    });
  }
  more(10);
  stop = true;
  mover.join();
  CHECK(complaint == "");
  auto teller = *client->actor<Teller>("teller");
  CHECK(teller.call_with(kPatient, Teller::transfers).get().value_or(0) == answered);
  CHECK(balances(daemon, 4) == 4'000'000);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a drained member gets nothing new while the others go on, and is refused by its own name until undrain", "[upkeep]") {
  auto daemon = start(workers(2) + pool(3));
  Traffic traffic(daemon);
  traffic.wait_for(daemon, 20);
  require_done(daemon.tensorctl({"drain", "p/1"}));
  CHECK(daemon.actor("p/1").state == "drained");
  auto handled = daemon.actor("p/1").handled;
  traffic.wait_for(daemon, 100);
  CHECK(daemon.actor("p/1").handled == handled);
  auto client = daemon.connect("direct");
  auto refused = client->actor<Account>("p/1")->call(Account::deposit, std::int64_t{1}).get();
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Errc::kNotDelivered);
  CHECK(has(refused.error().message, "tensorctl undrain p/1"));
  require_done(daemon.tensorctl({"undrain", "p/1"}));
  CHECK(daemon.actor("p/1").state == "ready");
  traffic.wait_for(daemon, 100);
  traffic.stop();
  CHECK(traffic.complaint() == "");
  CHECK(daemon.actor("p/1").handled > handled);
  CHECK(balances(daemon, 3) == traffic.paid());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a drain waits for what is in the mailbox, also when the worker dies of it meanwhile", "[upkeep]") {
  auto daemon = start(workers(2) + counter("c", 0, "delivery = \"effectively_once\"\nmax_deliveries = 255"));
  auto client = daemon.connect("caller");
  auto c = *client->actor<Counter>("c");
  auto slow = c.call_with(kPatient, Counter::hang_once, std::string("begun"), false);
  std::vector<Future<std::int64_t>> behind;
  for (int i = 0; i < 5; ++i) behind.push_back(c.call_with(kPatient, Counter::add, std::int64_t{1}));
  daemon.wait_until("the method has begun", [&] { return client->find("begun").ok(); });
  auto late = daemon.tensorctl({"drain", "c", "--timeout", "200ms"});
  CHECK(late.status == 1);
  CHECK(has(late.err, "not done within 200ms: drain of \"c\": 0 of 1 done, now c; it goes on"));
  CHECK(daemon.actor("c").state == "draining");
  auto again = daemon.tensorctl({"drain", "c"});
  CHECK(again.status == 1);
  CHECK(has(again.err, "\"c\" is in the drain of \"c\""));
  daemon.kill_worker("cpu/0");
  daemon.wait_until("the drain is done", [&] { return daemon.actor("c").state == "drained"; });
  CHECK(slow.get().ok());
  for (int i = 0; i < 5; ++i) CHECK(behind[static_cast<std::size_t>(i)].get().value_or(0) == i + 1);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("mail of a suspended actor waits, and is read in its order when it is resumed, also when its worker has died meanwhile", "[upkeep]") {
  bool dies = GENERATE(false, true);
  auto daemon = start(workers(2) + counter("c", 0));
  auto client = daemon.connect("caller");
  auto c = *client->actor<Counter>("c");
  CHECK(c.call(Counter::add, std::int64_t{5}).get().value_or(0) == 5);
  require_done(daemon.tensorctl({"suspend", "c"}));
  CHECK(daemon.actor("c").state == "suspended");
  std::vector<Future<std::int64_t>> waiting;
  for (int i = 0; i < 20; ++i) waiting.push_back(c.call_with(kPatient, Counter::add, std::int64_t{1}));
  if (dies) {
    daemon.kill_and_wait("cpu/0");
    CHECK(daemon.actor("c").state == "suspended");
  }
  CHECK(daemon.actor("c").handled == 1);
  auto refused = daemon.tensorctl({"drain", "c"});
  CHECK(refused.status == 1);
  CHECK(has(refused.err, "tensorctl resume c first"));
  auto resumed = daemon.tensorctl({"resume", "c", "-o", "json"});
  require_done(resumed);
  CHECK(has(resumed.out, "\"kind\": \"resume\""));
  CHECK(has(resumed.out, "\"state\": \"done\""));
  for (int i = 0; i < 20; ++i) CHECK(waiting[static_cast<std::size_t>(i)].get().value_or(0) == 6 + i);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a pool grows and shrinks under traffic and loses no call, a member that comes again has its state", "[upkeep]") {
  auto daemon = start(workers(2) + pool(2, "max_size = 6"));
  Traffic traffic(daemon);
  traffic.wait_for(daemon, 20);
  require_done(daemon.tensorctl({"scale", "p", "6"}));
  CHECK(daemon.actor("p/5").state == "ready");
  int on_first = 0;
  for (int i = 0; i < 6; ++i) on_first += daemon.actor("p/" + std::to_string(i)).worker == "cpu/0" ? 1 : 0;
  CHECK(on_first == 3);
  traffic.wait_for(daemon, 100);
  CHECK(daemon.actor("p/5").handled > 0);
  require_done(daemon.tensorctl({"scale", "p", "--replicas", "1"}));
  CHECK_FALSE(has(daemon.tensorctl({"list", "actors"}).out, "p/1"));
  traffic.wait_for(daemon, 50);
  traffic.stop();
  CHECK(traffic.complaint() == "");
  auto too_many = daemon.tensorctl({"scale", "p", "7"});
  CHECK(too_many.status == 1);
  CHECK(has(too_many.err, "can have 6 members at most, not 7: set max_size"));
  CHECK(daemon.tensorctl({"scale", "nobody", "1"}).status == 4);
  require_done(daemon.tensorctl({"scale", "p", "0"}));
  require_done(daemon.tensorctl({"wait", "p"}));  // for nobody
  require_done(daemon.tensorctl({"health", "p"}));
  require_done(daemon.tensorctl({"scale", "p", "6"}));
  CHECK(balances(daemon, 6) == traffic.paid());
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a pool is not scaled to more members than its workers can be told of, and is left as it is", "[upkeep]") {
  // Four members with 12 KB of args each fit a worker's assignment, and still do when it is sent again; ten do not.
  auto daemon = start(workers(2) + pool(2, "max_size = 40\nargs = { note = \"" + std::string(12'000, 'x') + "\" }"));
  auto refused = daemon.tensorctl({"scale", "p", "40"});
  CHECK(refused.status == 1);
  INFO(refused.err);
  CHECK(has(refused.err, "has no room on any worker on which it could live"));
  CHECK(has(refused.err, "packet of 131072 bytes"));
  CHECK_FALSE(has(daemon.tensorctl({"list", "actors"}).out, "p/2"));
  require_done(daemon.tensorctl({"scale", "p", "8"}));
  daemon.kill_and_wait("cpu/0");
  daemon.kill_and_wait("cpu/1");
  for (int i = 0; i < 8; ++i) daemon.wait_until("member is ready", [&] { return daemon.actor("p/" + std::to_string(i)).state == "ready"; });
  auto client = daemon.connect("caller");
  for (int i = 0; i < 8; ++i) CHECK(balance(*client, "p/" + std::to_string(i)) == 0);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a scale down survives the death of a worker in the middle of it", "[upkeep]") {
  auto daemon = start(workers(2) + pool(6, "max_size = 6"));
  Traffic traffic(daemon);
  traffic.wait_for(daemon, 20);
  require_done(daemon.tensorctl({"scale", "p", "1", "--no-wait"}));
  daemon.kill_worker("cpu/1");
  daemon.wait_until("the end of it", [&] { return daemon.logged("event=\"scale down done\" name=p"); });
  traffic.wait_for(daemon, 20);
  traffic.stop();
  CHECK(traffic.complaint() == "");
  require_done(daemon.tensorctl({"scale", "p", "6"}));
  CHECK(balances(daemon, 6) == traffic.paid());
  CHECK(daemon.stop() == 0);
}
