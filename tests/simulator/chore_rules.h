// The rules of upkeep a second time (README.md of the supervisor, "Upkeep"), written without a look at upkeep.cpp: which deeds are allowed,
// which are due when nothing else happens, and how a chore ends.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "supervisor/upkeep.h"

namespace tv::simulator {

class ChoreRules {
 public:
  using Look = std::function<supervisor::Seen(ActorId)>;
  using Upkeep = supervisor::Upkeep;

  void begin(supervisor::ChoreId id, supervisor::Chore chore, const std::string& name, const std::vector<supervisor::Unit>& units);
  bool in_a_chore(ActorId actor) const;
  void undrain(const std::vector<ActorId>& actors);
  void cancel_scaling(const std::string& pool);
  void refused(supervisor::ChoreId id) { tasks_.at(id).failed = true, tasks_.at(id).going = false; }
  void settled(ActorId actor, std::uint64_t token);

  // One look, and the deeds that came of it. Empty: all is as it should be.
  std::string check(const std::vector<supervisor::Deed>& deeds, const Look& look, const Upkeep& upkeep);

 private:
  struct Asked {
    std::uint64_t token, readies;
    bool answered;
  };
  struct Part {
    supervisor::Unit unit;
    bool turned = false;
    bool done = false;
    std::map<ActorId, std::uint64_t> before;  // of those that are waited for, once it has turned: readies
  };
  struct Task {
    supervisor::Chore chore;
    std::string name;
    std::vector<Part> parts;
    std::map<ActorId, Asked> asked;
    std::set<ActorId> to_start;  // since its scaling was cancelled
    bool in_work = false;        // a deed has come of this look
    bool failed = false;
    bool cancelled = false;
    bool going = true;
  };

  bool empty(const Task& task, ActorId actor, const supervisor::Seen& seen) const;
  bool in_turn(const Task& task, const Part& part) const;
  bool finished(const Task& task, const Part& part, const Look& look) const;
  bool spoilt(const Task& task, const Look& look) const;
  bool allowed(const Task& task, const Part& part, supervisor::Deed::Kind kind, ActorId actor, const Look& look) const;
  void note(Task& task, Part& part, const supervisor::Deed& deed, const Look& look);
  void let_stay(Task& task, const Look& look);
  std::string judge(const supervisor::Deed& deed, const Look& look);
  std::string check_idle(const Task& task, const Look& look) const;
  std::string check_end(supervisor::ChoreId id, Task& task, const Look& look, const Upkeep& upkeep);
  std::uint16_t flags(ActorId actor) const;

  std::map<supervisor::ChoreId, Task> tasks_;
  std::set<ActorId> drained_;
};

}  // namespace tv::simulator
