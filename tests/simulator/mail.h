// Messages to actors, and what becomes of each that was accepted: answered, told to its sender as lost, a dead letter, or still in its
// mailbox.
//
// A mailbox is the home's, and is read by one process. A message stays in it until it has been dealt with, so a death only means that it is
// at hand once more.
#pragma once

#include <deque>
#include <functional>
#include <vector>

#include "tests/simulator/loops.h"

namespace tv::simulator {

using supervisor::NodeId;

class Mail {
 public:
  struct Surroundings {
    Stage& stage;
    Loops& loops;
    std::function<bool(NodeId)> takes_mail;                     // the directory says so
    std::function<bool(NodeId)> gone;                           // failed or stopped: its callers are told
    std::function<std::size_t(NodeId)> reader;                  // whose bell is rung
    std::function<std::vector<NodeId>(std::size_t)> served_by;  // actors that are up in the worker's process, whose mail it reads
    std::function<void(NodeId)> handled;
    std::function<void(NodeId, std::uint64_t token)> settled;
    std::function<void(std::size_t worker, NodeId culprit)> crash;
  };
  Mail(Surroundings surroundings, std::size_t actors) : in_(std::move(surroundings)), queues_(actors), settles_(actors) {}

  void send(NodeId actor);
  void ring(std::size_t worker);  // there may be something for it to read
  void process_ended(std::size_t worker);
  void settle(std::size_t worker, NodeId actor, std::uint64_t token);  // the order has come
  void tell_callers();                                                 // of those that are gone
  std::size_t left(NodeId actor) const { return queues_[actor].size(); }
  // Each accepted message is in one place.
  void check() const;

 private:
  enum class Kind { kPlain, kLong, kCrashes, kHangs };
  struct Message {
    std::uint64_t number;
    Kind kind = Kind::kPlain;
    int at_hand = 0;  // how often
  };
  struct Settle {
    std::uint64_t token = 0;  // 0: none
    std::uint64_t up_to = 0;
    std::size_t worker = 0;
  };

  void read(std::size_t worker);
  void handle(std::size_t worker, NodeId actor);
  void check_settles(std::size_t worker);

  Surroundings in_;
  std::vector<std::deque<Message>> queues_;  // by actor, as they lie in the rings to its home
  std::vector<Settle> settles_;              // as the process at hand has noted them
  std::uint64_t accepted_ = 0, answered_ = 0, told_ = 0, dead_ = 0;
};

}  // namespace tv::simulator
