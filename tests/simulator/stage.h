// What every part of a world stands on: the virtual clock with its events, the seed's choices, the trace, and the first thing that went
// wrong.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "config/clock.h"

namespace tv::simulator {

struct Outcome {
  std::string violation;  // empty: none
  std::vector<std::string> trace;
  int faults = 0;  // done
  std::uint64_t steps = 0, restarts = 0, failures = 0;
  std::uint64_t hangs = 0, moves = 0, chores = 0, messages = 0, generations = 0;
};

class Stage {
 public:
  // At most so many faults and orders are done; the rest of the seed's choices stay what they were.
  Stage(std::uint64_t seed, int max_faults) : random_(seed), max_faults_(max_faults) {}

  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  bool chance(unsigned percent) { return below(100) < percent; }
  template <class T>
  const T& one_of(const std::vector<T>& all) {
    return all[below(all.size())];
  }
  template <class T>
  void shuffle(std::vector<T>& all) {
    for (std::size_t i = all.size(); i > 1; --i) std::swap(all[i - 1], all[below(i)]);
  }

  std::int64_t now() const { return now_; }
  // The part of it in which the machine was not frozen.
  std::int64_t awake() const { return now_ - frozen_; }
  void at(Nanoseconds delay, std::function<void()> run) { add(delay, std::move(run), false); }
  // Something that comes again and again, and keeps no world going by itself.
  void in_the_background_at(Nanoseconds delay, std::function<void()> run) { add(delay, std::move(run), true); }
  // False: there is nothing to come. What is due first happens, at its time or, if the machine was frozen then, as soon as it is not.
  bool step();
  void freeze(Nanoseconds duration);

  void note(std::string what);
  void complain(const std::string& what);
  bool well() const { return outcome.violation.empty(); }
  bool fault();  // one may be done
  void calm_down() { calm_ = true; }
  bool calm() const { return calm_; }  // faults have ceased

  Outcome outcome;

 private:
  struct Event {
    std::int64_t at;
    std::uint64_t order;
    std::function<void()> run;
    bool background;
    bool operator<(const Event& other) const { return std::tie(at, order) > std::tie(other.at, other.order); }
  };

  void add(Nanoseconds delay, std::function<void()> run, bool background);

  std::mt19937_64 random_;
  const int max_faults_;
  bool calm_ = false;
  std::int64_t now_ = 3'600'000'000'000;
  std::int64_t frozen_ = 0;
  std::uint64_t order_ = 0;
  int steps_at_this_moment_ = 0;
  std::size_t in_the_foreground_ = 0;  // events
  std::vector<Event> events_;          // a heap
};

}  // namespace tv::simulator
