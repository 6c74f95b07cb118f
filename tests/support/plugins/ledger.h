// Actors whose books must balance whatever dies: accounts, a teller that moves money between them, and actors that make trouble.
// ledger.cpp makes a plug-in of them.
#pragma once

#include <cstdint>
#include <string>

#include "ipc/call.h"

namespace tv::test {

// args: "start" (0), what is in it at first.
struct Account {
  static constexpr const char* kType = "test.account";
  static constexpr Method<Account, std::int64_t(std::int64_t)> deposit{"deposit"};    // the new balance
  static constexpr Method<Account, std::int64_t(std::int64_t)> withdraw{"withdraw"};  // throws if there is not so much in it
  static constexpr Method<Account, std::int64_t()> balance{"balance"};
};

// Calls accounts by name.
struct Teller {
  static constexpr const char* kType = "test.teller";
  // Withdraws, then deposits. How many transfers it has made; throws what withdraw throws.
  static constexpr Method<Teller, std::int64_t(std::string, std::string, std::int64_t)> transfer{"transfer"};
  // Tells `to`.deposit and returns at once.
  static constexpr Method<Teller, void(std::string, std::int64_t)> donate{"donate"};
  // Not deterministic: deposits the incarnation of the teller.
  static constexpr Method<Teller, std::int64_t(std::string)> fickle{"fickle"};
  static constexpr Method<Teller, std::int64_t()> transfers{"transfers"};
  // Deposits 1, 2, ... n, and commits after each: goes on where it was.
  static constexpr Method<Teller, void(std::string, std::int64_t)> pay_out{"pay_out"};
};

// Throws in one of its callbacks. args: "where" ("constructor", "on_start", "on_stop", "save", "load", "method", "continuation").
struct Thrower {
  static constexpr const char* kType = "test.thrower";
  static constexpr Method<Thrower, void(std::string)> set{"set"};                // another `where`
  static constexpr Method<Thrower, std::int64_t(std::int64_t)> add{"add"};       // throws for "method"; the new total
  static constexpr Method<Thrower, void(std::string)> call_and_throw{"call_and_throw"};  // of an account; its continuation throws
};

// Ends its process, once for each path: by "abort", "kill" or "exit <code>", by a tv::DeviceError ("device"), or by taking memory until it is
// killed for it ("hog", where the kernel does that for processes of its cgroup), or until there is none ("hog-limited", by RLIMIT_AS). args.hang: where there is a file
// of that name, on_start removes it and never returns.
struct Saboteur {
  static constexpr const char* kType = "test.saboteur";
  static constexpr Method<Saboteur, void(std::string, std::string)> crash_once{"crash_once"};
};

}  // namespace tv::test
