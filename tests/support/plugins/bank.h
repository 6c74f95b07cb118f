// The actors that tests use: each does one thing that a test wants to see happen. bank.cpp makes a plug-in of them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ipc/call.h"

namespace tv::test {

struct Echoed {
  bool flag = false;
  std::int64_t number = 0;
  double real = 0;
  std::string text;
  std::vector<std::int64_t> list;
  std::map<std::string, double> map;

  template <class V>
  void fields(V& v) {
    v("flag", flag);
    v("number", number);
    v("real", real);
    v("text", text);
    v("list", list);
    v("map", map);
  }
};

// Has one number of state, committed as the configuration says. args: "start" (0) is its first value.
struct Counter {
  static constexpr const char* kType = "test.counter";
  static constexpr Method<Counter, std::int64_t(std::int64_t)> add{"add"};  // the new value
  static constexpr Method<Counter, std::int64_t()> value{"value"};
  static constexpr Method<Counter, void(std::string)> fail{"fail"};  // throws std::runtime_error with this text
  // Waits so many milliseconds, or until a stop is requested: then throws Interrupted. The time it waited.
  static constexpr Method<Counter, std::int64_t(std::int64_t)> slow{"slow"};
  // In its first incarnation: publishes the name, then waits for ever, or until a stop is requested if `heed_stop`: then throws
  // Interrupted. Later: returns the incarnation.
  static constexpr Method<Counter, std::uint32_t(std::string, bool)> hang_once{"hang_once"};
  // Adds one, then waits until its call is cancelled: throws Interrupted.
  static constexpr Method<Counter, void()> until_cancelled{"until_cancelled"};
  // How many came before it.
  static constexpr Method<Counter, std::int64_t()> arrive{"arrive"};
  // "abort", "segv", "exit <code>", "throw-in-thread"; never returns.
  static constexpr Method<Counter, void(std::string)> crash{"crash"};
  // Adds and crashes before the answer, the first time in the actor's first incarnation; later it only adds.
  static constexpr Method<Counter, std::int64_t(std::int64_t)> add_and_crash_once{"add_and_crash_once"};
  // Notes in `path`.runs that it has begun, then kills its process by SIGKILL unless there is a file `path`. Else adds the tensor's sum.
  static constexpr Method<Counter, std::int64_t(std::string, shm::Tensor)> poison{"poison"};
  static constexpr Method<Counter, shm::Tensor(std::int64_t)> put_tensor{"put_tensor"};  // float32[n]: 0, 1, ...
  static constexpr Method<Counter, void(shm::Tensor)> scribble{"scribble"};              // writes into it, which it must not
  static constexpr Method<Counter, double(shm::Tensor)> sum{"sum"};                      // of a contiguous float32 tensor
  static constexpr Method<Counter, Echoed(Echoed)> echo{"echo"};
  static constexpr Method<Counter, std::string(std::string)> echo_text{"echo_text"};
  // Publishes float32[n] under the name; the version.
  static constexpr Method<Counter, std::uint64_t(std::string, std::int64_t)> publish{"publish"};
  static constexpr Method<Counter, void(std::string)> withdraw{"withdraw"};
  static constexpr Method<Counter, std::uint32_t()> incarnation{"incarnation"};
  static constexpr Method<Counter, std::string()> device{"device"};
  static constexpr Method<Counter, std::int64_t()> pid{"pid"};
};

// Throws in on_start: args.message says what.
struct BadStart {
  static constexpr const char* kType = "test.bad_start";
  static constexpr Method<BadStart, void()> ping{"ping"};
};

// Calls other counters by name.
struct Forward {
  static constexpr const char* kType = "test.forward";
  static constexpr Method<Forward, std::int64_t(std::string, std::int64_t)> add{"add"};  // waits for the answer of name.add
  // Tells name.add and returns at once.
  static constexpr Method<Forward, void(std::string, std::int64_t)> tell{"tell"};
  // Calls name.add with then(); the answer is what answered() says later.
  static constexpr Method<Forward, void(std::string, std::int64_t)> later{"later"};
  static constexpr Method<Forward, std::int64_t()> answered{"answered"};
};

}  // namespace tv::test
