#include "tests/support/plugins/ledger.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "worker/actor.h"

namespace tv::test {
namespace {

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return *std::move(result);
}

class AccountActor final : public Actor {
 public:
  explicit AccountActor(Context& context) : balance_(context.args().get<std::int64_t>("start", 0)) {}
  void save(StateWriter& state) const override { state.put("balance", balance_); }
  void load(const StateReader& state) override { state.get("balance", balance_); }

  std::int64_t deposit(std::int64_t n) { return balance_ += n; }
  std::int64_t withdraw(std::int64_t n) {
    if (n > balance_) throw std::runtime_error("only " + std::to_string(balance_) + " are left");
    return balance_ -= n;
  }
  std::int64_t balance() { return balance_; }

 private:
  std::int64_t balance_;
};

class TellerActor final : public Actor {
 public:
  explicit TellerActor(Context& context) : context_(context) {}
  void save(StateWriter& state) const override {
    state.put("transfers", transfers_);
    state.put("paid", paid_);
  }
  void load(const StateReader& state) override {
    state.get("transfers", transfers_);
    state.get("paid", paid_);
  }

  std::int64_t transfer(std::string from, std::string to, std::int64_t n) {
    must(account(from).call_with(kPatient, Account::withdraw, n).get());
    must(account(to).call_with(kPatient, Account::deposit, n).get());
    return ++transfers_;
  }
  void donate(std::string to, std::int64_t n) {
    if (auto told = account(to).tell_with(kPatient, Account::deposit, n); !told) throw std::runtime_error(told.error().message);
  }
  std::int64_t fickle(std::string to) {
    return must(account(to).call(Account::deposit, static_cast<std::int64_t>(context_.incarnation())).get());
  }
  std::int64_t transfers() { return transfers_; }
  void pay_out(std::string to, std::int64_t n) {
    while (paid_ < n) {
      must(account(to).call_with(kPatient, Account::deposit, paid_ + 1).get());
      ++paid_;
      if (auto committed = context_.commit(); !committed) throw std::runtime_error(committed.error().message);
    }
    paid_ = 0;
  }

 private:
  static constexpr CallOptions kPatient{.timeout = 10min};
  Ref<Account> account(const std::string& name) { return must(context_.actor<Account>(name)); }

  Context& context_;
  std::int64_t transfers_ = 0;
  std::int64_t paid_ = 0;  // by pay_out
};

class ThrowerActor final : public Actor {
 public:
  explicit ThrowerActor(Context& context) : context_(context), where_(context.args().get<std::string>("where", "")) {
    throw_if("constructor");
  }
  void on_start(Context&) override { throw_if("on_start"); }
  void on_stop(Context&) override { throw_if("on_stop"); }
  void save(StateWriter& state) const override {
    throw_if("save");
    state.put("total", total_);
  }
  void load(const StateReader& state) override {
    throw_if("load");
    state.get("total", total_);
  }

  void set(std::string where) { where_ = where; }
  std::int64_t add(std::int64_t n) {
    throw_if("method");
    return total_ += n;
  }
  void call_and_throw(std::string account) {
    must(context_.actor<Account>(account)).call(Account::balance).then([](Result<std::int64_t>) {
      throw std::runtime_error("thrown in a continuation");
    });
  }

 private:
  void throw_if(const char* where) const {
    if (where_ == where) throw std::runtime_error(std::string("thrown in ") + where);
  }

  Context& context_;
  std::string where_;
  std::int64_t total_ = 0;
};

// The kernel is to choose this process, and no other of its cgroup. What no limit stops ends with an exit code of its own.
[[noreturn]] void take_memory_until_killed() {
  constexpr std::size_t kPiece = std::size_t{16} << 20, kMost = std::size_t{8} << 30;
  std::ofstream("/proc/self/oom_score_adj") << "1000";
  for (std::size_t taken = 0; taken < kMost; taken += kPiece) {
    void* piece = ::mmap(nullptr, kPiece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (piece == MAP_FAILED) break;
    (void)::madvise(piece, kPiece, MADV_HUGEPAGE);
    std::memset(piece, 1, kPiece);
  }
  ::_exit(99);
}

// std::bad_alloc where nobody catches it.
[[noreturn]] void take_memory_until_there_is_none() {
  std::thread([] {
    long pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    rlim_t limit = static_cast<rlim_t>(pages) * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + (rlim_t{64} << 20);
    rlimit wanted{limit, limit};
    ::setrlimit(RLIMIT_AS, &wanted);
    std::vector<std::unique_ptr<char[]>> taken;
    for (;;) taken.push_back(std::make_unique<char[]>(std::size_t{1} << 20));
  }).join();
  ::_exit(99);
}

class SaboteurActor final : public Actor {
 public:
  explicit SaboteurActor(Context& context) : context_(context) {}
  void on_start(Context& context) override {
    auto hang = context.args().get<std::string>("hang", "");
    if (!hang.empty() && ::unlink(hang.c_str()) == 0)
      for (;;) ::pause();
  }
  void crash_once(std::string path, std::string how) {
    int fd = ::open(path.c_str(), O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return;
    ::close(fd);
    context_.extend_watchdog(std::chrono::minutes(1));  // taking memory takes time
    if (how == "abort") std::abort();
    if (how == "kill") ::raise(SIGKILL);
    if (how == "device") throw DeviceError("the board does not answer");
    if (how == "hog") take_memory_until_killed();
    if (how == "hog-limited") take_memory_until_there_is_none();
    if (how.starts_with("exit ")) ::_exit(std::stoi(how.substr(5)));
    throw ArgumentError("no way to crash is called \"" + how + "\"");
  }

 private:
  Context& context_;
};

}  // namespace
}  // namespace tv::test

TV_PLUGIN(registry) {
  using namespace tv::test;
  registry.add<AccountActor, Account>()
      .method(Account::deposit, &AccountActor::deposit)
      .method(Account::withdraw, &AccountActor::withdraw)
      .method(Account::balance, &AccountActor::balance);
  registry.add<TellerActor, Teller>()
      .method(Teller::transfer, &TellerActor::transfer)
      .method(Teller::donate, &TellerActor::donate)
      .method(Teller::fickle, &TellerActor::fickle)
      .method(Teller::transfers, &TellerActor::transfers)
      .method(Teller::pay_out, &TellerActor::pay_out);
  registry.add<ThrowerActor, Thrower>()
      .method(Thrower::set, &ThrowerActor::set)
      .method(Thrower::add, &ThrowerActor::add)
      .method(Thrower::call_and_throw, &ThrowerActor::call_and_throw);
  registry.add<SaboteurActor, Saboteur>().method(Saboteur::crash_once, &SaboteurActor::crash_once);
}
