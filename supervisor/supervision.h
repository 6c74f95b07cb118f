// Supervision: the tree (tree.h) at work. Turns what happens to workers and actors into its events, and its steps into orders to workers and
// into what the directory says of each actor.
//
// One thread (the loop's). Workers own processes and their policy; this owns who lives in them.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "supervisor/actors.h"
#include "supervisor/event_loop.h"
#include "supervisor/tree_plan.h"
#include "supervisor/worker_orders.h"

namespace tv::supervisor {

struct Handover;   // handover.h
struct KeptActor;

// What a worker can do for its actors.
enum class Hosting : std::uint8_t {
  kNot,      // it has no process, but will have one
  kLive,     // its process takes orders
  kLeaving,  // its process is being stopped
  kStopped,  // by an administrator
  kFailed,   // given up
};

// How a worker's process ended, as far as its actors are concerned.
struct Ending {
  bool asked = false;
  Cause cause;
  bool gives_up = false;  // says the table of causes
};

// What the death of a process was found to be.
struct Verdict {
  NodeId culprit = kNoNode;  // whose code ran
  bool given_up = false;     // this has cost it its place
};

// The workers, as supervision needs them.
class Hosts {
 public:
  virtual ~Hosts() = default;
  virtual Hosting hosting(std::size_t worker) const = 0;
  virtual const std::string& trouble(std::size_t worker) const = 0;  // why it is failed
  // Its process is killed, and this is said to be why.
  virtual void kill(std::size_t worker, Cause cause) = 0;
};

class Supervision {
 public:
  // `changed`: after anything that health or readiness may depend on.
  Supervision(EventLoop& loop, const config::Config& config, Actors& actors, const shm::Arena& arena, WorkerOrders& orders,
              std::function<void()> changed);

  // Before any worker is started; the hosts outlive this.
  void start(Hosts& hosts);

  // In place of start(): everything is as an earlier supervisor left it; what the configuration has beyond that is started. The workers go on before
  // this.
  void go_on(Hosts& hosts, const Handover& handover);
  // Where each node of the tree was in that of `handover`; kNoNode of one that is new, or there again.
  std::vector<NodeId> places_before(const Handover& handover) const;
  // Those that a new configuration has brought, and that may have a state on disk: withheld until somebody has looked, and restarts them.
  std::vector<ActorId> to_be_read() const;
  TreeLife tree_life() const { return tree_->life(); }
  // Adds what is known here of each.
  void keep(std::vector<KeptActor>& kept) const;
  // Its worker lives, and says so to us, who have taken over: what was ordered and may not have been heard is ordered again.
  void met_again(ActorId actor, bool running);
  bool has_been_told(ActorId actor) const { return told_.contains(actor); }

  // From workers.
  std::vector<AssignedActor> assign(std::size_t worker);
  // They live on another worker now (Actors::move), and are to be told to its process, where it has one.
  std::vector<AssignedActor> assign_moved(std::span<const ActorId> actors);
  void moved() { show_all(); }
  Verdict worker_ended(std::size_t worker, const Ending& ending);
  void worker_changed(std::size_t worker) { show_worker(worker); }  // it is stopped, failed, or wanted again
  // True: it is one that was to start.
  bool actor_ready(ActorId actor);
  void actor_failed(ActorId actor, const std::string& why);
  void actor_stopped(ActorId actor);

  // From administrators.
  void stop(NodeId node);
  void restart(NodeId node);
  void reset_failed(NodeId node);
  // Stopped as by stop(), but its mail waits for resume(): it is suspended.
  void suspend(ActorId actor);
  void resume(ActorId actor) { restart(node_of(actor)); }
  bool suspended(ActorId actor) const { return suspended_.contains(actor); }
  // A member that its pool may get, on this worker if it has none yet; and one that it has no more. dismiss() REQUIRES that it is down.
  void admit(ActorId actor, std::size_t worker);
  void dismiss(ActorId actor);

  // Everything is stopped, the last started first; nothing is started any more.
  void wind_down();
  bool runs_on(std::size_t worker) const;  // an actor of it is not down yet
  // Whom nobody could wait for any longer during the end, and what they were doing.
  const std::vector<std::string>& forced() const { return forced_; }
  void note_forced(std::size_t worker, const std::string& why);
  std::uint64_t readies(ActorId actor) const { return readies_[actor]; }  // how often it has become ready

  // From the keeper of states on disk. One whose state cannot be restored fails, and starts when somebody restarts it; REQUIRES that it
  // does not run. Also before start().
  void withhold(ActorId actor, const std::string& why);
  // Its mail waits until it is started. True: it runs, and actor_stopped() or worker_ended() is still to come.
  bool stop_to_restore(ActorId actor);
  void start_restored(ActorId actor);  // unless an administrator has stopped it since
  std::optional<std::size_t> find_group(const std::string& name) const;  // of config.groups
  NodeId node_of(ActorId actor) const { return plan_.of_actor[actor]; }
  NodeId node_of_group(std::size_t group) const { return plan_.of_group[group]; }
  const Tree& tree() const { return *tree_; }
  std::string group_state(NodeId group) const;
  std::string group_message(NodeId group) const;

  bool settled() const;      // nothing is under way
  bool groups_well() const;  // none has failed

 private:
  std::int64_t now() const;
  void carry_out();
  void obey(const Step& step);
  void start_leaf(ActorId actor);
  void stop_leaf(ActorId actor);
  void tell(const Step& step) const;
  void arm();
  void show_all();
  void show_worker(std::size_t worker);
  void show(ActorId actor);
  void note_forced(ActorId actor);
  std::string what_runs_on(std::size_t worker) const;
  NodeId take_culprit(const std::vector<ActorId>& actors);
  std::vector<AssignedActor> assign(std::span<const ActorId> actors);
  bool stranded(ActorId actor) const;
  std::vector<NodeId> nodes_of(const std::vector<ActorId>& actors) const;

  EventLoop& loop_;
  const config::Config& config_;
  Actors& actors_;
  const shm::Arena& arena_;
  WorkerOrders& orders_;
  const std::function<void()> changed_;
  TreePlan plan_;
  std::vector<ActorId> actor_of_;  // by node; kNoActor for groups
  std::vector<bool> was_up_;       // by actor, once: from then on it is restarting, not starting
  static constexpr const char* kToBeRead = "its state is being read from disk";
  std::map<ActorId, std::string> withheld_;
  std::set<ActorId> restoring_;
  std::set<ActorId> suspended_;
  std::vector<std::uint64_t> readies_;
  std::vector<bool> stale_;  // by actor: its worker's process, if there is one, does not know it, or as an earlier configuration had it
  std::set<ActorId> told_;   // whose plan has been sent to a process that may not have met us yet
  std::vector<std::string> forced_;
  std::optional<Tree> tree_;
  Hosts* hosts_ = nullptr;
  Source timer_;
  bool carrying_out_ = false;
};

}  // namespace tv::supervisor
