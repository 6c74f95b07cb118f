// The loops of fake processes, which turn, compute, hang, or are stopped by a signal; and the real watchdog (supervisor/watchdog.h) that
// looks at them. It has to end those that hang, in time, and nobody else.
//
// A loop that is well makes a turn within a fifth of its watchdog when it is asked to, in a machine that is not frozen.
#pragma once

#include <deque>
#include <functional>
#include <vector>

#include "supervisor/tree.h"
#include "supervisor/watchdog.h"
#include "tests/simulator/stage.h"

namespace tv::simulator {

class Loops {
 public:
  using Died = std::function<void(std::size_t worker, supervisor::Cause cause)>;
  // 0: no watchdog. `died`: of a signal of the watchdog.
  Loops(Stage& stage, std::vector<supervisor::WatchLimits> limits, Died died);

  void process_begins(std::size_t worker);
  void process_ended(std::size_t worker);
  void watch(std::size_t worker);    // it is ready
  void unwatch(std::size_t worker);  // it is asked to stop, or has ended

  // Done when the loop comes to it: at once, or when it has done with what it is at. Never, if it never does.
  void turn(std::size_t worker, std::function<void()> act);
  // Code runs, and the loop does nothing else. REQUIRES free(). `until`: the time that the code has announced, 0 for none.
  void run(std::size_t worker, shm::Doing doing, supervisor::NodeId leaf, Nanoseconds duration, std::int64_t until,
           std::function<void()> then);
  void hang(std::size_t worker, shm::Doing doing, supervisor::NodeId leaf, std::int64_t until);  // the same, for ever
  void stop(std::size_t worker);                                                                 // SIGSTOP
  void go_on(std::size_t worker);                                                                // SIGCONT
  bool free(std::size_t worker) const { return !blocked(loops_[worker]); }
  bool alive(std::size_t worker) const { return loops_[worker].alive; }
  bool has_watchdog(std::size_t worker) const { return limits_[worker].watchdog > 0ns; }
  supervisor::NodeId whose_code(std::size_t worker) const { return loops_[worker].leaf; }
  // Longer than this no piece of code runs that is well and has announced nothing.
  Nanoseconds patience(std::size_t worker) const;
  Nanoseconds longest_watchdog() const;
  Nanoseconds shortest_watchdog() const;

 private:
  struct Loop {
    bool alive = false;
    bool watched = false;
    bool running = false;  // a piece of code
    bool stuck = false;    // it never ends
    bool stopped = false;
    bool aborted = false;  // SIGABRT has come
    std::uint64_t life = 0;
    std::uint64_t episode = 0;  // of hanging
    std::uint64_t looks = 0;    // a timer that is not the last one means nothing
    std::uint64_t beat = 0;
    std::int64_t beat_at = 0;
    std::int64_t asked_at = 0;  // in time awake
    std::int64_t aborted_at = 0;
    shm::Running code;
    supervisor::NodeId leaf = supervisor::kNoNode;
    std::function<void()> at_its_end;
    std::deque<std::function<void()>> waiting;
    supervisor::Watch watch;
  };
  static bool blocked(const Loop& loop) { return loop.running || loop.stuck || loop.stopped; }
  static bool hangs(const Loop& loop);
  void beat(Loop& loop);
  void end_code(std::size_t worker);
  void go_round(std::size_t worker);
  void look_later(std::size_t worker);
  void look_at(std::size_t worker);
  void strike(std::size_t worker, int signal);
  void expect_end(std::size_t worker);
  void check_end(std::size_t worker, std::uint64_t life, std::uint64_t episode, std::int64_t since, std::int64_t frozen_before);

  Stage& stage_;
  const std::vector<supervisor::WatchLimits> limits_;
  const Died died_;
  std::vector<Nanoseconds> lateness_;  // how late a busy supervisor looks at it, at most
  std::vector<Loop> loops_;
};

}  // namespace tv::simulator
