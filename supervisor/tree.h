// The supervision tree: who is started, stopped and given up, and in which order. OTP's rules; README.md says where they are ours.
//
// Pure: events in, steps out. The caller brings the clock (CLOCK_MONOTONIC, or a virtual one), carries the steps out and tells what came of
// them; no step is taken back. One thread.
//
// Node 0 is the root, a one_for_one group of all that is in no other. Leaves are actors; where their processes are is the caller's business.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "supervisor/restart_policy.h"

namespace tv::supervisor {

using NodeId = std::uint32_t;
inline constexpr NodeId kRoot = 0;
inline constexpr NodeId kNoNode = kNobody;

struct NodeSpec {
  std::string name;
  bool is_group = false;
  NodeId parent = kRoot;  // stands before its children
  config::Backoff backoff;  // how it comes back; its intensity and period count where the parent has no budget for all
  // Of groups.
  config::Strategy strategy = config::Strategy::kOneForOne;
  std::optional<config::Budget> budget;  // of all children together
  // Of leaves.
  config::RestartType restart = config::RestartType::kPermanent;
  std::vector<NodeId> after;  // are to be ready before it is started
  // Of children of the root; 0: none.
  Nanoseconds probation{0};
};

enum class NodeState : std::uint8_t {
  kDown,      // not running, and nothing of its own is to come
  kWaiting,   // a leaf whose turn has come, for what it is after
  kDelayed,   // started again when its delay is over
  kStarting,
  kUp,        // of a group: all have been started once; some may be on their way back
  kStopping,
  kFinished,  // a leaf that ended and is not to come back
  kStopped,   // by an administrator, until an administrator starts it
  kFailed,    // given up: children of the root only
};

struct Step {
  enum class Kind : std::uint8_t {
    kStart,       // a leaf: answered by up, start_failed or died
    kStop,        // a leaf: answered by down or died
    kKill,        // a leaf has not done so in time: its process is to be killed, which is answered by died
    kRestarts,    // told: `node` died and comes back after `delay`
    kGroupFails,  // told: all of it are being stopped
    kFailed,      // told
    kChance,      // told: its probation is over
  };
  Kind kind;
  NodeId node;
  Nanoseconds delay{0};
  std::string why;
};

// What a group is doing with its window of children.
enum class Phase : std::uint8_t { kIdle, kStopping, kDelayed, kStarting };

// All of a node that changes; with it another tree of the same plan goes on (Tree::go_on).
struct NodeLife {
  NodeState state = NodeState::kDown;
  DeathHistory history;
  Probation probation;
  std::int64_t due_ns = 0;       // of a delay or a chance
  std::int64_t deadline_ns = 0;  // of a start or a stop; 0: none
  std::int64_t up_ns = 0;        // since when; 0: is not
  std::uint64_t restarts = 0;
  bool held = false;   // an administrator wants it stopped
  bool again = false;  // to be started when it has stopped
  bool lost = false;   // its process has just ended
  bool dismissed = false;
  std::string why;
  // Of groups: the window of children from `from` to the last that is stopped and started.
  Phase phase = Phase::kIdle;
  std::size_t from = 0;
  std::size_t at = 0;         // the next to be started
  bool failing = false;       // when all are down, the parent decides
  bool hopeless = false;      // of a failure: not to be tried again
  bool wanted_down = false;   // when all are down, it is done
  DeathHistory shared;        // of all children, where the group has a budget
};

struct TreeLife {
  std::vector<NodeLife> nodes;
  bool given_up = false;
  bool ending = false;
};

struct Limits {
  Nanoseconds stop_grace{10s};     // for a leaf, from kStop to kKill
  Nanoseconds start_timeout{60s};  // from began() to kKill
};

class Tree {
 public:
  // specs[0] is the root's place and not looked at.
  Tree(std::vector<NodeSpec> specs, Limits limits, std::uint64_t seed);

  // What another one of the same plan goes on with: between two events, when its steps have been taken.
  TreeLife life() const;
  // In place of start(). `was`: the place of each node in `life`; kNoNode for one that is new. Where the two plans differ, what can run by the new one
  // is started, and what cannot is stopped.
  void go_on(const TreeLife& life, const std::vector<NodeId>& was, std::int64_t now_ns);

  // Events. Each may lead to steps.
  void start(std::int64_t now_ns);
  void began(NodeId leaf, std::int64_t now_ns);  // its process has been told to start it: from now on it may take too long
  void up(NodeId leaf, std::int64_t now_ns);
  void down(NodeId leaf, std::int64_t now_ns);   // stopped, as ordered
  // Its start failed, in a process that lives on.
  void start_failed(NodeId leaf, const Cause& cause, bool gives_up, std::int64_t now_ns);
  // A process has ended that had these leaves. `charged` is kNoNode where nobody is known. True: this has cost the charged one its
  // place: it is failed, or its group fails, and it does not come back with the process.
  bool died(std::span<const NodeId> leaves, NodeId charged, const Cause& cause, bool gives_up, std::int64_t now_ns);
  // A process has ended that had these leaves, because somebody wanted it to: all of them are started again, whatever their restart types.
  void left(std::span<const NodeId> leaves, std::int64_t now_ns);
  void tick(std::int64_t now_ns);

  // Orders of administrators. What `restart` and `reset_failed` start has its deaths forgiven.
  void stop(NodeId node, std::int64_t now_ns);
  void restart(NodeId node, std::int64_t now_ns);
  void reset_failed(NodeId node, std::int64_t now_ns);  // one that is not failed: only its deaths are forgiven

  // A member of a pool that is not wanted now: down, in nobody's way, and ready to those that come after it. REQUIRES, but before start(),
  // that it is stopped.
  void dismiss(NodeId leaf, std::int64_t now_ns);
  void admit(NodeId leaf, std::int64_t now_ns);  // it is wanted again, and started
  bool dismissed(NodeId leaf) const { return nodes_[leaf].dismissed; }

  // Everything is stopped and nothing is started any more: each child of the root when all that come after it, and after what is in it, are down.
  void wind_down(std::int64_t now_ns);
  bool winding_down() const { return ending_; }
  bool runs(NodeId node) const { auto s = nodes_[node].state; return s == NodeState::kStarting || s == NodeState::kUp || s == NodeState::kStopping; }

  std::vector<Step> take() { return std::exchange(steps_, {}); }
  std::optional<std::int64_t> next_due() const;

  NodeState state(NodeId node) const { return nodes_[node].state; }
  const NodeSpec& spec(NodeId node) const { return nodes_[node].spec; }
  const std::vector<NodeId>& children(NodeId group) const { return nodes_[group].children; }
  const std::string& why(NodeId node) const { return nodes_[node].why; }  // of the last failure
  std::size_t size() const { return nodes_.size(); }
  bool held(NodeId node) const { return nodes_[node].held; }  // an administrator wants it stopped
  std::uint64_t restarts(NodeId node) const { return nodes_[node].restarts; }
  std::int64_t due_ns(NodeId node) const { return nodes_[node].due_ns; }  // of kDelayed; of kFailed: its next chance, 0 for none
  bool ready(NodeId node) const;  // a leaf is up; all of a group are
  // The first of what it waits for that is not ready. REQUIRES kWaiting.
  NodeId waits_for(NodeId leaf) const;
  // The nearest group around it that is failed or stopped.
  std::optional<NodeId> blocked_by(NodeId node) const;
  // Whether anything is under way by itself: a start, a stop, a delay.
  bool in_motion(NodeId node) const;

 private:
  struct Node : NodeLife {
    NodeSpec spec;
    std::vector<NodeId> children;
    std::size_t place = 0;  // among its siblings
    bool advancing = false;
  };
  struct Death {
    std::string text;
    bool abnormal = true;
    bool gives_up = false;
  };

  Node& parent_of(const Node& node) { return nodes_[node.spec.parent]; }
  NodeId id_of(const Node& node) const { return static_cast<NodeId>(&node - nodes_.data()); }
  bool in_window(const Node& child) const;
  bool may_run(const Node& child) const;
  void start_child(Node& child);
  void start_now(Node& child);
  void start_leaf(Node& leaf);
  void start_waiting();
  void stop_child(Node& child);
  void advance(Node& group);
  bool stop_window(Node& group);
  bool start_window(Node& group);
  void close_window(Node& group);
  void stopped(Node& leaf);
  void lose(Node& leaf, bool back);
  void find_again(std::span<const NodeId> leaves);
  void start_held_back();
  void child_died(Node& child, const Death& death);
  bool allowed(Node& child, const Death& death, std::string& why);
  void bring_back(Node& child, Nanoseconds delay);
  void fail_child(Node& child, const std::string& why, bool hopeless);
  void give_chance(Node& child);
  void forgive(Node& node);
  void fit_in();
  void stop_more();
  bool awaited(NodeId node) const;
  void add(Step::Kind kind, const Node& node, Nanoseconds delay = 0ns, std::string why = {});

  std::vector<Node> nodes_;
  const Limits limits_;
  const std::uint64_t seed_;
  std::int64_t now_ns_ = 0;  // of the event that is being dealt with
  bool given_up_ = false;
  bool ending_ = false;  // see wind_down
  bool holding_ = false;  // nobody is started before all that a death takes down is on its way
  std::vector<Step> steps_;
};

}  // namespace tv::supervisor
