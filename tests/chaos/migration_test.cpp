// Actors that move: their worker is given up, and they go on on another one, with their state, their unread mail and their callers.
#include <signal.h>

#include <atomic>
#include <set>
#include <thread>

#include "tests/chaos/migration_fixture.h"

using namespace tv;
using namespace tv::test;

namespace {

class Joined {
 public:
  Joined(std::atomic<bool>& stop, std::thread thread) : stop_(stop), thread_(std::move(thread)) {}
  ~Joined() { join(); }
  void join() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::atomic<bool>& stop_;
  std::thread thread_;
};

std::size_t times(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("an actor whose worker is given up goes on on another one that its placement names, with its state", "[migration]") {
  Moving daemon(workers_that_die_once(2) + movable("counter", Counter::kType, "worker = \"cpu\""));
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  CHECK(daemon.must(counter.call_with(kPatient, Counter::add, 5).get()) == 5);
  daemon.kill_for_good("cpu/0");
  daemon.wait_ready_on("counter", "cpu/1");
  CHECK(daemon.must(counter.call_with(kPatient, Counter::add, 2).get()) == 7);
  CHECK(daemon.logged("actor moved"));
  auto described = daemon.tensorctl({"describe", "actor", "counter"}).out;
  INFO(described);
  CHECK(described.find("worker \"cpu/0\" was given up") != std::string::npos);
  CHECK(described.find("killed by SIGKILL") != std::string::npos);
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an administrator's restart of the worker that was given up brings its actors home", "[migration]") {
  Moving daemon(workers_that_die_once(2) + movable("counter", Counter::kType, "worker = \"cpu\"") + movable("neighbour", Counter::kType, "worker = \"cpu/1\""));
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter"), neighbour = *client->actor<Counter>("neighbour");
  CHECK(daemon.must(counter.call_with(kPatient, Counter::add, 5).get()) == 5);
  CHECK(daemon.must(neighbour.call_with(kPatient, Counter::add, 3).get()) == 3);
  daemon.kill_for_good("cpu/0");
  daemon.wait_ready_on("counter", "cpu/1");
  CHECK(daemon.must(counter.call_with(kPatient, Counter::add, 1).get()) == 6);
  CHECK(daemon.tensorctl({"restart", "cpu/0"}).status == 0);
  daemon.wait_ready_on("counter", "cpu/0");
  CHECK(daemon.must(counter.call_with(kPatient, Counter::add, 1).get()) == 7);
  CHECK(daemon.must(neighbour.call_with(kPatient, Counter::add, 1).get()) == 4);
  CHECK(daemon.tensorctl({"describe", "actor", "counter"}).out.find("was given up") == std::string::npos);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an actor that may not move, or has nowhere to go, is failed with the reason, and the others move", "[migration]") {
  Moving daemon(workers_that_die_once(2) + movable("moves", Counter::kType, "worker = \"cpu\"") + movable("pinned", Counter::kType, "worker = \"cpu/0\"") +
                movable("stays", Counter::kType, "worker = \"cpu\"", "migrate = false"));
  auto client = daemon.connect();
  auto pinned = *client->actor<Counter>("pinned"), moves = *client->actor<Counter>("moves");
  CHECK(daemon.must(pinned.call_with(kPatient, Counter::add, 4).get()) == 4);
  daemon.kill_for_good("cpu/0");
  daemon.wait_ready_on("moves", "cpu/1");
  for (const char* name : {"pinned", "stays"}) {
    auto state = daemon.actor(name);
    INFO(name << ": " << state.state << ": " << state.message);
    CHECK(state.state == "failed");
    CHECK(state.message.find("its placement does not allow worker \"cpu/1\"") != std::string::npos);
  }
  auto refused = pinned.call(Counter::add, 1).get(30s);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Errc::kNotDelivered);

  // The other one, too: nobody is left.
  daemon.kill_for_good("cpu/1");
  daemon.wait_until("nobody is left", [&] { return daemon.actor("moves").state == "failed"; });
  CHECK(daemon.actor("moves").message.find("its worker failed") == 0);

  // A worker that comes back is a place to go to, and home for those that may live nowhere else.
  CHECK(daemon.tensorctl({"restart", "cpu/0"}).status == 0);
  daemon.wait_ready_on("pinned", "cpu/0");
  daemon.wait_ready_on("moves", "cpu/0");
  CHECK(daemon.must(pinned.call_with(kPatient, Counter::value).get()) == 4);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a worker on probation gets no chance when its actors have found a place since", "[migration]") {
  Moving daemon(base_config(3, "spares = 1\nrestart = { intensity = 0 }\nprobation = \"20s\"\n") + movable("counter", Counter::kType, "worker = \"cpu\""));
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  CHECK(daemon.must(counter.call_with(kPatient, Counter::add, 5).get()) == 5);
  for (const char* other : {"cpu/1", "cpu/2"}) {
    CHECK(daemon.tensorctl({"stop", other}).status == 0);
    daemon.wait_until(std::string(other) + " is stopped", [&] { return daemon.worker(other).state == "stopped"; });
  }
  daemon.kill_for_good("cpu/0");  // nowhere to go
  for (const char* other : {"cpu/1", "cpu/2"}) {
    CHECK(daemon.tensorctl({"restart", other}).status == 0);
    daemon.wait_until(std::string(other) + " is ready", [&] { return daemon.worker(other).state == "ready"; });
  }
  daemon.wait_ready_on("counter", "cpu/1");
  // The chance of one that is given up later comes later.
  daemon.kill_for_good("cpu/2");
  daemon.wait_until("cpu/2 has had its chance", [&] { return daemon.worker("cpu/2").state == "ready"; });
  CHECK(daemon.worker("cpu/0").state == "failed");
  CHECK(daemon.must(counter.call_with(kPatient, Counter::add, 1).get()) == 6);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("with restart_elsewhere for its cause one death sends the actors on, and a message that kills is counted on the way", "[migration]") {
  auto config = base_config(3, "spares = 1\n") + "[causes]\nexit = { 75 = \"restart_elsewhere\" }\n" +
                movable("counter", Counter::kType, "worker = \"cpu\"", "max_deliveries = 2");
  Moving daemon(config);
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  CHECK(daemon.must(counter.call_with(kPatient, Counter::add, 5).get()) == 5);
  // Begun on cpu/0 and on cpu/1; cpu/2 finds it at hand for the second time and gives it up.
  auto crashed = counter.call_with(kPatient, Counter::crash, std::string("exit 75")).get();
  REQUIRE_FALSE(crashed.ok());
  INFO(crashed.error().message << "\n" << daemon.log());
  CHECK(crashed.error().code == Errc::kOutcomeUnknown);
  CHECK(crashed.error().message.find("given up after 2 deaths") != std::string::npos);
  daemon.wait_ready_on("counter", "cpu/2");
  CHECK(daemon.worker("cpu/0").message.find("exit code 75 (sticky device error) (causes: restart_elsewhere)") == 0);
  CHECK(daemon.worker("cpu/1").state == "failed");
  CHECK(daemon.must(counter.call_with(kPatient, Counter::add, 1).get()) == 6);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a worker that leaves with exit code 78 is not started again, and its actors move at once", "[migration]") {
  Moving daemon(base_config(2) + movable("counter", Counter::kType, "worker = \"cpu\"", "max_deliveries = 1"));
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  CHECK(daemon.must(counter.call_with(kPatient, Counter::add, 5).get()) == 5);
  CHECK_FALSE(counter.call_with(kPatient, Counter::crash, std::string("exit 78")).get().ok());
  daemon.wait_ready_on("counter", "cpu/1");
  auto given_up = daemon.worker("cpu/0");
  CHECK(given_up.state == "failed");
  CHECK(given_up.restarts == 0);
  CHECK(daemon.must(counter.call_with(kPatient, Counter::value).get()) == 5);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("mail that was unread when its reader was given up is read where the actor has gone, in order and once", "[migration]") {
  Moving daemon(workers_that_move(2) + movable("counter", Counter::kType, "worker = \"cpu\""));
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  CHECK(daemon.must(counter.call_with(kPatient, Counter::add, 0).get()) == 0);
  daemon.kill_worker("cpu/0", SIGSTOP);
  std::vector<Future<std::int64_t>> answers;
  constexpr std::int64_t kMessages = 200;
  for (std::int64_t i = 0; i < kMessages; ++i) answers.push_back(counter.call_with(kPatient, Counter::add, 1));
  daemon.kill_for_good("cpu/0");
  for (std::int64_t i = 0; i < kMessages; ++i) CHECK(daemon.must(answers[static_cast<std::size_t>(i)].get()) == i + 1);
  daemon.wait_ready_on("counter", "cpu/1");
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("money that moves between accounts that move is neither lost nor made, whoever dies on the way", "[migration]") {
  constexpr std::int64_t kStart = 1000;
  constexpr int kRounds = 8;
  std::string start = "max_deliveries = 255\nargs = { start = " + std::to_string(kStart) + " }";
  Moving daemon(workers_that_move(4) + movable("a", Account::kType, "worker = \"cpu\"", start) + movable("b", Account::kType, "worker = \"cpu\"", start) +
                movable("teller", Teller::kType, "worker = \"cpu/3\"", "max_deliveries = 255\n") +
                "[[pool]]\nname = \"spread\"\ntype = \"test.account\"\nplugin = \"" + plugin("ledger") +
                "\"\nsize = 3\nworkers = [\"cpu/0\", \"cpu/1\", \"cpu/2\"]\n");
  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> made{0};
  std::string complaint;
  Joined traffic(stop, std::thread([&, client = daemon.connect("teller client")] {
    auto teller = *client->actor<Teller>("teller");
    std::set<std::int64_t> numbers;
    for (int i = 0; !stop; ++i) {
      auto number = teller.call_with(kPatient, Teller::transfer, std::string(i % 2 ? "a" : "b"), std::string(i % 2 ? "b" : "a"), std::int64_t{i % 7 + 1}).get();
      if (!number) complaint = number.error().message;
      else if (!numbers.insert(*number).second) complaint = "answer " + std::to_string(*number) + " came twice";
      if (!complaint.empty()) return;
      ++made;
    }
  }));
  std::string log_then;
  for (int round = 0; round < kRounds && complaint.empty(); ++round) {
    auto before = made.load();
    daemon.wait_until("more transfers", [&] { return made > before + 20 || !complaint.empty(); });
    std::string host = daemon.actor("a").worker;
    daemon.kill_worker(host);
    if (round % 2 == 1) {
      // The one that they go to dies as well, as soon as it is known.
      daemon.wait_until("a moves", [&] { return daemon.actor("a").worker != host; });
      std::string next = daemon.actor("a").worker;
      if (auto state = daemon.worker(next).state; state == "ready" || state == "starting") daemon.kill_worker(next);
    }
    daemon.wait_until("a is ready", [&] { return daemon.actor("a").state == "ready" && daemon.actor("b").state == "ready"; });
    for (const char* name : {"cpu/0", "cpu/1", "cpu/2"})
      if (daemon.worker(name).state == "failed") CHECK(daemon.tensorctl({"restart", name}).status == 0);
    daemon.wait_until("all are back", [&] {
      for (const char* name : {"cpu/0", "cpu/1", "cpu/2"})
        if (daemon.worker(name).state != "ready") return false;
      return daemon.actor("a").state == "ready" && daemon.actor("b").state == "ready";
    });
  }
  traffic.join();
  INFO(daemon.log());
  REQUIRE(complaint == "");
  CHECK(times(daemon.log(), "event=\"actor moved\" actor=a from=") >= kRounds);
  auto client = daemon.connect();
  auto a = daemon.must((*client->actor<Account>("a")).call_with(kPatient, Account::balance).get());
  auto b = daemon.must((*client->actor<Account>("b")).call_with(kPatient, Account::balance).get());
  CHECK(a + b == 2 * kStart);
  CHECK(daemon.must((*client->actor<Teller>("teller")).call_with(kPatient, Teller::transfers).get()) == made);
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("tensorctl wait for a worker or actor that cannot be ready ends at once with the reason", "[migration]") {
  Moving daemon(base_config(1) + "[[actor]]\nname = \"broken\"\ntype = \"test.counter\"\nplugin = \"" + plugin("throws_registering") +
                "\"\nworker = \"cpu\"\n", true);
  daemon.wait_until("it has failed", [&] { return daemon.actor("broken").state == "failed"; });
  auto waited = daemon.tensorctl({"wait", "--for=ready", "broken", "--timeout", "10min"});
  CHECK(waited.status == 1);
  INFO(waited.err);
  CHECK(waited.err.find("\"broken\" is failed: ") != std::string::npos);
  CHECK(waited.err.find("throws_registering") != std::string::npos);
  CHECK(daemon.stop() == 0);
}
