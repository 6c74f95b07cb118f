// Upkeep: drain, rolling restart, suspend, resume, and the growing and shrinking of pools, as far as they are decisions. README.md has the
// table.
//
// Pure, and driven by what is there, not by what has happened: after anything that may have changed, advance() looks at every actor that is
// concerned and says what is to be done now. So a worker may die at any point: what it was asked is asked again, of its next process.
// The caller shows flags() before it carries deeds out. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/ids.h"
#include "config/result.h"

namespace tv::supervisor {

enum class Chore : std::uint8_t {
  kDrain,    // nothing new is sent to them; done when what they had is dealt with
  kRoll,     // unit by unit: let it finish what it has, restart it, wait until it is ready
  kSuspend,
  kResume,
  kGrow,     // members are added
  kShrink,   // members finish what they have, stop and go
  kRemove,   // the same, for actors that the configuration is about to lose
};
std::string_view chore_name(Chore chore);

enum class Life : std::uint8_t {
  kReady,
  kComing,   // it has no process, starts, or waits for its start
  kLeaving,  // it is being stopped
  kDown,     // it is stopped, and does not come back by itself; suspended ones, too
  kFailed,
};

struct Seen {
  Life life = Life::kComing;
  std::uint64_t readies = 0;  // how often it has become ready: another number is another process, or another start
  std::string why;            // it is down or failed
  std::size_t worker = 0;     // on which it lives
};

// What is restarted together: one actor, or a worker with all of its actors.
struct Unit {
  std::string name;
  std::vector<ActorId> actors;
  std::optional<std::size_t> worker;
};

using ChoreId = std::uint32_t;  // from 1

struct Deed {
  enum class Kind : std::uint8_t {
    kAskSettled,  // the actor's worker, with `token`; answered by settled()
    kRestart,     // the unit; refused() if that cannot be
    kStop,
    kStart,
    kSuspend,
    kResume,
    kAdmit,    // the member is there from now on, and started
    kDismiss,  // it is down, and not there any more
    kTell,     // the chore has ended, or has come to another unit: for the log
  };
  Kind kind;
  ChoreId chore = 0;
  ActorId actor = kNoActor;
  std::uint64_t token = 0;
  const Unit* unit = nullptr;  // of kRestart and kTell; valid until the next call
};

class Upkeep {
 public:
  enum class State : std::uint8_t { kGoing, kDone, kFailed, kCancelled };
  enum class Step : std::uint8_t { kQueued, kSettling, kTurning, kDone };
  struct Task {
    ChoreId id = 0;
    Chore chore = Chore::kDrain;
    std::string name;  // as the administrator called it
    std::vector<Unit> units;
    std::vector<Step> steps;
    std::map<ActorId, std::uint64_t> before;  // of those that are waited for, when their unit's turn came: readies
    State state = State::kGoing;
    std::string why;  // it has failed or been cancelled

    std::size_t done() const;
    const Unit* at() const;  // the first that is not done
  };

  // What another one goes on with.
  struct Asked {
    std::uint64_t token;
    std::uint64_t readies;
    bool answered;
  };
  struct Kept {
    std::map<ChoreId, Task> tasks;  // those that have ended as well, the last few
    std::set<ActorId> drained;
    std::map<ActorId, Asked> asked;
    ChoreId last_id = 0;
    std::uint64_t last_token = 0;
  };
  const Kept& kept() const { return kept_; }
  // Who was asked and has not answered is asked again: the answer may have gone to the one before.
  void go_on(Kept kept);

  // kUnavailable when one of the actors is in a chore that goes on: it is named. A chore with nothing to do is done at once.
  Result<ChoreId> begin(Chore chore, const std::string& name, std::vector<Unit> units);
  // New mail is sent to them again, but for members that their pool is losing; drains of which none is left are cancelled.
  void undrain(const std::vector<ActorId>& actors);
  // Of a pool that is to get another size: whom it was taking away stays.
  void cancel_scaling(const std::string& pool);
  // A removal that is not to be any more: whom it has not taken away stays.
  void cancel_removal(ChoreId id, const std::string& why);
  void refused(ChoreId id, const std::string& why);

  // kUnavailable, as begin() would say it.
  Result<void> check_free(const std::vector<ActorId>& actors) const;

  using Look = std::function<Seen(ActorId)>;
  std::vector<Deed> advance(const Look& look);
  void settled(ActorId actor, std::uint64_t token);

  bool drained(ActorId actor) const { return kept_.drained.contains(actor); }  // or being drained
  bool busy(ActorId actor) const;  // it still has what it had when its drain began
  std::uint16_t flags(ActorId actor) const;  // of shm::ActorWhere
  const Task* find(ChoreId id) const;

 private:
  void advance(Task& task, const Look& look);
  bool advance_unit(Task& task, std::size_t unit, const Look& look);
  bool settle(Task& task, const Unit& unit, const Look& look);
  bool turned(Task& task, std::size_t unit, const Look& look);
  void turn(Task& task, std::size_t unit, const Look& look);
  void add(Deed::Kind kind, const Task& task, ActorId actor, std::uint64_t token = 0);
  void end(Task& task, State state, const std::string& why = "");
  void give_up(Task& task, State state, const std::string& why);
  bool spoilt(Task& task, const Unit& unit, const Look& look);
  bool is_going_away(ActorId actor) const;

  Kept kept_;
  std::vector<Deed> deeds_;
};

}  // namespace tv::supervisor
