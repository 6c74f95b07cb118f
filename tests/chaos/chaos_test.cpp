// Chaos on the real thing: a daemon, its workers, clients that move money and count, and faults at random moments. What counts is the
// books: every call answered once, every effect there once, nothing left behind.
//
// TV_CHAOS_FAULTS (200) and TV_SEED choose how much and what; tools/chaos sets them.
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "tests/support/catch.h"
#include "tests/support/daemon.h"
#include "tests/support/plugins/bank.h"
#include "tests/support/plugins/ledger.h"

using namespace tv;
using namespace tv::test;

namespace {

constexpr int kWorkers = 4;
constexpr int kAccounts = 6;
constexpr int kTellers = 2;
constexpr std::int64_t kStart = 1000;
constexpr CallOptions kPatient{.timeout = 10min};
const char* const kCallbacks[] = {"constructor", "on_start", "on_stop", "save", "load", "method", "continuation"};

std::uint64_t number_of(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text && *text ? std::strtoull(text, nullptr, 10) : otherwise;
}

std::string actor(const std::string& name, const std::string& type, const std::string& library, int worker, int every_messages = 1,
                  const std::string& args = "") {
  return "[[actor]]\nname = \"" + name + "\"\ntype = \"" + type + "\"\nplugin = \"" + plugin(library) + "\"\nworker = \"cpu/" +
         std::to_string(worker) + "\"\ndelivery = \"effectively_once\"\nmax_deliveries = 255\ncheckpoint = { every_messages = " +
         std::to_string(every_messages) + " }\n" + (args.empty() ? "" : "args = { " + args + " }\n");
}

// Accounts commit each message, the others some at a time; tellers are not where their accounts are.
std::string config() {
  std::string text = base_config(kWorkers, "spares = 2\nwatchdog = \"1s\"\nwatchdog_grace = \"100ms\"\nrestart = { min = \"1ms\", max = \"20ms\", intensity = 1000000 }");
  for (int i = 0; i < kAccounts; ++i)
    text += actor("account" + std::to_string(i), Account::kType, "ledger", 1 + i % 2, 1, "start = " + std::to_string(kStart));
  for (int i = 0; i < kTellers; ++i) text += actor("teller" + std::to_string(i), Teller::kType, "ledger", i == 0 ? 0 : 3, 1 + i * 3);
  text += actor("counter", Counter::kType, "bank", 2, 8);
  text += actor("box", Account::kType, "ledger", 1, 5);
  for (int i = 0; i < kWorkers; ++i) text += actor("saboteur" + std::to_string(i), Saboteur::kType, "ledger", i);
  for (const char* where : kCallbacks) text += actor(std::string("throws-in-") + where, Thrower::kType, "ledger", 3, 1, "where = \"" + std::string(where) + "\"");
  return text;
}

// What happened, as the clients saw it.
struct Ledger {
  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t operations = 0;
  std::uint64_t lost = 0;        // calls that did not end with their answer
  std::uint64_t duplicated = 0;  // answers that an earlier call had already
  std::vector<std::string> complaints;
  std::atomic<bool> stop{false};

  void done() {
    std::lock_guard lock(mutex);
    ++operations;
    changed.notify_all();
  }
  void complain(std::uint64_t& count, const std::string& what) {
    std::lock_guard lock(mutex);
    ++count;
    if (complaints.size() < 20) complaints.push_back(what);
  }
  // Until so many more operations are done, or for a moment: while the worker that clients wait for is away there are none.
  void wait_for_operations(std::uint64_t more) {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, std::chrono::milliseconds(25), [&, until = operations + more] { return operations >= until; });
  }
};

// Numbers that a counter gives out: each once, and all of them.
struct Numbers {
  std::set<std::int64_t> seen;
  void add(Ledger& ledger, const std::string& what, std::int64_t number) {
    if (!seen.insert(number).second) ledger.complain(ledger.duplicated, what + " gave the answer " + std::to_string(number) + " twice");
  }
};

template <class T>
bool answered(Ledger& ledger, const std::string& what, const Result<T>& answer) {
  ledger.done();
  if (answer) return true;
  ledger.complain(ledger.lost, what + ": " + answer.error().message);
  return false;
}

class Workload {
 public:
  Workload(Daemon& daemon, std::uint64_t seed) : daemon_(daemon), seed_(seed) {}

  void start() {
    for (int i = 0; i < kTellers; ++i) threads_.emplace_back([this, i, client = daemon_.connect("teller client")] { move_money(*client, i); });
    threads_.emplace_back([this, client = daemon_.connect("counting client")] { count(*client); });
    threads_.emplace_back([this, client = daemon_.connect("annoyed client")] { annoy(*client); });
  }
  void finish() {
    ledger.stop = true;
    for (auto& thread : threads_) thread.join();
    threads_.clear();
  }

  Ledger ledger;
  Numbers transfers[kTellers];
  Numbers counts;
  std::int64_t donated = 0;

 private:
  void move_money(Client& client, int which) {
    std::mt19937_64 random(seed_ + static_cast<std::uint64_t>(which) + 1);
    auto teller = *client.actor<Teller>("teller" + std::to_string(which));
    while (!ledger.stop) {
      auto from = random() % kAccounts, to = (from + 1 + random() % (kAccounts - 1)) % kAccounts;
      auto answer = teller.call_with(kPatient, Teller::transfer, "account" + std::to_string(from), "account" + std::to_string(to),
                                     static_cast<std::int64_t>(random() % 300)).get();
      bool refused = !answer && answer.error().message.find("are left") != std::string::npos;
      if (refused) {
        ledger.done();
      } else if (answered(ledger, "transfer", answer)) {
        transfers[which].add(ledger, "teller", *answer);
      }
    }
  }

  void count(Client& client) {
    auto counter = *client.actor<Counter>("counter");
    auto teller = *client.actor<Teller>("teller0");
    while (!ledger.stop) {
      std::vector<Future<std::int64_t>> calls;
      for (int i = 0; i < 5; ++i) calls.push_back(counter.call_with(kPatient, Counter::add, 1));
      auto donation = teller.call_with(kPatient, Teller::donate, "box", 1);
      for (auto& call : calls) {
        auto answer = call.get();
        if (answered(ledger, "count", answer)) counts.add(ledger, "counter", *answer);
      }
      if (answered(ledger, "donation", donation.get())) ++donated;
    }
  }

  // Calls what throws, in every callback: nobody else may notice.
  void annoy(Client& client) {
    std::mt19937_64 random(seed_);
    while (!ledger.stop) {
      std::string where = kCallbacks[random() % std::size(kCallbacks)];
      auto thrower = *client.actor<Thrower>("throws-in-" + where);
      if (where == "continuation") {
        (void)thrower.call_with({.timeout = 1s}, Thrower::call_and_throw, "account0").get();
      } else {
        (void)thrower.call_with({.timeout = 1s}, Thrower::add, 1).get();
      }
      ledger.done();
    }
  }

  Daemon& daemon_;
  const std::uint64_t seed_;
  std::vector<std::thread> threads_;
};

// Ends workers, one fault after the other.
class Troublemaker {
 public:
  Troublemaker(Daemon& daemon, Ledger& ledger, std::uint64_t seed)
      : daemon_(daemon), ledger_(ledger), admin_(daemon.admin()), client_(daemon.connect("troublemaker")), random_(seed) {}

  void cause(std::uint64_t faults) {
    while (faults_ < faults) {
      ledger_.wait_for_operations(random_() % 12);
      int worker = static_cast<int>(random_() % kWorkers);
      if (random_() % 3 == 0) {
        sabotage(worker);
      } else {
        send(worker);
      }
    }
    for (auto& sabotage : sabotages_)
      if (auto answer = sabotage.get(); !answer) ledger_.complain(ledger_.lost, "sabotage: " + answer.error().message);
  }

 private:
  void send(int worker) {
    switch (random_() % 4) {
      case 0:
        if (signal(worker, SIGABRT)) ++faults_;
        break;
      case 1:
        if (!signal(worker, SIGSTOP)) break;
        if (random_() % 10 == 0) {  // left to the watchdog
          ++faults_;
          break;
        }
        ledger_.wait_for_operations(random_() % 3);
        if (signal(worker, SIGKILL)) ++faults_;
        break;
      default:
        if (signal(worker, SIGKILL)) ++faults_;
    }
  }

  // False when there is no process at the moment.
  bool signal(int worker, int number) {
    auto killed = admin_.request(
        [&](wire::AdminRequest::Builder request) {
          auto order = request.initKill();
          order.setWorker("cpu/" + std::to_string(worker));
          order.setSignal(number);
        },
        30s);
    return killed.ok();
  }

  void sabotage(int worker) {
    static constexpr const char* kWays[] = {"abort", "kill", "exit 70", "exit 3", "exit 75", "exit 0"};
    auto saboteur = *client_->actor<Saboteur>("saboteur" + std::to_string(worker));
    std::string path = daemon_.dir() + "/sabotage-" + std::to_string(sabotages_.size());
    sabotages_.push_back(saboteur.call_with(kPatient, Saboteur::crash_once, path, kWays[random_() % std::size(kWays)]));
    ++faults_;
  }

  Daemon& daemon_;
  Ledger& ledger_;
  ipc::AdminClient admin_;
  std::unique_ptr<Client> client_;
  std::mt19937_64 random_;
  std::uint64_t faults_ = 0;
  std::vector<Future<void>> sabotages_;
};

template <class T>
T must(const std::string& what, const Result<T>& result) {
  if (!result) FAIL(what << ": " << result.error().message);
  return *result;
}

std::int64_t total(Client& client) {
  std::int64_t sum = 0;
  for (int i = 0; i < kAccounts; ++i)
    sum += must("balance", (*client.actor<Account>("account" + std::to_string(i))).call_with(kPatient, Account::balance).get());
  return sum;
}

// Every actor that can has a commit.
void warm_up(Client& client) {
  total(client);
  for (int i = 0; i < kTellers; ++i) must("teller", (*client.actor<Teller>("teller" + std::to_string(i))).call(Teller::transfers).get());
  must("counter", (*client.actor<Counter>("counter")).call(Counter::value).get());
  must("box", (*client.actor<Account>("box")).call(Account::balance).get());
}

std::uint64_t leaked_bytes(Daemon& daemon) {
  auto reply = daemon.admin().request([](wire::AdminRequest::Builder request) { request.initArenaLeaks().setOlderThanNs(1); }, 30s);
  if (!reply) FAIL("leaks: " << reply.error().message);
  return reply->root<wire::AdminReply>().getLeaks().getBytes();
}

std::uint64_t deaths(Daemon& daemon) {
  std::uint64_t sum = 0;
  for (int i = 0; i < kWorkers; ++i) sum += daemon.worker("cpu/" + std::to_string(i)).restarts;
  return sum;
}

}  // namespace

TEST_CASE("whatever workers die of, no money is made or lost, everything is counted once, and nothing is left behind", "[chaos]") {
  std::uint64_t faults = number_of("TV_CHAOS_FAULTS", 200);
  std::uint64_t seed = number_of("TV_SEED", std::random_device{}());
  std::printf("chaos: seed %llu, %llu faults\n", static_cast<unsigned long long>(seed), static_cast<unsigned long long>(faults));
  std::fflush(stdout);
  Daemon daemon({.config = config(), .environment = {{"TENSORVISOR_WORKER", TV_CHAOS_WORKER}}});
  auto client = daemon.connect("auditor");
  warm_up(*client);

  Workload work(daemon, seed);
  work.start();
  {
    Troublemaker troublemaker(daemon, work.ledger, seed);
    troublemaker.cause(faults);
  }
  work.finish();

  Ledger& ledger = work.ledger;
  // From teller0's worker to the box's, and so behind every donation.
  auto last = (*client->actor<Teller>("teller0")).call_with(kPatient, Teller::transfer, "account0", "account2", 0).get();
  if (answered(ledger, "last transfer", last)) work.transfers[0].add(ledger, "teller", *last);
  CHECK(total(*client) == kAccounts * kStart);
  auto counted = must("count", (*client->actor<Counter>("counter")).call_with(kPatient, Counter::value).get());
  auto box = must("box", (*client->actor<Account>("box")).call_with(kPatient, Account::balance).get());
  std::int64_t beyond = 0, missing = 0;
  auto compare = [&](const std::string& what, std::int64_t have, std::int64_t want) {
    if (have == want) return;
    ledger.complaints.push_back(what + ": " + std::to_string(have) + ", but the answers say " + std::to_string(want));
    (have > want ? beyond : missing) += std::abs(have - want);
  };
  compare("counter", counted, static_cast<std::int64_t>(work.counts.seen.size()));
  compare("box", box, work.donated);
  for (int i = 0; i < kTellers; ++i) {
    auto made = must("transfers", (*client->actor<Teller>("teller" + std::to_string(i))).call_with(kPatient, Teller::transfers).get());
    compare("teller" + std::to_string(i), made, static_cast<std::int64_t>(work.transfers[i].seen.size()));
  }
  ledger.duplicated += static_cast<std::uint64_t>(beyond);
  ledger.lost += static_cast<std::uint64_t>(missing);
  auto died = deaths(daemon);
  client.reset();
  daemon.wait_until("all workers are back", [&] {
    for (int i = 0; i < kWorkers; ++i)
      if (daemon.worker("cpu/" + std::to_string(i)).state != "ready") return false;
    return true;
  });
  auto problems = daemon.fsck();
  auto leaked = leaked_bytes(daemon);
  daemon.process().signal(SIGTERM);
  auto code = daemon.process().wait(Deadline::in(60s));
  auto orphans = processes_of(daemon.runtime_dir()).size();
  std::printf("chaos: faults %llu deaths %llu operations %llu lost %llu duplicated %llu leaked_bytes %llu orphans %zu seed %llu\n",
              static_cast<unsigned long long>(faults), static_cast<unsigned long long>(died),
              static_cast<unsigned long long>(ledger.operations), static_cast<unsigned long long>(ledger.lost),
              static_cast<unsigned long long>(ledger.duplicated), static_cast<unsigned long long>(leaked), orphans,
              static_cast<unsigned long long>(seed));
  for (const auto& complaint : ledger.complaints) std::printf("chaos: %s\n", complaint.c_str());
  for (const auto& problem : problems) std::printf("chaos: fsck: %s\n", problem.c_str());
  std::fflush(stdout);
  CHECK(ledger.lost == 0);
  CHECK(ledger.duplicated == 0);
  CHECK(leaked == 0);
  CHECK(problems.empty());
  CHECK(orphans == 0);
  CHECK(code == std::optional<int>(0));
  CHECK(died >= faults / 2);  // a process that is dying already cannot die twice
}
