// Spares: parked processes that stand ready, so many for each group of workers, and the one way to get a process.
//
// A spare that is taken, or dies, is replaced. One thread (the loop's).
#pragma once

#include <deque>
#include <map>
#include <string>

#include "supervisor/zygote_client.h"

namespace tv::supervisor {

class Spares {
 public:
  Spares(EventLoop& loop, Children& children, ZygoteClient& zygote) : loop_(loop), children_(children), zygote_(zygote) {}

  // How many to keep for `group`; they are asked for now.
  void keep(const std::string& group, std::size_t count);
  // Calls back at once when a spare is there (then 0 is returned), else when one has been forked.
  Ticket acquire(const std::string& group, ZygoteClient::Forked callback);
  void cancel(Ticket ticket) { zygote_.cancel(ticket); }
  // Lets all spares end.
  void stop();

  std::size_t parked(const std::string& group) const;

 private:
  struct Group {
    std::size_t wanted = 0;
    std::size_t asked = 0;
    std::deque<Parked> parked;
    DeathHistory deaths;
    Source timer;   // after a spare's death
    Source refill;  // after one has been taken
  };
  void replenish(const std::string& name, Group& group);
  void park(const std::string& name, Parked parked);
  void died(const std::string& name, const Child* child, const Cause& cause);

  EventLoop& loop_;
  Children& children_;
  ZygoteClient& zygote_;
  std::map<std::string, Group> groups_;
  bool stopping_ = false;
};

}  // namespace tv::supervisor
