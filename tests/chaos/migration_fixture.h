// Workers whose actors go on on another one when they are given up.
#pragma once

#include "tests/chaos/upkeep_fixture.h"

namespace tv::test {

inline std::string movable(const std::string& name, const std::string& type, const std::string& where, const std::string& more = "") {
  std::string library = type == Counter::kType ? "bank" : "ledger";
  return "[[actor]]\nname = \"" + name + "\"\ntype = \"" + type + "\"\nplugin = \"" + plugin(library) + "\"\n" + where +
         "\ndelivery = \"effectively_once\"\ncheckpoint = { every_messages = 1 }\n" + more + "\n";
}

// Workers of which one death is too many.
inline std::string workers_that_die_once(int count) { return base_config(count, "spares = 1\nrestart = { intensity = 0 }\n"); }

// Workers whose every SIGKILL sends their actors on. Actors have budgets of their own: whose code ran when it came is charged.
inline std::string workers_that_move(int count, const std::string& more = "") {
  return base_config(count, "spares = 1\nrestart = { min = \"1ms\", max = \"20ms\", intensity = 1000000 }\n" + more + "\n") +
         "[causes]\nsignal = { SIGKILL = \"restart_elsewhere\" }\n";
}

struct Moving : Daemon {
  explicit Moving(const std::string& config, bool may_lack_actors = false)
      : Daemon({.config = config, .environment = {{"TENSORVISOR_WORKER", TV_CHAOS_WORKER}}, .may_lack_actors = may_lack_actors}) {}

  void kill_for_good(const std::string& name) {
    kill_worker(name);
    wait_until(name + " is given up", [&] { return worker(name).state == "failed"; });
  }
  void wait_ready_on(const std::string& name, const std::string& where) {
    wait_until(name + " is ready on " + where, [&] {
      auto now = this->actor(name);
      return now.worker == where && now.state == "ready";
    });
  }
  template <class T>
  T must(Result<T> result) {
    if (!result) FAIL(result.error().message + "\n" + log());
    return *std::move(result);
  }
};

}  // namespace tv::test
