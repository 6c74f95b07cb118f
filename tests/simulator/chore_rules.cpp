#include "tests/simulator/chore_rules.h"

#include <algorithm>

#include "shm/layout.h"

namespace tv::simulator {

using namespace supervisor;
using Kind = Deed::Kind;

namespace {

bool empties(Chore chore) { return chore == Chore::kDrain || chore == Chore::kRoll || chore == Chore::kShrink; }
bool brings(Chore chore) { return chore == Chore::kRoll || chore == Chore::kResume || chore == Chore::kGrow; }
bool away(const Seen& seen) { return seen.life == Life::kDown || seen.life == Life::kFailed; }

Kind deed_of(Chore chore) {
  switch (chore) {
    case Chore::kRoll:
      return Kind::kRestart;
    case Chore::kShrink:
      return Kind::kStop;
    case Chore::kSuspend:
      return Kind::kSuspend;
    case Chore::kResume:
      return Kind::kResume;
    case Chore::kGrow:
      return Kind::kAdmit;
    case Chore::kDrain:
      break;
  }
  return Kind::kTell;
}

std::string name_of(Kind kind) {
  switch (kind) {
    case Kind::kAskSettled:
      return "ask";
    case Kind::kRestart:
      return "restart";
    case Kind::kStop:
      return "stop";
    case Kind::kStart:
      return "start";
    case Kind::kSuspend:
      return "suspend";
    case Kind::kResume:
      return "resume";
    case Kind::kAdmit:
      return "admit";
    case Kind::kDismiss:
      return "dismiss";
    case Kind::kTell:
      return "tell";
  }
  return "?";
}

bool holds(const Unit& unit, ActorId actor) { return std::find(unit.actors.begin(), unit.actors.end(), actor) != unit.actors.end(); }

}  // namespace

void ChoreRules::begin(ChoreId id, Chore chore, const std::string& name, const std::vector<Unit>& units) {
  Task task{chore, name, {}, {}, {}};
  for (const auto& unit : units) {
    task.parts.push_back({unit, false, false, {}});
    if (chore == Chore::kDrain || chore == Chore::kShrink) drained_.insert(unit.actors.begin(), unit.actors.end());
  }
  tasks_.emplace(id, std::move(task));
}

bool ChoreRules::in_a_chore(ActorId actor) const {
  for (const auto& [id, task] : tasks_)
    for (const auto& part : task.parts)
      if (task.going && holds(part.unit, actor)) return true;
  return false;
}

void ChoreRules::undrain(const std::vector<ActorId>& actors) {
  for (ActorId actor : actors) {
    bool goes = false;
    for (const auto& [id, task] : tasks_)
      for (const auto& part : task.parts) goes = goes || (task.going && task.chore == Chore::kShrink && holds(part.unit, actor));
    if (!goes) drained_.erase(actor);
  }
  for (auto& [id, task] : tasks_) {
    if (!task.going || task.chore != Chore::kDrain) continue;
    bool any = false;
    for (auto& part : task.parts) {
      std::erase_if(part.unit.actors, [this](ActorId actor) { return !drained_.contains(actor); });
      any = any || !part.unit.actors.empty();
    }
    task.cancelled = !any;
    task.going = any;
  }
}

void ChoreRules::cancel_scaling(const std::string& pool) {
  for (auto& [id, task] : tasks_) {
    if (!task.going || task.name != pool || (task.chore != Chore::kGrow && task.chore != Chore::kShrink)) continue;
    task.cancelled = true;
    task.going = false;
    if (task.chore == Chore::kShrink) let_stay(task, {});
  }
}

// Who has not gone yet. Whom somebody else has started is not started again.
void ChoreRules::let_stay(Task& task, const Look& look) {
  for (auto& part : task.parts)
    for (ActorId actor : part.unit.actors) {
      if (part.done) continue;
      drained_.erase(actor);
      bool started = look && look(actor).readies > part.before[actor];
      if (part.turned && !started) task.to_start.insert(actor);
    }
}

void ChoreRules::settled(ActorId actor, std::uint64_t token) {
  for (auto& [id, task] : tasks_)
    if (auto asked = task.asked.find(actor); asked != task.asked.end() && asked->second.token == token) asked->second.answered = true;
}

// Everything that it had when the chore began is dealt with.
bool ChoreRules::empty(const Task& task, ActorId actor, const Seen& seen) const {
  if (away(seen)) return true;
  if (seen.life == Life::kComing && task.chore == Chore::kRoll) return true;
  auto asked = task.asked.find(actor);
  return seen.life == Life::kReady && asked != task.asked.end() && asked->second.answered && asked->second.readies == seen.readies;
}

// A rolling restart does one after the other.
bool ChoreRules::in_turn(const Task& task, const Part& part) const {
  if (task.chore != Chore::kRoll) return !part.done;
  auto first = std::find_if(task.parts.begin(), task.parts.end(), [](const Part& each) { return !each.done; });
  return first != task.parts.end() && &*first == &part;
}

bool ChoreRules::finished(const Task& task, const Part& part, const Look& look) const {
  for (ActorId actor : part.unit.actors) {
    Seen seen = look(actor);
    if (task.chore == Chore::kDrain && !empty(task, actor, seen)) return false;
    if (task.chore == Chore::kDrain) continue;
    if (!part.turned) return false;
    if (!brings(task.chore) && !away(seen)) return false;
    if (!brings(task.chore)) continue;
    auto before = part.before.find(actor);
    if (before == part.before.end()) continue;
    if (seen.life != Life::kReady || (task.chore == Chore::kRoll && seen.readies <= before->second)) return false;
  }
  return part.turned || task.chore == Chore::kDrain;
}

// It cannot be done any more: somebody who should come is away, somebody who should go has been started again by somebody else.
bool ChoreRules::spoilt(const Task& task, const Look& look) const {
  for (const auto& part : task.parts) {
    if (part.done || !part.turned) continue;
    for (const auto& [actor, before] : part.before) {
      Seen seen = look(actor);
      if (brings(task.chore) && away(seen)) return true;
      if (!brings(task.chore) && seen.life == Life::kReady && seen.readies > before) return true;
    }
  }
  return false;
}

bool ChoreRules::allowed(const Task& task, const Part& part, Kind kind, ActorId actor, const Look& look) const {
  if (kind == Kind::kStart) return task.to_start.contains(actor);
  if (!in_turn(task, part)) return false;
  if (kind == Kind::kAskSettled) {
    Seen seen = look(actor);
    auto asked = task.asked.find(actor);
    bool known = asked != task.asked.end() && asked->second.readies == seen.readies;
    return task.going && empties(task.chore) && !part.turned && seen.life == Life::kReady && !known;
  }
  if (kind == Kind::kDismiss) return task.going && task.chore == Chore::kShrink && part.turned && finished(task, part, look);
  if (kind != deed_of(task.chore) || part.turned || !task.going) return false;
  if (!empties(task.chore)) return true;
  return std::all_of(part.unit.actors.begin(), part.unit.actors.end(), [&](ActorId each) { return empty(task, each, look(each)); });
}

void ChoreRules::note(Task& task, Part& part, const Deed& deed, const Look& look) {
  if (deed.kind == Kind::kAskSettled) {
    task.asked[deed.actor] = {deed.token, look(deed.actor).readies, false};
    return;
  }
  if (deed.kind == Kind::kStart) {
    task.to_start.erase(deed.actor);
    return;
  }
  if (deed.kind == Kind::kDismiss) {
    part.done = true;
    drained_.erase(deed.actor);
    return;
  }
  part.turned = true;
  for (ActorId actor : part.unit.actors) {
    Seen seen = look(actor);
    // A worker is restarted as a whole: who is down on it stays so, and who lives elsewhere by now is not concerned.
    bool concerned = !part.unit.worker || (!away(seen) && seen.worker == *part.unit.worker);
    if (concerned) part.before[actor] = seen.readies;
  }
}

std::string ChoreRules::judge(const Deed& deed, const Look& look) {
  Task& task = tasks_.at(deed.chore);
  for (auto& part : task.parts) {
    bool concerns = deed.kind == Kind::kRestart ? deed.unit && deed.unit->name == part.unit.name : holds(part.unit, deed.actor);
    if (!concerns) continue;
    if (!allowed(task, part, deed.kind, deed.actor, look)) break;
    note(task, part, deed, look);
    task.in_work = true;
    return {};
  }
  return name_of(deed.kind) + " " + (deed.unit ? deed.unit->name : std::to_string(deed.actor)) + " is against the rules of the " +
         std::string(chore_name(task.chore)) + " of " + task.name;
}

// Nothing has come of a look: so nothing may be due.
std::string ChoreRules::check_idle(const Task& task, const Look& look) const {
  for (const auto& part : task.parts)
    for (ActorId actor : part.unit.actors)
      for (Kind kind : {Kind::kAskSettled, deed_of(task.chore), Kind::kDismiss, Kind::kStart})
        if (kind != Kind::kTell && allowed(task, part, kind, actor, look))
          return name_of(kind) + " " + part.unit.name + " is due in the " + std::string(chore_name(task.chore)) + " of " + task.name;
  return {};
}

std::string ChoreRules::check_end(ChoreId id, Task& task, const Look& look, const Upkeep& upkeep) {
  const auto* told = upkeep.find(id);
  if (!told) return task.going ? "chore " + std::to_string(id) + " is forgotten" : "";
  // What is to be done first has not been done yet when this is looked at.
  bool in_work = task.chore != Chore::kDrain && std::exchange(task.in_work, false);
  for (auto& part : task.parts)
    if (task.going && !in_work && in_turn(task, part) && finished(task, part, look) && task.chore != Chore::kShrink) part.done = true;
  bool done = std::all_of(task.parts.begin(), task.parts.end(), [](const Part& part) { return part.done; });
  std::string name = "the " + std::string(chore_name(task.chore)) + " of " + task.name;
  switch (told->state) {
    case Upkeep::State::kGoing:
      return task.going ? "" : name + " goes on, and should not";
    case Upkeep::State::kCancelled:
      return task.cancelled ? "" : name + " is cancelled by nobody";
    case Upkeep::State::kDone:
      if (task.going && !done) return name + " is said to be done, and is not";
      task.going = false;
      return {};
    case Upkeep::State::kFailed:
      if (!task.going && !task.failed) return name + " has failed, and had ended";
      if (task.going && !spoilt(task, look)) return name + " is said to have failed: " + told->why;
      if (task.going && task.chore == Chore::kShrink) let_stay(task, look);
      task.going = false;
      task.failed = true;
      return {};
  }
  return {};
}

std::uint16_t ChoreRules::flags(ActorId actor) const {
  if (drained_.contains(actor)) return shm::kActorDrained;
  for (const auto& [id, task] : tasks_)
    for (const auto& part : task.parts)
      if (task.going && task.chore == Chore::kRoll && in_turn(task, part) && holds(part.unit, actor)) return shm::kActorAvoided;
  return 0;
}

std::string ChoreRules::check(const std::vector<Deed>& deeds, const Look& look, const Upkeep& upkeep) {
  for (const auto& deed : deeds)
    if (deed.kind != Kind::kTell)
      if (auto wrong = judge(deed, look); !wrong.empty()) return wrong;
  for (auto& [id, task] : tasks_)
    if (auto wrong = check_end(id, task, look, upkeep); !wrong.empty()) return wrong;
  if (!deeds.empty()) return {};
  for (const auto& [id, task] : tasks_) {
    if (auto wrong = check_idle(task, look); !wrong.empty()) return wrong;
    bool over =
        task.going && (spoilt(task, look) || std::all_of(task.parts.begin(), task.parts.end(), [](const Part& part) { return part.done; }));
    if (over)
      return "the " + std::string(chore_name(task.chore)) + " of " + task.name + (spoilt(task, look) ? " cannot be done" : " is over") +
             ", and goes on";
    for (const auto& part : task.parts)
      for (ActorId actor : part.unit.actors)
        if (upkeep.flags(actor) != flags(actor)) return "actor " + std::to_string(actor) + " is marked wrongly";
  }
  return {};
}

}  // namespace tv::simulator
