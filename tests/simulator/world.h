// A world in which the supervisor's decisions run without processes: a virtual clock, fake workers, and faults at random moments.
//
// The decisions are the real ones: the tree, the restart policy, the table of a worker's life, the table of causes. After each step the
// reference (reference.h) has to have come to the same, and the world checks for itself what must hold whatever the rules say.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "supervisor/worker_state.h"
#include "tests/simulator/reference.h"

namespace tv::simulator {

struct Outcome {
  std::string violation;  // empty: none
  std::vector<std::string> trace;
  int faults = 0;  // done
  std::uint64_t steps = 0, restarts = 0, failures = 0;
};

class World {
 public:
  // At most so many faults and orders are done; the rest of the seed's choices stay what they were.
  World(std::uint64_t seed, int max_faults);
  Outcome run();

 private:
  using Random = std::mt19937_64;
  struct Process {
    bool alive = false;
    bool leaving = false;  // asked to stop
    bool dying = false;    // its end is on the way
    std::uint64_t life = 0;
  };
  struct Worker {
    supervisor::WorkerState state = supervisor::WorkerState::kStopped;
    Process process;
    config::Backoff backoff;
    config::Causes causes;
    supervisor::DeathHistory history;
    Nanoseconds delay{0};
    std::uint64_t timer = 0;   // the one that counts
    std::uint64_t ticket = 0;  // of the process that is asked for
    std::int64_t ready_ns = 0;
    std::vector<NodeId> leaves;
  };
  enum class Leaf { kNone, kStarting, kUp, kStopping };
  struct Event {
    std::int64_t at;
    std::uint64_t order;
    std::function<void()> run;
    bool operator<(const Event& other) const { return std::tie(at, order) > std::tie(other.at, other.order); }
  };

  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  bool chance(unsigned percent) { return below(100) < percent; }
  void plan_tree();
  void plan_group(NodeId self, int depth);
  NodeId add(bool group, NodeId parent);
  config::Backoff some_backoff();
  void plan_workers();

  void at(Nanoseconds delay, std::function<void()> run);
  void note(std::string what);
  void complain(const std::string& what);
  bool fault();  // one may be done

  // Workers.
  void raise(std::size_t w, supervisor::WorkerEvent event);
  void perform(std::size_t w, std::uint32_t actions);
  void arm(std::size_t w, Nanoseconds delay, supervisor::WorkerEvent event);
  void assign(std::size_t w);
  void die_later(std::size_t w, supervisor::Cause cause, NodeId culprit, Nanoseconds delay);
  void ended(std::size_t w, supervisor::Cause cause, NodeId culprit);
  bool live(std::size_t w) const;

  // Leaves.
  void begin(NodeId leaf);
  template <class Real, class Model>
  void event(const std::string& what, Real real, Model model);
  void carry_out(const std::vector<supervisor::Step>& steps);
  void check_start(NodeId leaf);
  void check_stop(NodeId leaf);
  void wake();
  void inject();
  void inject_order();
  void check_end();
  std::vector<NodeId> preorder_after(NodeId leaf, NodeId group) const;

  Random random_;
  const int max_faults_;
  int faults_ = 0;
  bool calm_ = false;  // faults have ceased
  std::int64_t now_ = 3'600'000'000'000;
  std::uint64_t order_ = 0;
  std::vector<Event> events_;  // a heap
  std::vector<NodeSpec> specs_;
  std::vector<std::vector<NodeId>> children_;
  std::unique_ptr<supervisor::Tree> tree_;
  std::unique_ptr<Reference> reference_;
  std::vector<Worker> workers_;
  std::vector<std::size_t> worker_of_;  // by leaf
  std::vector<Leaf> leaves_;
  std::vector<std::uint64_t> tries_;    // of leaves: outcomes of earlier starts are void
  std::map<NodeId, int> starts_now_;    // at this moment
  std::int64_t starts_at_ = 0;
  std::int64_t wake_at_ = 0;
  Outcome outcome_;
};

}  // namespace tv::simulator
