// A daemon whose file is written anew and reloaded.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/chaos/upkeep_fixture.h"

namespace tv::test {

inline const std::string kOnce = "delivery = \"effectively_once\"\ncheckpoint = { every_messages = 1 }";

// Whole or not at all, as an editor would.
inline void rewrite(Daemon& daemon, const std::string& config) {
  std::string path = daemon.dir() + "/tensorvisor.toml";
  std::ofstream(path + ".new") << config;
  std::filesystem::rename(path + ".new", path);
}

inline Output reload(Daemon& daemon, const std::string& config) {
  rewrite(daemon, config);
  return daemon.tensorctl({"config", "reload"});
}

inline std::vector<int> pids(Daemon& daemon, int workers) {
  std::vector<int> pids;
  for (int i = 0; i < workers; ++i) pids.push_back(daemon.worker("cpu/" + std::to_string(i)).pid);
  return pids;
}

inline std::int64_t add(Client& client, const std::string& name, std::int64_t n) {
  auto counter = client.actor<Counter>(name);
  if (!counter) FAIL(counter.error().message);
  auto sum = counter->call_with(kPatient, Counter::add, n).get();
  if (!sum) FAIL(name + ": " + sum.error().message);
  return *sum;
}

inline void wait_ready(Daemon& daemon, const std::string& actor) {
  daemon.wait_until(actor + " is ready", [&] { return daemon.actor(actor).state == "ready"; });
}

inline bool is_listed(Daemon& daemon, const std::string& actor) { return daemon.tensorctl({"describe", "actor", actor}).status == 0; }

inline std::string shown(Daemon& daemon) {
  auto output = daemon.tensorctl({"config", "show"});
  require_done(output);
  return output.out;
}

inline std::size_t times_logged(Daemon& daemon, const std::string& text) {
  auto log = daemon.log();
  std::size_t count = 0;
  for (auto at = log.find(text); at != std::string::npos; at = log.find(text, at + 1)) ++count;
  return count;
}

// Rolling restarts and growing pools, which a reload does not wait for.
inline void wait_for_chores(Daemon& daemon) {
  daemon.wait_until("what has begun is done",
                    [&] { return times_logged(daemon, " begins\" name=") == times_logged(daemon, " done\" name="); });
}

}  // namespace tv::test
