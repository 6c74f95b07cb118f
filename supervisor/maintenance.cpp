#include "supervisor/maintenance.h"

#include <algorithm>
#include <utility>

#include "config/log.h"
#include "ipc/seqpacket.h"

namespace tv::supervisor {
namespace {

std::string in_quotes(const std::string& name) { return "\"" + name + "\""; }

}  // namespace

Result<ChoreId> Maintenance::begin(Chore chore, const std::string& name, std::vector<Unit> units) {
  bool finishes_mail = chore == Chore::kDrain || chore == Chore::kRoll || chore == Chore::kShrink || chore == Chore::kRemove;
  for (const auto& unit : units)
    for (ActorId actor : unit.actors)
      if (finishes_mail && in_.supervision.suspended(actor))
        return Error{Errc::kUnavailable, in_quotes(in_.actors[actor].placed.name) + " is suspended, with its mail; tensorctl resume " +
                                             in_.actors[actor].placed.name + " first"};
  auto id = TV_TRY(upkeep_.begin(chore, name, std::move(units)));
  log::notice(std::string(chore_name(chore)) + " begins", {{"name", name}, {"of", upkeep_.find(id)->units.size()}});
  look();
  return id;
}

void Maintenance::undo_removal(ChoreId id, const std::string& why) {
  const auto* task = upkeep_.find(id);
  if (!task) return;
  auto units = task->units;
  auto name = task->name;
  upkeep_.cancel_removal(id, why);
  look();
  std::erase_if(units, [this](const Unit& unit) { return in_.actors[unit.actors.front()].placed.present; });
  if (units.empty()) return;
  if (auto back = begin(Chore::kGrow, name, std::move(units)); !back) log::error("actors not back", {{"cause", back.error().message}});
}

void Maintenance::undrain(const std::vector<ActorId>& actors) {
  upkeep_.undrain(actors);
  look();
}

Result<ChoreId> Maintenance::scale(std::size_t pool, std::uint32_t size) {
  const auto& config = in_.config.pools[pool];
  auto most = std::max(config.size, config.max_size);
  if (size > most)
    return Error{Errc::kLimit, "pool " + in_quotes(config.name) + " can have " + std::to_string(most) + " members at most, not " + std::to_string(size) +
                                   ": set max_size in its [[pool]]; tensorctl config diff says whether that needs a restart of the daemon"};
  TV_TRY(check_room(newcomers(pool, size)));
  upkeep_.cancel_scaling(config.name);
  look();
  auto now = in_.actors.of_pool(pool);
  std::vector<Unit> units;
  bool grows = size > now.size();
  if (grows) {
    for (ActorId id : newcomers(pool, size)) units.push_back({in_.actors[id].placed.name, {id}, std::nullopt});
  } else {
    for (std::size_t i = now.size(); i-- > size;) units.push_back({in_.actors[now[i]].placed.name, {now[i]}, std::nullopt});
  }
  return begin(grows ? Chore::kGrow : Chore::kShrink, config.name, std::move(units));
}

// Who comes when the pool is to have so many members.
std::vector<ActorId> Maintenance::newcomers(std::size_t pool, std::uint32_t size) const {
  std::size_t members = in_.actors.of_pool(pool).size();
  std::vector<ActorId> coming;
  for (ActorId id : in_.actors.possible_of_pool(pool))
    if (!in_.actors[id].placed.present && members + coming.size() < size) coming.push_back(id);
  return coming;
}

// Before the first of them comes: half a pool is of no use to who wanted a whole one.
Result<void> Maintenance::check_room(const std::vector<ActorId>& coming) const {
  Arrivals arrivals(in_.config.workers.size());
  for (ActorId id : coming) arrivals[TV_TRY(home_for(id, arrivals))].push_back(id);
  return {};
}

void Maintenance::settled(ActorId actor, std::uint64_t token) {
  upkeep_.settled(actor, token);
  look_soon();
}

void Maintenance::look_soon() {
  if (std::exchange(look_soon_, true)) return;
  in_.loop.post([this] {
    look_soon_ = false;
    look();
  });
}

void Maintenance::look() {
  if (in_.supervision.tree().winding_down()) return;
  auto deeds = upkeep_.advance([this](ActorId actor) { return see(actor); });
  show_flags();
  for (const auto& deed : deeds) carry_out(deed);
  if (!deeds.empty()) look_soon();
}

void Maintenance::show_flags() {
  for (ActorId id = 0; id < in_.actors.all().size(); ++id) in_.actors.set_flags(id, upkeep_.flags(id));
}

Seen Maintenance::see(ActorId id) const {
  const Actor& actor = in_.actors[id];
  Seen seen{Life::kComing, in_.supervision.readies(id), actor.message, actor.host};
  if (in_.supervision.tree().state(in_.supervision.node_of(id)) == NodeState::kStopping) {
    seen.life = Life::kLeaving;
    return seen;
  }
  switch (actor.state) {
    case shm::ActorState::kReady: seen.life = Life::kReady; break;
    case shm::ActorState::kStopped:
    case shm::ActorState::kSuspended: seen.life = Life::kDown; break;
    case shm::ActorState::kFailed: seen.life = Life::kFailed; break;
    default: break;
  }
  return seen;
}

// Once it has had a worker it stays there: its state does.
Result<std::size_t> Maintenance::home_for(ActorId id, const Arrivals& arrivals) const {
  const auto& placed = in_.actors[id].placed;
  if (placed.settled) return placed.worker;
  auto homes = homes_of_pool(in_.config, in_.config.pools[*placed.pool]);
  std::erase_if(homes, [this](std::size_t worker) {
    auto hosting = in_.workers.hosting(worker);
    return hosting == Hosting::kStopped || hosting == Hosting::kFailed || !in_.workers.reads_own_mailbox(worker);
  });
  if (homes.empty()) return Error{Errc::kUnavailable, "every worker on which " + in_quotes(placed.name) + " could live is stopped or has failed"};
  std::erase_if(homes, [&](std::size_t worker) {
    auto more = arrivals[worker];
    more.push_back(id);
    return !in_.workers.has_room(worker, more);
  });
  std::vector<std::size_t> actors_on(in_.config.workers.size());
  for (std::size_t worker = 0; worker < arrivals.size(); ++worker) actors_on[worker] = arrivals[worker].size();
  for (const auto& actor : in_.actors.all()) actors_on[actor.host] += actor.placed.present ? 1 : 0;
  if (auto home = least_loaded(homes, actors_on)) return *home;
  return Error{Errc::kLimit, in_quotes(placed.name) + " has no room on any worker on which it could live: what a worker is told of its actors (names, args, env) "
                             "travels in one packet of " + std::to_string(ipc::kMaxPacketBytes) + " bytes; shorten args, or give the pool more workers"};
}

void Maintenance::carry_out(const Deed& deed) {
  auto& supervision = in_.supervision;
  switch (deed.kind) {
    case Deed::Kind::kAskSettled:
      return in_.orders.settle_actor(static_cast<ParticipantId>(in_.actors[deed.actor].host) + 1, deed.actor, deed.token);
    case Deed::Kind::kRestart:
      if (auto begun = in_.restart(*deed.unit); !begun) upkeep_.refused(deed.chore, begun.error().message);
      return;
    case Deed::Kind::kStop: return supervision.stop(supervision.node_of(deed.actor));
    case Deed::Kind::kStart: return supervision.restart(supervision.node_of(deed.actor));
    case Deed::Kind::kSuspend: return supervision.suspend(deed.actor);
    case Deed::Kind::kResume:
      if (supervision.suspended(deed.actor)) supervision.resume(deed.actor);
      return;
    case Deed::Kind::kDismiss: return supervision.dismiss(deed.actor);
    case Deed::Kind::kAdmit: {
      auto home = home_for(deed.actor, Arrivals(in_.config.workers.size()));
      if (!home) return upkeep_.refused(deed.chore, home.error().message);
      return supervision.admit(deed.actor, *home);
    }
    case Deed::Kind::kTell: return tell(deed);
  }
}

void Maintenance::tell(const Deed& deed) const {
  const auto* task = upkeep_.find(deed.chore);
  if (!task) return;
  std::string what(chore_name(task->chore));
  switch (task->state) {
    case Upkeep::State::kGoing:
      return log::info(what + " goes on", {{"name", task->name}, {"unit", deed.unit ? deed.unit->name : ""}, {"done", task->done()}, {"of", task->units.size()}});
    case Upkeep::State::kDone: return log::notice(what + " done", {{"name", task->name}, {"of", task->units.size()}});
    case Upkeep::State::kCancelled: return log::notice(what + " cancelled", {{"name", task->name}, {"cause", task->why}});
    case Upkeep::State::kFailed:
      return log::error(what + " failed", {{"name", task->name}, {"done", task->done()}, {"of", task->units.size()}, {"cause", task->why}});
  }
}

}  // namespace tv::supervisor
