// A daemon with pools and counters, and clients that keep a pool busy.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/daemon.h"
#include "tests/support/plugins/bank.h"
#include "tests/support/plugins/ledger.h"

namespace tv::test {

inline constexpr CallOptions kPatient{.timeout = 2min};

inline bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

inline std::string pool(int size, const std::string& more = "") {
  return "[[pool]]\nname = \"p\"\ntype = \"test.account\"\nplugin = \"" + plugin("ledger") + "\"\nsize = " + std::to_string(size) +
         "\nworkers = [\"cpu\"]\ndelivery = \"effectively_once\"\nmax_deliveries = 255\n" + more + "\n";
}
inline std::string counter(const std::string& name, int worker, const std::string& more = "") {
  return "[[actor]]\nname = \"" + name + "\"\ntype = \"test.counter\"\nplugin = \"" + plugin("bank") + "\"\nworker = \"cpu/" +
         std::to_string(worker) + "\"\n" + more + "\n";
}
inline std::string workers(int count) { return base_config(count, "restart = { min = \"1ms\", max = \"20ms\", intensity = 1000 }"); }

inline Daemon start(const std::string& config) { return Daemon({.config = config, .environment = {{"TENSORVISOR_WORKER", TV_CHAOS_WORKER}}}); }

// Clients that deposit 1 into the pool, again and again. What was answered is to be in the books, and nothing else.
class Traffic {
 public:
  explicit Traffic(Daemon& daemon, int clients = 3) {
    for (int i = 0; i < clients; ++i) {
      clients_.push_back(daemon.connect("payer" + std::to_string(i)));
      threads_.emplace_back([this, client = clients_.back().get()] { pay(*client); });
    }
  }
  ~Traffic() { stop(); }

  void stop() {
    stop_ = true;
    for (auto& thread : threads_)
      if (thread.joinable()) thread.join();
  }
  std::int64_t paid() const { return paid_; }
  std::string complaint() {
    std::lock_guard lock(mutex_);
    return complaint_;
  }
  // So many more have been answered: who has been picked before is known to be there.
  void wait_for(Daemon& daemon, std::int64_t more) {
    auto goal = paid_ + more;
    daemon.wait_until("traffic goes on: " + complaint(), [&] { return paid_ >= goal || !complaint().empty(); });
  }

 private:
  void pay(Client& client) {
    auto target = client.actor<Account>("p");
    while (target.ok() && !stop_) {
      auto answer = target->call_with(kPatient, Account::deposit, std::int64_t{1}).get();
      if (answer) {
        ++paid_;
        continue;
      }
      std::lock_guard lock(mutex_);
      complaint_ = answer.error().message;
      return;
    }
  }

  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::thread> threads_;
  std::atomic<bool> stop_{false};
  std::atomic<std::int64_t> paid_{0};
  std::mutex mutex_;
  std::string complaint_;
};

inline std::int64_t balance(Client& client, const std::string& name) {
  auto account = client.actor<Account>(name);
  if (!account) FAIL(account.error().message);
  auto balance = account->call_with(kPatient, Account::balance).get();
  if (!balance) FAIL(name + ": " + balance.error().message);
  return *balance;
}
inline std::int64_t balances(Daemon& daemon, int members) {
  auto client = daemon.connect("auditor");
  std::int64_t sum = 0;
  for (int i = 0; i < members; ++i) sum += balance(*client, "p/" + std::to_string(i));
  return sum;
}

inline void require_done(const Output& output) {
  INFO(output.out << output.err);
  REQUIRE(output.status == 0);
}

// When it was said, to be compared. Not by where it stands: what workers say comes by a pipe each, and lines of different workers may change places.
inline std::string moment(const std::string& log, const std::string& text) {
  auto at = log.find(text);
  INFO(text << " in\n" << log);
  REQUIRE(at != std::string::npos);
  auto line = at == 0 ? 0 : log.rfind('\n', at - 1) + 1;
  auto time = log.substr(line, log.find(' ', line) - line);
  REQUIRE(time.ends_with('Z'));
  return time;
}
inline std::string stopped(int worker, const std::string& actor) {
  return "event=\"actor stopped\" worker=cpu/" + std::to_string(worker) + " actor=" + actor;
}

}  // namespace tv::test
