// A world in which the supervisor's decisions run without processes: a virtual clock, fake workers, and faults at random moments.
//
// The decisions are the real ones: the tree, the restart policy, the table of a worker's life, the table of causes, the watchdog, upkeep,
// the moves of mailboxes, and what is written to disk next. After each step the references (reference.h, chore_rules.h, move_rules.h) have
// to have come to the same, and the world checks for itself what must hold whatever the rules say.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "supervisor/migration.h"
#include "supervisor/upkeep.h"
#include "supervisor/worker_state.h"
#include "tests/simulator/chore_rules.h"
#include "tests/simulator/disk.h"
#include "tests/simulator/loops.h"
#include "tests/simulator/mail.h"
#include "tests/simulator/move_rules.h"
#include "tests/simulator/reference.h"
#include "tests/simulator/stage.h"

namespace tv::simulator {

class World {
 public:
  // At most so many faults and orders are done; the rest of the seed's choices stay what they were.
  World(std::uint64_t seed, int max_faults);
  Outcome run();

 private:
  struct Process {
    bool alive = false;
    std::uint64_t life = 0;
    std::int64_t last_order = 0;  // comes then: orders keep their order
    std::set<std::size_t> reads;  // mailboxes
    std::set<NodeId> has;         // actors, from the order to start them to their end
  };
  struct Worker {
    supervisor::WorkerState state = supervisor::WorkerState::kStopped;
    Process process;
    config::Backoff backoff;
    config::Causes causes;
    supervisor::WatchLimits watch;
    Nanoseconds probation{0};
    std::size_t room = 0;  // for so many actors
    supervisor::DeathHistory history;
    supervisor::Probation trial;
    Nanoseconds delay{0};
    std::uint64_t timer = 0;   // the one that counts
    std::uint64_t ticket = 0;  // of the process that is asked for
    bool asks = false;         // for one
    std::uint64_t chance = 0;  // the next one that counts
    std::int64_t ready_ns = 0;
    std::deque<supervisor::WorkerEvent> events;
  };
  enum class Leaf { kNone, kStarting, kUp, kStopping };
  // As the directory tells it.
  enum class Shown { kReady, kComing, kStopped, kSuspended, kFailed };
  struct Actor {
    supervisor::PlacedActor placed;
    std::size_t host = 0;
    Leaf leaf = Leaf::kNone;
    std::uint64_t tries = 0;  // outcomes of earlier starts are void
    std::uint64_t readies = 0;
    bool suspended = false;
    bool was_up = false;
  };
  struct Pool {
    std::vector<NodeId> members;
    std::vector<std::size_t> homes;
  };
  using Cause = supervisor::Cause;

  std::uint64_t below(std::uint64_t n) { return stage_.below(n); }
  bool chance(unsigned percent) { return stage_.chance(percent); }
  void note(std::string what) { stage_.note(std::move(what)); }
  void complain(const std::string& what) { stage_.complain(what); }
  bool fault() { return stage_.fault(); }
  const std::string& name_of(NodeId node) const { return specs_[node].name; }
  bool is_actor(NodeId node) const { return !specs_[node].is_group; }

  // What there is: world_plan.cpp.
  void plan_tree();
  void plan_group(NodeId self, int depth);
  void plan_pool(NodeId parent);
  NodeId add(bool group, NodeId parent);
  config::Backoff some_backoff();
  void plan_workers();
  void place(NodeId actor, const std::vector<std::size_t>& homes, std::size_t home);
  void tell_plan();

  // Workers: world_workers.cpp.
  void raise(std::size_t w, supervisor::WorkerEvent event);
  void perform(std::size_t w, std::uint32_t actions);
  void arm(std::size_t w, Nanoseconds delay, supervisor::WorkerEvent event);
  void acquire(std::size_t w);
  void ask_for_process(std::size_t w);
  void assign(std::size_t w);
  void report_ready(std::size_t w);
  void report_failed(std::size_t w);
  void die_later(std::size_t w, Cause cause, Nanoseconds delay);
  void ended(std::size_t w, Cause cause, NodeId culprit);
  supervisor::WorkerEvent decide_restart(std::size_t w, const Cause& cause, NodeId culprit, bool given_up, bool gives, Nanoseconds healthy);
  supervisor::Decision judge(std::size_t w, const Cause& cause, NodeId culprit, bool given_up, bool gives, Nanoseconds healthy);
  bool live(std::size_t w) const;
  std::vector<NodeId> leaves_on(std::size_t w) const;
  // In its process, when its loop comes to it.
  void act(std::size_t w, Nanoseconds delay, std::function<void()> what);
  void order(std::size_t w, std::function<void()> what);  // it takes a moment to come

  // Actors in processes: world_actors.cpp.
  void begin(NodeId leaf);
  void start_in_process(NodeId leaf, std::uint64_t tries);
  void came_up(NodeId leaf, std::uint64_t tries);
  void stop_in_process(NodeId leaf);
  void stopped(NodeId leaf);
  void carry_out(const std::vector<supervisor::Step>& steps);
  void check_start(NodeId leaf);
  void check_stop(NodeId leaf);

  // Moves: world_moves.cpp.
  void move_away(std::size_t from);
  void call_stranded();
  bool fetch_home(std::size_t w);
  void come_home(std::size_t w);
  std::vector<supervisor::Candidate> candidates_for(std::size_t mailbox, std::size_t from) const;
  std::vector<NodeId> of_mailbox(std::size_t w) const;
  void host(std::size_t mailbox);
  bool stranded(NodeId leaf) const;
  void check_readers();

  // Chores: world_chores.cpp.
  Shown show(NodeId leaf) const;
  supervisor::Seen see(NodeId leaf) const;
  void inject_chore();
  void begin_chore(supervisor::Chore chore, const std::string& name, std::vector<supervisor::Unit> units);
  void scale(std::size_t pool, std::size_t size);
  void undrain(const std::vector<NodeId>& actors);
  void look_soon();
  void look();
  void carry_out(const supervisor::Deed& deed);
  bool restart_actor(NodeId leaf);
  std::optional<std::size_t> home_for(NodeId leaf);
  void check_chores_at_the_end();

  // The tree, and the reference beside it: world.cpp.
  using Model = std::function<std::vector<std::string>(const std::vector<Reference::Delay>&)>;
  void event(const std::string& what, const std::function<void()>& real, const Model& model);
  void compare(const std::string& what, const std::vector<supervisor::Step>& steps, const Model& model);
  void wake();
  void tick();
  void stop(NodeId node);
  void restart(NodeId node);
  void check_step();
  void check_end();
  void check_workers_at_the_end();
  void check_mail_at_the_end();

  // What happens to it: world_faults.cpp.
  void inject_at(std::int64_t when);
  void inject();
  void inject_death();
  void inject_hang();
  void inject_order();
  void inject_freeze();
  void send_mail();

  Stage stage_;
  std::vector<NodeSpec> specs_;
  std::vector<std::vector<NodeId>> children_;
  std::unique_ptr<supervisor::Tree> tree_;
  std::unique_ptr<Reference> reference_;
  std::vector<Worker> workers_;
  std::vector<Actor> actors_;  // by node; of groups: nothing
  std::vector<Pool> pools_;
  supervisor::Mailboxes mailboxes_{0};
  MoveRules move_rules_;
  std::unique_ptr<Loops> loops_;
  std::unique_ptr<Mail> mail_;
  Disk disk_;
  supervisor::Upkeep upkeep_;
  ChoreRules chore_rules_;
  std::set<supervisor::ChoreId> chores_;
  std::map<NodeId, int> starts_now_;  // at this moment
  std::int64_t starts_at_ = 0;
  std::int64_t wake_at_ = 0;
  std::int64_t frozen_at_ = 0;  // in time awake
  bool look_soon_ = false;
};

}  // namespace tv::simulator
