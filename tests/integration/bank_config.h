// Configurations around the test plug-in.
#pragma once

#include <filesystem>

#include "tests/support/catch.h"
#include "tests/support/daemon.h"
#include "tests/support/plugins/bank.h"

namespace tv::test {

inline std::string actor_config(const std::string& name, const std::string& type, const std::string& extra = "") {
  return "[[actor]]\nname = \"" + name + "\"\ntype = \"" + type + "\"\nplugin = \"" + plugin("bank") + "\"\n" + extra + "\n";
}

// `workers` processes and one counter on the first of them.
inline std::string counter_config(int workers = 1, const std::string& worker_extra = "") {
  return base_config(workers, worker_extra) + actor_config("counter", "test.counter");
}

// The same with a counter that counts each message once: at_least_once counts one again if its worker is killed after the answer and before
// the message is marked as read.
inline std::string exact_counter_config(int workers = 1, const std::string& worker_extra = "") {
  return base_config(workers, worker_extra) + actor_config("counter", "test.counter", "delivery = \"effectively_once\"");
}

}  // namespace tv::test
