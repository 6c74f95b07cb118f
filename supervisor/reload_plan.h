// What another configuration means to a daemon that runs: each change, and how it is applied. Pure. README.md, "Reload", has the table.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "supervisor/placement.h"

namespace tv::supervisor {

// How a change is applied. What needs a restart of the daemon is not applied by a reload, and nothing else then, either.
enum class Means {
  kInPlace,
  kNextProcess,    // in place; a worker that runs learns of it with its next process
  kStart,          // something that is new is started
  kRemove,         // an actor gets nothing new, deals with the mail that it has, and stops
  kRestartActor,   // when it has dealt with the mail that it has
  kRestartWorker,  // when its actors have
  kRestartDaemon,
};
std::string_view means_text(Means means);  // "applied in place"

struct Change {
  Means means;
  std::string what;           // `actor "a"`, `worker "cpu/0"`, `[supervisor]`
  std::string key;            // within its section; empty: the whole of it comes or goes
  std::string before, after;  // as TOML; empty: not there
  std::string note;           // why, where that is not plain
};
std::string sentence(const Change& change);  // `actor "a": args { n = 1 } -> { n = 2 }: restarts the actor`

struct ReloadPlan {
  std::vector<Change> changes;
  // What they come to.
  std::vector<ActorId> remove;
  std::vector<ActorId> restart_actors;
  std::vector<std::size_t> restart_workers;
  struct Growth {
    std::string pool;
    std::uint32_t size;
  };
  std::vector<Growth> grow;
  std::size_t new_workers = 0;
  std::string in_the_way;  // at the moment it was planned, of what is under way; empty: nothing

  bool needs_restart() const;
};

// How reloads have gone.
struct ReloadStatus {
  std::uint32_t done = 0;  // since the daemon's start
  bool going = false;
  std::string refused;  // why the last one was; empty: it was not
};

// `now` is in force, `next` is to be: both as_known(). `hosts`: on which worker each known actor lives.
ReloadPlan plan_reload(const config::Config& now, const config::Config& next, const Known& known, const std::vector<std::size_t>& hosts);

// How a change of a key is applied, by its name as in config::known_keys(): "worker.threads". For a test: it knows all of them.
std::optional<Means> means_of_key(std::string_view key);

}  // namespace tv::supervisor
