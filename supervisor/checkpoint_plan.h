// CheckpointPlan: which actor's commit goes to disk next, and when. Pure: the caller brings the clock, what the arena says, and what the
// writer answered.
//
// One commit is written at a time, so the newest one is what is written when the writer is free: those in between are skipped and counted.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "config/clock.h"
#include "config/ids.h"

namespace tv::supervisor {

struct CheckpointState {
  // On disk.
  std::uint64_t generation = 0;  // newest; 0: none
  std::uint64_t commit = 0;      // that it has; 0 also for one of an earlier daemon
  std::int64_t time_ns = 0;      // CLOCK_REALTIME
  std::uint64_t bytes = 0;
  // Since the daemon's start.
  std::uint64_t written = 0;
  std::uint64_t skipped = 0;   // commits that were superseded before they were written
  std::uint64_t failures = 0;  // attempts
  std::string error;           // of the last attempt; empty: it went well
  std::int64_t error_ns = 0;   // CLOCK_REALTIME
};

// What an actor goes on from: the newest of its generations (ascending) that is not damaged. Asked of each once, from the newest on.
std::optional<std::uint64_t> newest_undamaged(std::span<const std::uint64_t> generations, const std::function<bool(std::uint64_t)>& damaged);

class CheckpointPlan {
 public:
  explicit CheckpointPlan(Nanoseconds min_interval) : min_interval_(min_interval) {}

  void add(ActorId actor) { actors_[actor]; }
  bool has(ActorId actor) const { return actors_.contains(actor); }
  const CheckpointState& of(ActorId actor) const { return actors_.at(actor).state; }

  // What the actor's cell says: the handle of its committed manifest, and how many commits there have been.
  void look(ActorId actor, std::uint64_t committed, std::uint64_t commits);
  // What was restored stands for what is on disk: `committed` needs no writing.
  void restored(ActorId actor, std::uint64_t committed, const CheckpointState& on_disk);
  // Somebody waits: neither the interval nor a failure of a moment ago counts.
  void hurry(ActorId actor);

  struct Write {
    ActorId actor;
    bool only_if_changed;  // no commit has been counted since the last one: it has only been moved, most likely
  };
  // The daemon ends: each commit that is not on disk is tried once more, at once.
  void last_chance();

  // The one that has waited longest of those that are due. It is at hand until written(), unchanged(), failed() or lost().
  std::optional<Write> next(std::int64_t now_ns);
  // When there may be a next one; nothing when there is none to wait for.
  std::optional<std::int64_t> due_ns() const;
  bool pending(ActorId actor) const { return actors_.at(actor).pending(); }  // its newest commit, as far as it has been seen, is not on disk
  bool waiting() const;  // some commit is not on disk, and its last attempt did not fail

  struct Done {
    std::uint64_t committed;
    std::uint64_t generation;
    std::uint64_t commit;
    std::int64_t time_ns;
    std::uint64_t bytes;
  };
  // `changed`: as a new generation; else the newest one has it already.
  void written(const Done& done, bool changed, std::int64_t now_ns);
  void nothing(std::int64_t now_ns);  // to write: the commit is gone
  // True if it is worth a line in the log: no other actor fails of the same cause at present.
  bool failed(const std::string& why, std::int64_t now_ns, std::int64_t realtime_ns);
  void lost() { at_hand_.reset(); }  // the writer died: again

  std::size_t failing() const;  // actors whose last attempt failed
  std::optional<ActorId> at_hand() const { return at_hand_; }

 private:
  struct Actor {
    CheckpointState state;
    std::uint64_t seen = 0;         // handle
    std::uint64_t seen_commits = 0;
    std::uint64_t ordered = 0;  // what had been seen when it was last given out
    std::uint64_t on_disk = 0;      // handle
    std::uint64_t disk_commits = 0;
    std::uint32_t failures_in_a_row = 0;
    std::int64_t not_before_ns = 0;
    bool hurried = false;           // while it was at hand: what has come since is not to wait
    std::int64_t waiting_since = 0;  // counts turns: smaller has waited longer
    bool pending() const { return seen != 0 && seen != on_disk; }
  };
  Actor& done_with(std::int64_t now_ns);

  Nanoseconds min_interval_;
  std::map<ActorId, Actor> actors_;
  std::optional<ActorId> at_hand_;
  std::int64_t looks_ = 0;
};

}  // namespace tv::supervisor
