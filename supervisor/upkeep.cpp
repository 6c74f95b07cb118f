#include "supervisor/upkeep.h"

#include <algorithm>
#include <utility>

#include "shm/layout.h"

namespace tv::supervisor {
namespace {

constexpr std::size_t kRemembered = 64;  // that have ended, for those who ask how it went

bool one_by_one(Chore chore) { return chore == Chore::kRoll; }
bool takes_away(Chore chore) { return chore == Chore::kShrink || chore == Chore::kRemove; }
bool settles(Chore chore) { return chore == Chore::kDrain || chore == Chore::kRoll || takes_away(chore); }
bool brings(Chore chore) { return chore == Chore::kRoll || chore == Chore::kResume || chore == Chore::kGrow; }
bool away(const Seen& seen) { return seen.life == Life::kDown || seen.life == Life::kFailed; }

}  // namespace

std::string_view chore_name(Chore chore) {
  switch (chore) {
    case Chore::kDrain: return "drain";
    case Chore::kRoll: return "rolling restart";
    case Chore::kSuspend: return "suspend";
    case Chore::kResume: return "resume";
    case Chore::kGrow: return "scale up";
    case Chore::kShrink: return "scale down";
    case Chore::kRemove: return "removal";
  }
  return "unknown";
}

std::size_t Upkeep::Task::done() const { return static_cast<std::size_t>(std::count(steps.begin(), steps.end(), Step::kDone)); }

const Unit* Upkeep::Task::at() const {
  for (std::size_t i = 0; i < units.size(); ++i)
    if (steps[i] != Step::kDone) return &units[i];
  return nullptr;
}

void Upkeep::go_on(Kept kept) {
  kept_ = std::move(kept);
  std::erase_if(kept_.asked, [](const auto& each) { return !each.second.answered; });
}

Result<void> Upkeep::check_free(const std::vector<ActorId>& actors) const {
  for (const auto& [id, other] : kept_.tasks) {
    if (other.state != State::kGoing) continue;
    for (const auto& theirs : other.units)
      for (ActorId actor : actors)
        if (std::find(theirs.actors.begin(), theirs.actors.end(), actor) != theirs.actors.end())
          return Error{Errc::kUnavailable, "\"" + theirs.name + "\" is in the " + std::string(chore_name(other.chore)) + " of \"" + other.name +
                                               "\", which goes on (" + std::to_string(other.done()) + " of " + std::to_string(other.units.size()) +
                                               " done); try again when it has ended"};
  }
  return {};
}

Result<ChoreId> Upkeep::begin(Chore chore, const std::string& name, std::vector<Unit> units) {
  for (const auto& unit : units) TV_TRY(check_free(unit.actors));
  Task task;
  task.id = ++kept_.last_id;
  task.chore = chore;
  task.name = name;
  task.steps.assign(units.size(), Step::kQueued);
  task.units = std::move(units);
  if (chore == Chore::kDrain || takes_away(chore))
    for (const auto& unit : task.units) {
      kept_.drained.insert(unit.actors.begin(), unit.actors.end());
      for (ActorId actor : unit.actors) kept_.asked.erase(actor);
    }
  kept_.tasks.emplace(task.id, std::move(task));
  while (kept_.tasks.size() > kRemembered) {
    auto oldest = std::find_if(kept_.tasks.begin(), kept_.tasks.end(), [](const auto& each) { return each.second.state != State::kGoing; });
    if (oldest == kept_.tasks.end()) break;
    kept_.tasks.erase(oldest);
  }
  return kept_.last_id;
}

bool Upkeep::is_going_away(ActorId actor) const {
  for (const auto& [id, task] : kept_.tasks) {
    if (task.state != State::kGoing || !takes_away(task.chore)) continue;
    for (const auto& unit : task.units)
      if (std::find(unit.actors.begin(), unit.actors.end(), actor) != unit.actors.end()) return true;
  }
  return false;
}

void Upkeep::undrain(const std::vector<ActorId>& actors) {
  // What they have been asked stays: it may be a rolling restart's question.
  for (ActorId actor : actors)
    if (!is_going_away(actor)) kept_.drained.erase(actor);
  for (auto& [id, task] : kept_.tasks) {
    if (task.state != State::kGoing || task.chore != Chore::kDrain) continue;
    for (auto& unit : task.units) std::erase_if(unit.actors, [this](ActorId actor) { return !kept_.drained.contains(actor); });
    if (std::all_of(task.units.begin(), task.units.end(), [](const Unit& unit) { return unit.actors.empty(); }))
      end(task, State::kCancelled, "undrained");
  }
}

void Upkeep::cancel_scaling(const std::string& pool) {
  for (auto& [id, task] : kept_.tasks)
    if (task.state == State::kGoing && task.name == pool && (task.chore == Chore::kGrow || task.chore == Chore::kShrink))
      give_up(task, State::kCancelled, "the pool got another size");
}

void Upkeep::cancel_removal(ChoreId id, const std::string& why) {
  if (auto task = kept_.tasks.find(id); task != kept_.tasks.end() && task->second.state == State::kGoing) give_up(task->second, State::kCancelled, why);
}

void Upkeep::give_up(Task& task, State state, const std::string& why) {
  for (std::size_t i = 0; i < task.units.size(); ++i) {
    if (!takes_away(task.chore) || task.steps[i] == Step::kDone) continue;
    for (ActorId actor : task.units[i].actors) {
      kept_.drained.erase(actor);
      if (task.steps[i] == Step::kTurning && task.before.contains(actor)) add(Deed::Kind::kStart, task, actor);
    }
  }
  end(task, state, why);
}

void Upkeep::refused(ChoreId id, const std::string& why) {
  if (auto task = kept_.tasks.find(id); task != kept_.tasks.end() && task->second.state == State::kGoing) end(task->second, State::kFailed, why);
}

void Upkeep::end(Task& task, State state, const std::string& why) {
  task.state = state;
  task.why = why;
  add(Deed::Kind::kTell, task, kNoActor);
}

void Upkeep::add(Deed::Kind kind, const Task& task, ActorId actor, std::uint64_t token) {
  deeds_.push_back({kind, task.id, actor, token, task.at()});
}

std::vector<Deed> Upkeep::advance(const Look& look) {
  for (auto& [id, task] : kept_.tasks)
    if (task.state == State::kGoing) advance(task, look);
  return std::exchange(deeds_, {});
}

void Upkeep::advance(Task& task, const Look& look) {
  for (std::size_t i = 0; i < task.units.size() && task.state == State::kGoing; ++i) {
    if (task.steps[i] == Step::kDone) continue;
    if (!advance_unit(task, i, look) && one_by_one(task.chore)) return;
  }
  if (task.state == State::kGoing && task.done() == task.units.size()) end(task, State::kDone);
}

// True: the unit is done.
bool Upkeep::advance_unit(Task& task, std::size_t i, const Look& look) {
  const Unit& unit = task.units[i];
  if (task.steps[i] == Step::kQueued) {
    task.steps[i] = settles(task.chore) ? Step::kSettling : Step::kTurning;
    if (task.chore == Chore::kRoll) {
      for (ActorId actor : unit.actors) kept_.asked.erase(actor);
      add(Deed::Kind::kTell, task, kNoActor);
      return false;  // its flags are shown before it is asked
    }
    if (task.steps[i] == Step::kTurning) turn(task, i, look);
  }
  if (task.steps[i] == Step::kSettling) {
    if (!settle(task, unit, look)) return false;
    if (task.chore == Chore::kDrain) {
      task.steps[i] = Step::kDone;
      return true;
    }
    task.steps[i] = Step::kTurning;
    turn(task, i, look);
    return false;
  }
  if (!turned(task, i, look)) return false;
  task.steps[i] = Step::kDone;
  if (takes_away(task.chore))
    for (ActorId actor : unit.actors) {
      add(Deed::Kind::kDismiss, task, actor);
      kept_.drained.erase(actor);
    }
  return true;
}

// Whether all of them have dealt with what they had. Nobody's mail waits at one that is down or failed: its callers have been told.
bool Upkeep::settle(Task& task, const Unit& unit, const Look& look) {
  bool all = true;
  for (ActorId actor : unit.actors) {
    Seen seen = look(actor);
    if (seen.life == Life::kDown || seen.life == Life::kFailed) continue;
    // A restart leaves mail where it is; so one that is not there has nothing to finish first.
    if (task.chore == Chore::kRoll && seen.life == Life::kComing) continue;
    auto asked = kept_.asked.find(actor);
    bool same = asked != kept_.asked.end() && asked->second.readies == seen.readies;
    if (same && asked->second.answered && seen.life == Life::kReady) continue;
    all = false;
    if (same || seen.life != Life::kReady) continue;
    kept_.asked[actor] = {++kept_.last_token, seen.readies, false};
    add(Deed::Kind::kAskSettled, task, actor, kept_.last_token);
  }
  return all;
}

void Upkeep::settled(ActorId actor, std::uint64_t token) {
  if (auto asked = kept_.asked.find(actor); asked != kept_.asked.end() && asked->second.token == token) asked->second.answered = true;
}

void Upkeep::turn(Task& task, std::size_t i, const Look& look) {
  const Unit& unit = task.units[i];
  for (ActorId actor : unit.actors) {
    Seen seen = look(actor);
    // A worker is restarted as a whole: who is down on it is so afterwards, and who has moved from it meanwhile does not notice.
    bool concerned = !unit.worker || (!away(seen) && seen.worker == *unit.worker);
    if (concerned) task.before[actor] = seen.readies;
  }
  switch (task.chore) {
    case Chore::kRoll: return add(Deed::Kind::kRestart, task, kNoActor);
    case Chore::kShrink:
    case Chore::kRemove:
      for (ActorId actor : unit.actors) add(Deed::Kind::kStop, task, actor);
      return;
    case Chore::kSuspend:
      for (ActorId actor : unit.actors) add(Deed::Kind::kSuspend, task, actor);
      return;
    case Chore::kResume:
      for (ActorId actor : unit.actors) add(Deed::Kind::kResume, task, actor);
      return;
    case Chore::kGrow:
      for (ActorId actor : unit.actors) add(Deed::Kind::kAdmit, task, actor);
      return;
    case Chore::kDrain: return;
  }
}

bool Upkeep::turned(Task& task, std::size_t i, const Look& look) {
  const Unit& unit = task.units[i];
  bool still_to_be_done = std::any_of(deeds_.begin(), deeds_.end(), [&](const Deed& deed) { return deed.chore == task.id && deed.kind != Deed::Kind::kTell; });
  if (still_to_be_done || spoilt(task, unit, look)) return false;
  return std::all_of(unit.actors.begin(), unit.actors.end(), [&](ActorId actor) {
    Seen seen = look(actor);
    if (!brings(task.chore)) return away(seen);
    auto before = task.before.find(actor);
    if (before == task.before.end()) return true;
    return seen.life == Life::kReady && (task.chore != Chore::kRoll || seen.readies > before->second);
  });
}

// It cannot be done any more, and ends: who should come is away, or somebody else has started who should go.
bool Upkeep::spoilt(Task& task, const Unit& unit, const Look& look) {
  for (ActorId actor : unit.actors) {
    auto before = task.before.find(actor);
    if (before == task.before.end()) continue;
    Seen seen = look(actor);
    if (brings(task.chore) && away(seen)) {
      end(task, State::kFailed, "\"" + unit.name + "\" did not come back: " + (seen.why.empty() ? "it was stopped" : seen.why));
      return true;
    }
    if (brings(task.chore) || seen.life != Life::kReady || seen.readies == before->second) continue;
    std::string why = "\"" + unit.name + "\" was started again meanwhile";
    task.before.erase(before);
    if (takes_away(task.chore)) give_up(task, State::kFailed, why);
    else end(task, State::kFailed, why);
    return true;
  }
  return false;
}

bool Upkeep::busy(ActorId actor) const {
  auto asked = kept_.asked.find(actor);
  return drained(actor) && (asked == kept_.asked.end() || !asked->second.answered);
}

std::uint16_t Upkeep::flags(ActorId actor) const {
  if (drained(actor)) return shm::kActorDrained;
  for (const auto& [id, task] : kept_.tasks) {
    if (task.state != State::kGoing || task.chore != Chore::kRoll) continue;
    for (std::size_t i = 0; i < task.units.size(); ++i) {
      bool now = task.steps[i] == Step::kSettling || task.steps[i] == Step::kTurning;
      if (now && std::find(task.units[i].actors.begin(), task.units[i].actors.end(), actor) != task.units[i].actors.end())
        return shm::kActorAvoided;
    }
  }
  return 0;
}

const Upkeep::Task* Upkeep::find(ChoreId id) const {
  auto task = kept_.tasks.find(id);
  return task == kept_.tasks.end() ? nullptr : &task->second;
}

}  // namespace tv::supervisor
