// The actors of flaky.h, for the plug-ins that register them.
#pragma once

#include <unistd.h>

#include <map>
#include <stdexcept>

#include "tests/support/plugins/flaky.h"
#include "worker/actor.h"

namespace tv::test {

class Flaky : public Actor {
 public:
  explicit Flaky(Context& context) : context_(context), trouble_(context.args().get<std::string>("trouble", "")) { trouble("constructor"); }
  void on_start(Context&) override { trouble("on_start"); }
  void on_stop(Context&) override { trouble("on_stop"); }
  Health on_health(Context&) override {
    trouble("on_health");
    return {};
  }

 protected:
  void trouble(const char* callback) const {
    if (trouble_.empty()) return;
    if (::unlink(trouble_file(trouble_, context_.name(), callback, false).c_str()) == 0)
      throw std::runtime_error(std::string("thrown in ") + callback);
    if (::unlink(trouble_file(trouble_, context_.name(), callback, true).c_str()) == 0) throw 42;
  }

  Context& context_;

 private:
  const std::string trouble_;
};

// The last work of one caller.
struct Work {
  std::int64_t serial = 0;
  std::int64_t attempt = 0;
  bool done = false;  // and not refused

  template <class V>
  void fields(V& v) {
    v("serial", serial);
    v("attempt", attempt);
    v("done", done);
  }
};

class FlakyAccountActor : public Flaky {
 public:
  explicit FlakyAccountActor(Context& context) : Flaky(context), balance_(context.args().get<std::int64_t>("start", 0)) {}
  void save(StateWriter& state) const override {
    trouble("save");
    state.put("balance", balance_);
    state.put("flaws", flaws_);
    state.put("last", last_);
  }
  void load(const StateReader& state) override {
    trouble("load");
    state.get("balance", balance_);
    state.get("flaws", flaws_);
    state.get("last", last_);
  }

  bool move(std::string who, std::int64_t serial, std::int64_t attempt, std::int64_t n) {
    Work& last = last_[who];
    if (serial == last.serial && attempt <= last.attempt)
      note_flaw(who + "'s try " + std::to_string(attempt) + " of " + std::to_string(serial) + " came again after " + std::to_string(last.attempt));
    if (serial == last.serial) {
      last.attempt = attempt;
      return last.done;
    }
    trouble("method");
    last = {serial, attempt, balance_ + n >= 0};
    if (last.done) balance_ += n;
    return last.done;
  }
  std::int64_t balance() { return balance_; }
  std::int64_t flaws() { return flaws_; }

 protected:
  void note_flaw(const std::string& what) {
    ++flaws_;
    context_.log(log::Level::kError, "flaw: " + what);
  }

  std::int64_t balance_;
  std::int64_t flaws_ = 0;

 private:
  std::map<std::string, Work> last_;
};

class FlakyTellerActor final : public Flaky {
 public:
  using Flaky::Flaky;
  void save(StateWriter& state) const override {
    trouble("save");
    state.put("transfers", transfers_);
    state.put("counted", counted_);
  }
  void load(const StateReader& state) override {
    trouble("load");
    state.get("transfers", transfers_);
    state.get("counted", counted_);
  }

  bool transfer(std::int64_t serial, std::int64_t attempt, std::string from, std::string to, std::int64_t n) {
    trouble("method");
    if (!move(from, 2 * serial, attempt, -n)) return false;
    move(to, 2 * serial + 1, attempt, n);
    if (counted_ < serial) ++transfers_;
    counted_ = serial;
    return true;
  }
  std::int64_t transfers() { return transfers_; }

 private:
  // An error is thrown on, and nothing is called after it: what is done again must make the same calls.
  bool move(const std::string& name, std::int64_t serial, std::int64_t attempt, std::int64_t n) {
    auto account = context_.actor<FlakyAccount>(name);
    if (!account) throw std::runtime_error(account.error().message);
    auto moved = account->call_with({.timeout = std::chrono::minutes(10)}, FlakyAccount::move, context_.name(), serial, attempt, n).get();
    if (!moved) throw std::runtime_error(moved.error().message);
    return *moved;
  }

  std::int64_t transfers_ = 0;
  std::int64_t counted_ = 0;  // the serial of the last transfer that was made
};

template <class AccountActor>
void register_flaky_account(Registry& registry) {
  registry.add<AccountActor, FlakyAccount>()
      .method(FlakyAccount::move, &AccountActor::move)
      .method(FlakyAccount::balance, static_cast<std::int64_t (AccountActor::*)()>(&AccountActor::balance))
      .method(FlakyAccount::flaws, static_cast<std::int64_t (AccountActor::*)()>(&AccountActor::flaws));
}

}  // namespace tv::test
