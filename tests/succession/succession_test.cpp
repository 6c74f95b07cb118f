// The supervisor is killed, and another one takes over: from the arena, from the ledger, and from what the service manager has kept. Whoever works
// in the meantime notices nothing.
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>
#include <random>

#include "tests/chaos/upkeep_fixture.h"

using namespace tv;
using namespace tv::test;

namespace {

std::vector<int> pids_of_workers(Daemon& daemon, int count) {
  std::vector<int> pids;
  for (int i = 0; i < count; ++i) pids.push_back(daemon.worker("cpu/" + std::to_string(i)).pid);
  return pids;
}

std::int64_t add(Client& client, const std::string& name, std::int64_t n) {
  auto counter = client.actor<Counter>(name);
  if (!counter) FAIL(counter.error().message);
  auto sum = counter->call_with(kPatient, Counter::add, n).get();
  if (!sum) FAIL(name + ": " + sum.error().message);
  return *sum;
}

bool lives(int pid) { return ::kill(pid, 0) == 0; }

const std::string kOnce = "delivery = \"effectively_once\"\ncheckpoint = { every_messages = 1 }";

}  // namespace

TEST_CASE("workers, their actors and attached clients go on when the supervisor is killed and another one takes over", "[succession]") {
  Daemon daemon = start(workers(2) + counter("a", 0, kOnce) + counter("b", 1, kOnce));
  auto client = daemon.connect();
  CHECK(add(*client, "a", 5) == 5);
  auto before = pids_of_workers(daemon, 2);
  daemon.process().signal(SIGKILL);
  REQUIRE(daemon.process().wait(Deadline::in(30s)));
  CHECK(add(*client, "a", 1) == 6);
  CHECK(add(*client, "b", 2) == 2);
  daemon.restart();
  INFO(daemon.log());
  CHECK(pids_of_workers(daemon, 2) == before);
  CHECK(client->connected());
  CHECK(add(*client, "a", 1) == 7);
  CHECK(add(*daemon.connect("another"), "b", 1) == 3);
  CHECK(daemon.actor("a").state == "ready");
  CHECK(daemon.actor("a").incarnation == 1);
  CHECK(daemon.logged("supervisor taken over"));
  CHECK(daemon.fsck().empty());
  client.reset();
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a worker that dies while no supervisor is there comes back with its state when there is one", "[succession]") {
  Daemon daemon = start(workers(2) + counter("a", 0, kOnce) + counter("b", 1, kOnce));
  auto client = daemon.connect();
  CHECK(add(*client, "a", 5) == 5);
  auto before = daemon.worker("cpu/0");
  daemon.process().signal(SIGKILL);
  REQUIRE(daemon.process().wait(Deadline::in(30s)));
  REQUIRE(::kill(before.pid, SIGKILL) == 0);
  daemon.restart();
  CHECK(add(*client, "a", 1) == 6);
  auto after = daemon.worker("cpu/0");
  CHECK(after.incarnation == before.incarnation + 1);
  CHECK(after.restarts == 1);
  CHECK(has(after.last_death, "only to the supervisor that had started it"));
  CHECK(daemon.worker("cpu/1").restarts == 0);
  CHECK(daemon.fsck().empty());
  client.reset();
  CHECK(daemon.stop() == 0);
}

TEST_CASE("workers end by themselves when the supervisor dies and nobody keeps its descriptors", "[succession]") {
  Daemon daemon = start(workers(2) + counter("a", 0));
  auto client = daemon.connect();
  CHECK(add(*client, "a", 5) == 5);
  auto before = pids_of_workers(daemon, 2);
  daemon.process().signal(SIGKILL);
  REQUIRE(daemon.process().wait(Deadline::in(30s)));
  daemon.manager().forget();
  daemon.wait_until("the workers have ended", [&] { return !lives(before[0]) && !lives(before[1]); });
  daemon.wait_until("the client has noticed", [&] { return !client->connected(); });
  client.reset();
  daemon.restart();
  CHECK(add(*daemon.connect(), "a", 1) == 1);
  daemon.process().signal(SIGTERM);
  CHECK(daemon.process().wait(Deadline::in(30s)) == 0);
  CHECK(processes_of(daemon.runtime_dir()).empty());
}

TEST_CASE("workers whose supervisor has died for good finish the message at hand or all their mail, as the file says, and leave", "[succession]") {
  bool finish = GENERATE(false, true);
  Daemon daemon = start("[supervisor]\norphans = \"" + std::string(finish ? "finish" : "stop") + "\"\norphan_grace = \"30s\"\n" + workers(2) + counter("a", 0));
  auto worker = pids_of_workers(daemon, 2).front();
  auto client = daemon.connect();
  auto a = *client->actor<Counter>("a");
  auto tensor = client->store()->put(*shm::TensorSpec::contiguous(shm::DType::kFloat32, {1}), std::vector<std::byte>(4));
  REQUIRE(tensor);
  const std::string path = daemon.dir() + "/notes";
  std::ofstream(path) << "it may live";
  // At hand when the supervisor goes; asked to stop, it gives up.
  auto at_hand = a.call_with(kPatient, Counter::slow, std::int64_t{finish ? 500 : 60'000});
  constexpr std::size_t kMessages = 5;
  std::vector<Future<std::int64_t>> mail;
  for (std::size_t i = 0; i < kMessages; ++i) mail.push_back(a.call_with(kPatient, Counter::poison, path, *tensor));
  daemon.process().signal(SIGKILL);
  REQUIRE(daemon.process().wait(Deadline::in(30s)));
  daemon.manager().forget();
  daemon.wait_until("the worker has ended", [&] { return !lives(worker); });
  auto notes = read_text(path + ".runs");
  auto begun = static_cast<std::size_t>(std::count(notes.begin(), notes.end(), '\n'));
  INFO(daemon.log());
  CHECK(begun == (finish ? kMessages : 0));
  (void)at_hand.get();
  for (auto& answer : mail) (void)answer.get();
}

TEST_CASE("what administrators have ordered outlives the supervisor", "[succession]") {
  Daemon daemon = start(workers(2) + counter("stopped", 0) + counter("suspended", 0) + counter("runs", 1) + pool(3, "max_size = 5"));
  require_done(daemon.tensorctl({"stop", "stopped"}));
  daemon.wait_until("it is stopped", [&] { return daemon.actor("stopped").state == "stopped"; });
  require_done(daemon.tensorctl({"suspend", "suspended"}));
  require_done(daemon.tensorctl({"drain", "p/1"}));
  require_done(daemon.tensorctl({"scale", "p", "4"}));
  daemon.kill_and_restart();
  INFO(daemon.log());
  CHECK(daemon.actor("stopped").state == "stopped");
  CHECK(daemon.actor("suspended").state == "suspended");
  CHECK(daemon.actor("runs").state == "ready");
  CHECK(daemon.actor("p/1").state == "drained");
  CHECK(daemon.actor("p/3").state == "ready");
  require_done(daemon.tensorctl({"resume", "suspended"}));
  require_done(daemon.tensorctl({"undrain", "p/1"}));
  require_done(daemon.tensorctl({"scale", "p", "2"}));
  CHECK(daemon.actor("suspended").state == "ready");
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an actor that was given up stays so, and its deaths still count", "[succession]") {
  Daemon daemon = start(base_config(2, "restart = { min = \"1ms\", max = \"2ms\", intensity = 2 }") + counter("a", 0));
  daemon.kill_and_wait("cpu/0");
  daemon.kill_and_wait("cpu/0");
  daemon.kill_and_restart();
  CHECK(daemon.worker("cpu/0").restarts == 2);
  daemon.kill_worker("cpu/0");
  daemon.wait_until("it is given up", [&] { return daemon.worker("cpu/0").state == "failed"; });
  daemon.kill_and_restart();
  CHECK(daemon.worker("cpu/0").state == "failed");
  CHECK(has(daemon.worker("cpu/0").message, "3 deaths within"));
  require_done(daemon.tensorctl({"reset-failed", "cpu/0"}));
  daemon.wait_until("it is back", [&] { return daemon.actor("a").state == "ready"; });
  CHECK(daemon.stop() == 0);
}

TEST_CASE("named tensors outlive the supervisor, and what was asked of it while it was away is done by the next one", "[succession]") {
  Daemon daemon = start(workers(2) + counter("a", 0));
  auto client = daemon.connect();
  auto put = [&](const std::string& name, std::uint8_t value) {
    std::vector<std::byte> bytes(100'000, std::byte{value});
    auto tensor = client->store()->put(*shm::TensorSpec::contiguous(shm::DType::kUInt8, {100'000}), bytes);
    REQUIRE(tensor.ok());
    return client->named().publish(name, *tensor);
  };
  REQUIRE(put("weights", 7).ok());
  daemon.process().signal(SIGKILL);
  REQUIRE(daemon.process().wait(Deadline::in(30s)));
  std::optional<Result<std::uint64_t>> version;
  std::thread asker([&] { version = put("weights", 8); });
  daemon.restart();
  asker.join();
  REQUIRE(version);
  INFO((*version ? "" : version->error().message));
  REQUIRE(version->ok());
  auto reader = daemon.connect("reader");
  auto found = reader->named().get("weights");
  REQUIRE(found.ok());
  CHECK(static_cast<const std::uint8_t*>(found->data())[99'999] == 8);
  client.reset();
  CHECK(static_cast<const std::uint8_t*>(found->data())[0] == 8);
  daemon.kill_and_restart();
  CHECK(reader->named().get("weights").ok());
  found = shm::Tensor();
  reader.reset();
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a supervisor that is killed again and again under load loses no message, restarts no worker and leaks nothing", "[succession]") {
  auto seed = static_cast<unsigned>(std::random_device{}());
  if (const char* given = std::getenv("TV_SEED")) seed = static_cast<unsigned>(std::stoul(given));
  INFO("seed " << seed);
  std::mt19937 random(seed);
  int kills = 12;
  if (const char* given = std::getenv("TV_SUCCESSION_KILLS")) kills = std::stoi(given);
  Daemon daemon = start(workers(2) + pool(4));
  auto before = pids_of_workers(daemon, 2);
  Traffic traffic(daemon);
  for (int i = 0; i < kills; ++i) {
    traffic.wait_for(daemon, 1 + static_cast<int>(random() % 50));
    daemon.process().signal(SIGKILL);
    REQUIRE(daemon.process().wait(Deadline::in(30s)));
    if (random() % 2) traffic.wait_for(daemon, 20);
    daemon.restart();
  }
  traffic.wait_for(daemon, 100);
  traffic.stop();
  CHECK(traffic.complaint().empty());
  CHECK(pids_of_workers(daemon, 2) == before);
  CHECK(balances(daemon, 4) == traffic.paid());
  CHECK(daemon.fsck().empty());
  auto now = pids_of_workers(daemon, 2);
  auto restarted = std::inner_product(now.begin(), now.end(), before.begin(), 0, std::plus<>(), std::not_equal_to<>());
  std::printf("succession: %d kills of the supervisor, %lld calls, %lld lost, %d workers restarted, %zu problems of the arena\n", kills,
              static_cast<long long>(traffic.paid()), static_cast<long long>(traffic.paid() - balances(daemon, 4)), restarted, daemon.fsck().size());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("supervisor and workers are killed at random moments, and no message is lost or done twice, and nothing leaks", "[succession]") {
  auto seed = static_cast<unsigned>(std::random_device{}());
  if (const char* given = std::getenv("TV_SEED")) seed = static_cast<unsigned>(std::stoul(given));
  INFO("seed " << seed);
  std::mt19937 random(seed);
  int rounds = 12;
  if (const char* given = std::getenv("TV_SUCCESSION_KILLS")) rounds = std::stoi(given);
  Daemon daemon = start(workers(2) + pool(4, "checkpoint = { every_messages = 1 }"));
  Traffic traffic(daemon);
  traffic.wait_for(daemon, 50);
  int supervisors = 0, killed_workers = 0;
  // By descriptors of before: one that has been replaced since is gone, and a signal to it goes nowhere.
  auto a_worker = [&] {
    auto pid = daemon.worker("cpu/" + std::to_string(random() % 2)).pid;
    auto process = pid > 0 ? open_pidfd(pid) : Result<Fd>(Fd());
    return process ? std::move(*process) : Fd();
  };
  auto kill = [&](const Fd& process) {
    if (process && ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0) == 0) ++killed_workers;
  };
  for (int i = 0; i < rounds; ++i) {
    Fd later = a_worker();
    if (random() % 2) kill(a_worker());
    if (random() % 2) traffic.wait_for(daemon, 1 + static_cast<int>(random() % 20));
    ::usleep(static_cast<useconds_t>(random() % 3000));  // a random moment is what this is about
    daemon.process().signal(SIGKILL);
    REQUIRE(daemon.process().wait(Deadline::in(30s)));
    ++supervisors;
    if (random() % 2) kill(later);
    daemon.restart();
    traffic.wait_for(daemon, 5);
  }
  traffic.stop();
  CHECK(traffic.complaint().empty());
  CHECK(balances(daemon, 4) == traffic.paid());
  auto problems = daemon.fsck();
  for (const auto& problem : problems) UNSCOPED_INFO(problem);
  CHECK(problems.empty());
  auto leaks = daemon.tensorctl({"arena", "leaks", "--older-than", "1ms", "-o", "json"});
  std::printf("succession: %d kills of the supervisor, %d of workers, %lld calls, %lld lost, %zu problems of the arena, seed %u\n", supervisors, killed_workers,
              static_cast<long long>(traffic.paid()), static_cast<long long>(traffic.paid() - balances(daemon, 4)), problems.size(), seed);
  INFO(leaks.out);
  CHECK(has(leaks.out, "\"objects\": 0,"));
  CHECK(daemon.stop() == 0);
}

TEST_CASE("another program takes the daemon's place, again and again under load, with its number and its workers", "[succession]") {
  int upgrades = 6;
  if (const char* given = std::getenv("TV_SUCCESSION_UPGRADES")) upgrades = std::stoi(given);
  Daemon daemon = start(workers(2) + pool(4));
  auto before = pids_of_workers(daemon, 2);
  Traffic traffic(daemon);
  for (int i = 0; i < upgrades; ++i) {
    traffic.wait_for(daemon, 20);
    require_done(daemon.tensorctl({"upgrade"}));
  }
  traffic.wait_for(daemon, 100);
  traffic.stop();
  CHECK(traffic.complaint().empty());
  CHECK(daemon.process().running());
  CHECK(pids_of_workers(daemon, 2) == before);
  CHECK(balances(daemon, 4) == traffic.paid());
  CHECK(daemon.fsck().empty());
  std::printf("succession: %d upgrades, %lld calls, %lld lost\n", upgrades, static_cast<long long>(traffic.paid()),
              static_cast<long long>(traffic.paid() - balances(daemon, 4)));
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a worker that dies after an upgrade comes back, and how it died is known", "[succession]") {
  Daemon daemon = start(workers(2) + counter("a", 0, kOnce));
  auto client = daemon.connect();
  CHECK(add(*client, "a", 5) == 5);
  require_done(daemon.tensorctl({"upgrade"}));
  daemon.kill_and_wait("cpu/0");
  CHECK(add(*client, "a", 1) == 6);
  CHECK(daemon.worker("cpu/0").last_death == "killed by SIGKILL");
  client.reset();
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a program that cannot go on with the state is refused, and nothing has changed", "[succession]") {
  Daemon daemon = start(workers(2) + counter("a", 0, kOnce));
  auto client = daemon.connect();
  CHECK(add(*client, "a", 5) == 5);
  auto pid = daemon.process().pid();
  auto other = daemon.tensorctl({"upgrade", "/bin/true"});
  CHECK(other.status == 1);
  CHECK(has(other.err, "is it tensorvisord?"));
  CHECK(daemon.tensorctl({"upgrade", "/no/such/program"}).status == 4);
  CHECK(daemon.tensorctl({"upgrade", "relative"}).status == 1);
  std::string newer = daemon.dir() + "/newer";
  std::ofstream(newer) << "#!/bin/sh\nprintf 'its state is of version 1, this program knows 2' >&4\nexit 1\n";
  std::filesystem::permissions(newer, std::filesystem::perms::owner_all);
  auto refused = daemon.tensorctl({"upgrade", newer});
  CHECK(refused.status == 1);
  CHECK(has(refused.err, "its state is of version 1, this program knows 2"));
  CHECK(daemon.process().pid() == pid);
  CHECK(daemon.process().running());
  CHECK(add(*client, "a", 1) == 6);
  client.reset();
  CHECK(daemon.stop() == 0);
}

TEST_CASE("calls from worker to worker do not pause while the supervisor dies and another one takes over", "[succession]") {
  std::string accounts;
  for (int i = 0; i < 2; ++i)
    accounts += "[[actor]]\nname = \"account" + std::to_string(i) + "\"\ntype = \"test.account\"\nplugin = \"" + plugin("ledger") + "\"\nworker = \"cpu/1\"\nargs = { start = 1000000 }\n" + kOnce + "\n";
  Daemon daemon = start(workers(2) + accounts + "[[actor]]\nname = \"teller\"\ntype = \"test.teller\"\nplugin = \"" + plugin("ledger") + "\"\nworker = \"cpu/0\"\n" + kOnce + "\n");
  auto client = daemon.connect();
  auto teller = *client->actor<Teller>("teller");
  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> transfers{0}, longest_ns{0};
  std::atomic<int> failed{0};
  std::thread stream([&] {
    auto last = monotonic_ns();
    while (!stop) {
      if (!teller.call_with(kPatient, Teller::transfer, std::string("account0"), std::string("account1"), std::int64_t{1}).get()) ++failed;
      ++transfers;
      auto now = monotonic_ns();
      longest_ns = std::max(longest_ns.load(), now - last);
      last = now;
    }
  });
  auto more = [&](std::int64_t count) {
    auto goal = transfers + count;
    daemon.wait_until("transfers go on", [&] { return transfers >= goal; });
  };
  more(200);
  auto undisturbed = longest_ns.exchange(0);
  for (int i = 0; i < 10; ++i) {
    daemon.process().signal(SIGKILL);
    REQUIRE(daemon.process().wait(Deadline::in(30s)));
    more(10);
    daemon.restart();
    more(10);
  }
  stop = true;
  stream.join();
  std::printf("succession: longest pause between two answers %.1f ms over 10 kills of the supervisor, %.1f ms before; %d failed\n",
              static_cast<double>(longest_ns) / 1e6, static_cast<double>(undisturbed) / 1e6, failed.load());
  CHECK(failed == 0);
  CHECK(balance(*client, "account0") == 1'000'000 - transfers);
  CHECK(balance(*client, "account1") == 1'000'000 + transfers);
  client.reset();
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a dead letter outlives the supervisor, with its arguments", "[succession]") {
  Daemon daemon = start(workers(2) + "[[actor]]\nname = \"saboteur\"\ntype = \"test.saboteur\"\nplugin = \"" + plugin("ledger") + "\"\nworker = \"cpu/0\"\nmax_deliveries = 1\n" + counter("a", 1));
  auto client = daemon.connect();
  auto saboteur = *client->actor<Saboteur>("saboteur");
  std::string once = daemon.dir() + "/once";
  CHECK_FALSE(saboteur.call_with(kPatient, Saboteur::crash_once, once, std::string("kill")).get().ok());
  daemon.kill_and_restart();
  auto listed = daemon.tensorctl({"dead-letters", "list"});
  INFO(listed.out << listed.err << daemon.log());
  CHECK(has(listed.out, "crash_once"));
  auto shown = daemon.tensorctl({"dead-letters", "show", "1"});
  CHECK(has(shown.out, once));
  auto handled = daemon.actor("saboteur").handled;
  require_done(daemon.tensorctl({"dead-letters", "replay", "1"}));
  daemon.wait_until("it has been handled", [&] { return daemon.actor("saboteur").handled == handled + 1; });
  client.reset();
  CHECK(daemon.fsck().empty());
  CHECK(daemon.stop() == 0);
}

TEST_CASE("tensorctl events -f goes on with the supervisor that takes over, and says once that it is another one", "[succession]") {
  Daemon daemon = start(workers(2) + counter("a", 0, kOnce));
  std::string file = daemon.dir() + "/followed";
  Process follower({.arguments = {program("tensorctl"), "--runtime-dir", daemon.runtime_dir(), "events", "-f", "--timeout", "60s"}, .output_file = file});
  auto shows = [&](const std::string& text) { return read_text(file).find(text) != std::string::npos; };
  daemon.wait_until("it shows what was before", [&] { return shows("daemon ready"); });
  daemon.kill_and_restart();
  daemon.wait_until("it goes on", [&] { return shows("supervisor taken over"); });
  auto client = daemon.connect();
  CHECK(add(*client, "a", 1) == 1);
  daemon.kill_worker("cpu/0");
  daemon.wait_until("it follows", [&] { return shows("worker died"); });
  auto text = read_text(file);
  INFO(text);
  const std::string note = "-- the daemon's process changed";
  auto first = text.find(note);
  REQUIRE(first != std::string::npos);
  CHECK(text.find(note, first + 1) == std::string::npos);
  // What was shown before is not shown again.
  CHECK(text.find("daemon ready") < first);
  CHECK(follower.running());
}
