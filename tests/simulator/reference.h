// OTP's rules a second time: simple, slow, and written without a look at the tree that they are to check. After each event the whole tree is
// scanned, again and again, until no rule asks for anything.
//
// It knows what the tree knows: events and the clock. Only the random part of a delay is told to it, which checks that it is in range.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "supervisor/tree.h"

namespace tv::simulator {

using supervisor::NodeId;
using supervisor::NodeSpec;

class Reference {
 public:
  explicit Reference(std::vector<NodeSpec> specs);

  struct Delay {
    NodeId node;
    Nanoseconds delay;
  };

  // Each gives the orders that follow, as "start 3" and "stop 3", sorted: their order among groups that know nothing of each other is free. The
  // order within a group is a matter of which event they follow.
  std::vector<std::string> start(std::int64_t now);
  std::vector<std::string> up(NodeId leaf, std::int64_t now);
  std::vector<std::string> down(NodeId leaf, const std::vector<Delay>& delays, std::int64_t now);
  std::vector<std::string> died(const std::vector<NodeId>& leaves, NodeId charged, bool abnormal, bool gives_up,
                                const std::vector<Delay>& delays, std::int64_t now);
  std::vector<std::string> start_failed(NodeId leaf, bool gives_up, const std::vector<Delay>& delays, std::int64_t now);
  std::vector<std::string> left(const std::vector<NodeId>& leaves, const std::vector<Delay>& delays, std::int64_t now);
  std::vector<std::string> tick(const std::vector<Delay>& delays, std::int64_t now);
  std::vector<std::string> stop(NodeId node, const std::vector<Delay>& delays, std::int64_t now);
  std::vector<std::string> restart(NodeId node, const std::vector<Delay>& delays, std::int64_t now);
  std::vector<std::string> reset_failed(NodeId node, const std::vector<Delay>& delays, std::int64_t now);
  // A member of a pool that is down goes, and comes again.
  std::vector<std::string> dismiss(NodeId leaf, const std::vector<Delay>& delays, std::int64_t now);
  std::vector<std::string> admit(NodeId leaf, const std::vector<Delay>& delays, std::int64_t now);

  bool failed(NodeId node) const { return nodes_[node].failed; }
  bool held(NodeId node) const { return nodes_[node].held; }
  const std::string& complaint() const { return complaint_; }  // what it could not make sense of; empty: nothing

 private:
  enum class Proc { kNone, kStarting, kUp, kStopping };
  // What a group is doing with its children from `from` on.
  enum class Then { kStart, kDecide, kRest };
  struct Cut {
    std::size_t from;
    std::int64_t due;
    Then then;
    bool hopeless = false;
  };
  struct Node {
    NodeSpec spec;
    std::vector<NodeId> children;
    std::size_t place = 0;
    Proc proc = Proc::kNone;   // of leaves
    bool wanted = false;       // its turn has come: a leaf is to run, a group is to run its children
    bool fresh = false;        // wanted since the ends that are being dealt with
    bool finished = false;
    bool held = false;
    bool gone = false;         // dismissed: nobody waits for it
    bool failed = false;
    bool closing = false;      // a group that is to be down: it starts nobody
    bool again = false;
    bool was_open = false;     // a group whose first start is over
    std::int64_t delayed_until = 0;
    std::int64_t chance_at = 0, chance_given = 0, chance_wait = 0;
    std::int64_t up_since = 0;
    std::vector<std::int64_t> restarts, restarts_of_children;
    std::uint32_t row = 0;
    std::vector<Cut> cut;  // none or one
    std::size_t reached = 0;  // children before it have been up since the start that is under way; all: none is
  };

  bool is_leaf(NodeId n) const { return !nodes_[n].spec.is_group; }
  bool alive(NodeId n) const;
  bool open(NodeId n) const;     // done starting, for the sibling behind it
  bool all_up(NodeId n) const;
  bool covered(NodeId n) const;
  bool runnable(NodeId n) const;
  void want(NodeId n);
  void unwant(NodeId n);
  void death(NodeId n, bool abnormal, bool gives_up);
  void gone(NodeId leaf);
  void all_gone(const std::vector<NodeId>& leaves);
  void forgive(NodeId n);
  bool close(NodeId n);
  bool scan(NodeId n, bool starts);
  bool cut_step(NodeId n);
  std::vector<std::string> settle();

  std::vector<Node> nodes_;
  std::vector<Delay> delays_;
  std::int64_t now_ = 0;
  std::vector<std::string> orders_;
  std::string complaint_;
};

}  // namespace tv::simulator
