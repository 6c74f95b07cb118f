// Chaos on the real thing: a daemon, its workers, clients that move money and count, and faults at random moments. What counts is the
// books: every call answered once, every effect there once, nothing left behind.
//
// TV_CHAOS_FAULTS (200) and TV_SEED choose how much and what; tools/chaos sets them.
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "tests/support/catch.h"
#include "tests/support/daemon.h"
#include "tests/support/memory_group.h"
#include "tests/support/plugins/bank.h"
#include "tests/support/plugins/flaky.h"
#include "tests/support/plugins/ledger.h"

using namespace tv;
using namespace tv::test;

namespace {

constexpr int kWorkers = 4;
constexpr int kAccounts = 6;
constexpr int kTellers = 2;
constexpr std::int64_t kStart = 1000;
constexpr int kFlakyAccounts = 4;
constexpr CallOptions kPatient{.timeout = 10min};
const char* const kCallbacks[] = {"on_stop", "save", "method", "continuation"};
// For the daemon and all of its processes, where such a limit can be set. They need 160 MiB; the rest is for a hog, until the kernel kills it.
constexpr std::uint64_t kMemory = std::uint64_t{256} << 20;

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

std::string flaky(const std::string& name, const std::string& type, const std::string& library, int worker, int every_messages, const std::string& trouble,
                  std::int64_t start = 0) {
  return actor(name, type, library, worker, every_messages, "trouble = \"" + trouble + "\", start = " + std::to_string(start)) +
         "health = { period = \"20ms\", failures = 1 }\n";
}

std::vector<std::string> flaky_actors() {
  std::vector<std::string> names = {"flaky-teller", "flaky-counter"};
  for (int i = 0; i < kFlakyAccounts; ++i) names.push_back("flaky-account" + std::to_string(i));
  return names;
}

// Accounts commit each message, the others some at a time; tellers are not where their accounts are. Half of the flaky accounts have tensors in
// their state, where the build has LibTorch.
std::string config(const std::string& trouble) {
  std::string text = "[causes]\ncould_not_start = \"restart\"\n" +
                     base_config(kWorkers, "spares = 2\nwatchdog = \"1s\"\nwatchdog_grace = \"100ms\"\nrestart = { min = \"1ms\", max = \"20ms\", intensity = 1000000 }");
  for (int i = 0; i < kAccounts; ++i)
    text += actor("account" + std::to_string(i), Account::kType, "ledger", 1 + i % 2, 1, "start = " + std::to_string(kStart));
  for (int i = 0; i < kTellers; ++i) text += actor("teller" + std::to_string(i), Teller::kType, "ledger", i == 0 ? 0 : 3, 1 + i * 3);
  text += actor("counter", Counter::kType, "bank", 2, 8);
  text += actor("box", Account::kType, "ledger", 1, 5);
  for (int i = 0; i < kWorkers; ++i) text += actor("saboteur" + std::to_string(i), Saboteur::kType, "ledger", i);
  text += flaky("flaky-teller", FlakyTeller::kType, "flaky", 0, 3, trouble);
  text += flaky("flaky-counter", FlakyAccount::kType, TV_CHAOS_TENSORS, 3, 2, trouble);
  for (int i = 0; i < kFlakyAccounts; ++i)
    text += flaky("flaky-account" + std::to_string(i), FlakyAccount::kType, i % 2 == 0 ? "flaky" : TV_CHAOS_TENSORS, i % 2 == 0 ? 1 : 3, 1, trouble, kStart);
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
    threads_.emplace_back([this, client = daemon_.connect("flaky teller client")] { move_money_that_throws(*client); });
    threads_.emplace_back([this, client = daemon_.connect("flaky counting client")] { count_what_throws(*client); });
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
  std::int64_t flaky_transfers = 0;
  std::int64_t flaky_counts = 0;

 private:
  // Tries until there is an answer. What an attempt may end with is what the actors were asked to throw, and nothing else.
  template <class Try>
  std::optional<bool> insist(const std::string& what, const Try& attempt) {
    for (std::int64_t n = 1;; ++n) {
      Result<bool> answer = attempt(n);
      ledger.done();
      if (answer) return *answer;
      const auto& why = answer.error().message;
      bool asked_for = why.find("thrown in ") != std::string::npos || why.find("no std::exception") != std::string::npos;
      if (!asked_for) {
        ledger.complain(ledger.lost, what + ": " + why);
        return std::nullopt;
      }
    }
  }

  void move_money_that_throws(Client& client) {
    std::mt19937_64 random(seed_ + 100);
    auto teller = *client.actor<FlakyTeller>("flaky-teller");
    for (std::int64_t serial = 1; !ledger.stop; ++serial) {
      auto from = random() % kFlakyAccounts, to = (from + 1 + random() % (kFlakyAccounts - 1)) % kFlakyAccounts;
      auto n = static_cast<std::int64_t>(random() % 300);
      auto made = insist("flaky transfer", [&](std::int64_t attempt) {
        return teller.call_with(kPatient, FlakyTeller::transfer, serial, attempt, "flaky-account" + std::to_string(from),
                                "flaky-account" + std::to_string(to), n).get();
      });
      if (made.value_or(false)) ++flaky_transfers;
    }
  }

  void count_what_throws(Client& client) {
    auto counter = *client.actor<FlakyAccount>("flaky-counter");
    for (std::int64_t serial = 1; !ledger.stop; ++serial) {
      auto counted = insist("flaky count", [&](std::int64_t attempt) {
        return counter.call_with(kPatient, FlakyAccount::move, std::string("client"), serial, attempt, std::int64_t{1}).get();
      });
      if (counted.value_or(false)) ++flaky_counts;
    }
  }

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
  // `hog`: how a worker takes too much memory.
  Troublemaker(Daemon& daemon, Ledger& ledger, std::string trouble, std::string hog, std::uint64_t seed)
      : daemon_(daemon),
        ledger_(ledger),
        trouble_(std::move(trouble)),
        hog_(std::move(hog)),
        admin_(daemon.admin()),
        client_(daemon.connect("troublemaker")),
        random_(seed) {}

  void cause(std::uint64_t faults) {
    while (faults_ < faults) {
      ledger_.wait_for_operations(random_() % 12);
      int worker = static_cast<int>(random_() % kWorkers);
      switch (random_() % 8) {
        case 0:
        case 1:
        case 2:
          sabotage(worker);
          break;
        case 3:
        case 4:
          make_one_throw();
          break;
        default:
          send(worker);
      }
    }
    for (auto& sabotage : sabotages_)
      if (auto answer = sabotage.get(); !answer) ledger_.complain(ledger_.lost, "sabotage: " + answer.error().message);
    // Who has not come to it is not to do it while the books are closed.
    for (const auto& name : flaky_actors())
      for (const char* callback : kThrowingCallbacks)
        for (bool odd : {false, true})
          if (::unlink(trouble_file(trouble_, name, callback, odd).c_str()) == 0) --thrown_;
  }
  std::uint64_t hogs() const { return hogs_; }
  std::uint64_t asked_to_throw() const { return asked_to_throw_; }
  std::uint64_t thrown() const { return thrown_; }

 private:
  // Each callback in turn. Those of start and stop are run for it.
  void make_one_throw() {
    const auto names = flaky_actors();
    const auto& name = names[random_() % names.size()];
    const std::string callback = kThrowingCallbacks[turn_++ % std::size(kThrowingCallbacks)];
    bool odd = random_() % 2 == 0;
    auto file = trouble_file(trouble_, name, callback, odd);
    if (::access(file.c_str(), F_OK) == 0) return;  // asked before, and has not come to it
    std::ofstream(file).flush();
    ++asked_to_throw_;
    ++thrown_;
    ++faults_;
    if (callback == "save" || callback == "method" || callback == "on_health") return;
    (void)admin_.request([&](wire::AdminRequest::Builder request) { request.setRestart(name); }, 30s);
  }

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
    const std::string ways[] = {"abort", "kill", "exit 70", "exit 3", "exit 75", "exit 0", "device"};
    auto saboteur = *client_->actor<Saboteur>("saboteur" + std::to_string(worker));
    std::string path = daemon_.dir() + "/sabotage-" + std::to_string(sabotages_.size());
    const auto& way = sabotages_.size() % 16 == 7 ? hog_ : ways[random_() % std::size(ways)];
    if (way == hog_) ++hogs_;
    sabotages_.push_back(saboteur.call_with(kPatient, Saboteur::crash_once, path, way));
    ++faults_;
  }

  Daemon& daemon_;
  Ledger& ledger_;
  const std::string trouble_, hog_;
  ipc::AdminClient admin_;
  std::unique_ptr<Client> client_;
  std::mt19937_64 random_;
  std::uint64_t faults_ = 0;
  std::uint64_t hogs_ = 0;
  std::uint64_t turn_ = 0;
  std::uint64_t asked_to_throw_ = 0;
  std::uint64_t thrown_ = 0;  // less than asked: who has not come to it
  std::vector<Future<void>> sabotages_;
};

std::size_t times(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

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

Result<std::int64_t> flaky_total(Client& client) {
  std::int64_t sum = 0;
  for (int i = 0; i < kFlakyAccounts; ++i)
    sum += TV_TRY((*client.actor<FlakyAccount>("flaky-account" + std::to_string(i))).call_with(kPatient, FlakyAccount::balance).get());
  return sum;
}

// Every actor that can has a commit.
void warm_up(Client& client) {
  total(client);
  for (int i = 0; i < kTellers; ++i) must("teller", (*client.actor<Teller>("teller" + std::to_string(i))).call(Teller::transfers).get());
  must("counter", (*client.actor<Counter>("counter")).call(Counter::value).get());
  must("box", (*client.actor<Account>("box")).call(Account::balance).get());
  must("flaky accounts", flaky_total(client));
  must("flaky teller", (*client.actor<FlakyTeller>("flaky-teller")).call(FlakyTeller::transfers).get());
  must("flaky counter", (*client.actor<FlakyAccount>("flaky-counter")).call(FlakyAccount::balance).get());
}

std::uint64_t leaked_bytes(Daemon& daemon, std::vector<std::string>& complaints) {
  auto reply = daemon.admin().request([](wire::AdminRequest::Builder request) { request.initArenaLeaks().setOlderThanNs(1); }, 30s);
  if (!reply) FAIL("leaks: " << reply.error().message);
  auto leaks = reply->root<wire::AdminReply>().getLeaks();
  if (leaks.getBytes() > 0) complaints.push_back("leaks: " + daemon.tensorctl({"arena", "leaks", "--older-than", "1ns"}).out);
  return leaks.getBytes();
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
  std::string no_group;
  auto group = MemoryGroup::make(kMemory, no_group);
  if (group) std::printf("chaos: memory hogs are killed by the kernel, in a cgroup of version %d\n", group->version());
  else std::printf("chaos: no cgroup with a limit of memory (%s): memory hogs end by RLIMIT_AS and std::bad_alloc\n", no_group.c_str());
  std::fflush(stdout);
  TempDir trouble;
  Daemon daemon({.config = config(trouble.path()), .environment = {{"TENSORVISOR_WORKER", TV_CHAOS_WORKER}}, .cgroup_procs = group ? group->procs() : ""});
  auto client = daemon.connect("auditor");
  warm_up(*client);

  Workload work(daemon, seed);
  work.start();
  std::uint64_t hogs = 0, thrown = 0, asked_to_throw = 0;
  {
    Troublemaker troublemaker(daemon, work.ledger, trouble.path(), group ? "hog" : "hog-limited", seed);
    troublemaker.cause(faults);
    hogs = troublemaker.hogs();
    thrown = troublemaker.thrown();
    asked_to_throw = troublemaker.asked_to_throw();
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
  compare("money in flaky accounts", must("flaky accounts", flaky_total(*client)), kFlakyAccounts * kStart);
  compare("flaky transfers", must("flaky transfers", (*client->actor<FlakyTeller>("flaky-teller")).call_with(kPatient, FlakyTeller::transfers).get()),
          work.flaky_transfers);
  auto flaky_counter = *client->actor<FlakyAccount>("flaky-counter");
  compare("flaky counter", must("flaky counter", flaky_counter.call_with(kPatient, FlakyAccount::balance).get()), work.flaky_counts);
  for (const auto& name : flaky_actors()) {
    if (name == "flaky-teller") continue;
    auto flaws = must("flaws", (*client->actor<FlakyAccount>(name)).call_with(kPatient, FlakyAccount::flaws).get());
    compare("tries that came twice, and torn states, of " + name, flaws, 0);
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
  auto oom_deaths = times(daemon.log(), ": out of memory, says the kernel");
  auto problems = daemon.fsck();
  auto leaked = leaked_bytes(daemon, ledger.complaints);
  daemon.process().signal(SIGTERM);
  auto code = daemon.process().wait(Deadline::in(60s));
  auto orphans = processes_of(daemon.runtime_dir()).size();
  std::printf("chaos: hogs %llu asked_to_throw %llu thrown %llu oom_deaths %zu\n", static_cast<unsigned long long>(hogs),
              static_cast<unsigned long long>(asked_to_throw), static_cast<unsigned long long>(thrown), oom_deaths);
  std::printf("chaos: faults %llu deaths %llu operations %llu lost %llu duplicated %llu leaked_bytes %llu orphans %zu seed %llu\n",
              static_cast<unsigned long long>(faults), static_cast<unsigned long long>(died),
              static_cast<unsigned long long>(ledger.operations), static_cast<unsigned long long>(ledger.lost),
              static_cast<unsigned long long>(ledger.duplicated), static_cast<unsigned long long>(leaked), orphans,
              static_cast<unsigned long long>(seed));
  for (const auto& complaint : ledger.complaints) std::printf("chaos: %s\n", complaint.c_str());
  for (const auto& problem : problems) std::printf("chaos: fsck: %s\n", problem.c_str());
  if (!ledger.complaints.empty() || !problems.empty() || leaked + orphans > 0) {
    const char* base = std::getenv("TMPDIR");
    std::string kept = std::string(base && *base ? base : "/tmp") + "/tv-chaos-" + std::to_string(seed) + ".log";
    std::ofstream(kept) << daemon.log();
    std::printf("chaos: the daemon's log is kept as %s\n", kept.c_str());
  }
  std::fflush(stdout);
  CHECK(ledger.lost == 0);
  CHECK(ledger.duplicated == 0);
  CHECK(leaked == 0);
  CHECK(problems.empty());
  CHECK(orphans == 0);
  CHECK(code == std::optional<int>(0));
  CHECK(thrown >= asked_to_throw / 2);
  CHECK((!group || hogs < 100 || oom_deaths > 0));  // of a few, each may have been killed otherwise before it had much
  CHECK(died >= (faults - asked_to_throw) / 2);  // a process that is dying already cannot die twice
}
