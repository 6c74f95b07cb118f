// A bank and a counter whose callbacks throw when they are asked to, and whose books must balance all the same. flaky.cpp makes a plug-in of
// them; flaky_tensors.cpp one of the same accounts and counters with their state in tensors of LibTorch.
//
// What a callback throws leaves its caller with an error: a method that threw did nothing; whether one took effect whose state could not be
// committed (save threw) is unknown. So callers try again, and say with `serial` which work it is and with `attempt` which try: what has been
// done is not done again. That does not hide repeated messages: a try that comes a second time is counted as a repetition.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ipc/call.h"

namespace tv::test {

inline constexpr const char* kThrowingCallbacks[] = {"constructor", "on_start", "load", "save", "method", "on_health", "on_stop"};

// The next time that this callback of this actor runs it throws: something that is no std::exception, if `odd`. Once for each file.
inline std::string trouble_file(const std::string& directory, const std::string& actor, const std::string& callback, bool odd) {
  return directory + "/" + actor + "." + callback + (odd ? ".odd" : "");
}

// args of all: "trouble", the directory of those files; of accounts also "start" (0), what is in it at first.
struct FlakyAccount {
  static constexpr const char* kType = "test.flaky_account";
  // Adds `n` for `who`, whose work comes one after the other. False: there is not so much in it.
  static constexpr Method<FlakyAccount, bool(std::string, std::int64_t, std::int64_t, std::int64_t)> move{"move"};  // who, serial, attempt, n
  static constexpr Method<FlakyAccount, std::int64_t()> balance{"balance"};
  // Tries that came a second time, and states that were found torn.
  static constexpr Method<FlakyAccount, std::int64_t()> flaws{"flaws"};
};

struct FlakyTeller {
  static constexpr const char* kType = "test.flaky_teller";
  // serial, attempt, from, to, n. False: refused, nothing was moved. Throws what an account throws.
  static constexpr Method<FlakyTeller, bool(std::int64_t, std::int64_t, std::string, std::string, std::int64_t)> transfer{"transfer"};
  static constexpr Method<FlakyTeller, std::int64_t()> transfers{"transfers"};
};

}  // namespace tv::test
