// A directory of checkpoints on a disk that is slow, full or damaged, a writer process that dies now and then, and the real plan
// (supervisor/checkpoint_plan.h) of what is written next. What the daemon and its writer do around the plan is done here, in short.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "supervisor/checkpoint_plan.h"
#include "supervisor/tree.h"
#include "tests/simulator/stage.h"

namespace tv::simulator {

class Disk {
 public:
  explicit Disk(Stage& stage);

  void add(supervisor::NodeId actor);  // its commits are written
  bool has(supervisor::NodeId actor) const { return actors_.contains(actor); }
  void commit(supervisor::NodeId actor);
  // A worker has been restored: the same state at another place of the arena.
  void moved(supervisor::NodeId actor);
  // Something that only a disk does; or an administrator who asks for a checkpoint.
  void inject();

  // The actors commit a last time, and the daemon ends: what is not on disk is tried once more.
  void finish();
  // It has ended, and another one starts on the same directory: what the actors go on from.
  void start_again();

 private:
  struct Generation {
    std::uint64_t number;
    std::uint64_t content;  // counts the actor's commits over all daemons' lives
    bool damaged = false;
  };
  struct Actor {
    std::uint64_t handle = 0;   // of its commit; 0: none
    std::uint64_t commits = 0;  // of this daemon's life
    std::uint64_t content = 0;
    std::vector<Generation> generations;
    std::uint64_t highest = 0;
    std::uint64_t written = 0;  // generations, in this daemon's life
    // When it may be written, by the rules.
    std::uint64_t seen = 0;     // handle
    std::uint64_t on_disk = 0;  // handle
    std::int64_t not_before = 0;
    std::uint64_t in_line = 0;  // smaller has waited longer
    int failures = 0;           // in a row
    bool hurried = false;       // while it is being written
    bool tried = false;         // since the end has begun
  };

  void look_later();
  void look();
  void pump();
  void check_choice(const supervisor::CheckpointPlan::Write& write);
  void write(supervisor::NodeId id, bool only_if_changed);
  void answer(supervisor::NodeId id, std::uint64_t handle, std::uint64_t commit, std::uint64_t content, bool only_if_changed);
  void fail(supervisor::NodeId id, const std::string& why);
  void in_line(Actor& actor) { actor.in_line = ++line_; }
  void commit_some();
  void have_a_last_chance();
  void check_end();
  void restore(supervisor::NodeId id);
  std::uint64_t on_disk(const Actor& actor) const { return actor.generations.empty() ? 0 : actor.generations.back().content; }

  Stage& stage_;
  const Nanoseconds min_interval_;
  const std::size_t keep_;
  std::optional<supervisor::CheckpointPlan> plan_;
  std::map<supervisor::NodeId, Actor> actors_;
  std::uint64_t last_handle_ = 0;
  std::uint64_t line_ = 0;
  bool writer_up_ = true;
  bool busy_ = false;
  bool full_ = false;
  bool looks_ = false;       // a look is planned
  std::uint64_t timer_ = 0;  // the one that counts
};

}  // namespace tv::simulator
