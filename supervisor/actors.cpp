#include "supervisor/actors.h"

#include <algorithm>
#include <utility>

#include "shm/mailbox.h"
#include "supervisor/handover.h"

namespace tv::supervisor {
namespace {

using shm::ActorState;

ParticipantId participant_of(std::size_t worker) { return static_cast<ParticipantId>(worker) + 1; }

// Its mailbox is that worker's from now on; where it may go from there are the same workers as before.
void settle_on(PlacedActor& placed, std::size_t worker) {
  auto& others = placed.may_live_on;
  if (std::erase(others, worker) > 0) others.insert(std::lower_bound(others.begin(), others.end(), placed.worker), placed.worker);
  placed.worker = worker;
}

}  // namespace

Result<Actors> Actors::create(const config::Config& config, shm::DirectoryWriter& directory) {
  Actors actors(directory);
  TV_TRY(actors.add(config, TV_TRY(place(config))));
  return actors;
}

// Those of the placement that are not there yet. Somebody who died here has written some of them to the directory already.
Result<void> Actors::add(const config::Config& config, Placement placement) {
  constexpr std::uint32_t kNoPool = 0xffff'ffff;
  auto next_pool = directory_->pools();
  std::vector<std::uint32_t> entry;  // of each pool of the configuration, in the directory
  for (const auto& pool : config.pools) {
    auto known = directory_->find_pool(pool.name);
    entry.push_back(known ? *known : next_pool++);
  }
  for (ActorId id = static_cast<ActorId>(actors_.size()); id < placement.actors.size(); ++id) {
    PlacedActor& placed = placement.actors[id];
    TV_TRY(directory_->have_actor(id, placed.name, placed.type, participant_of(placed.worker), placed.pool ? entry[*placed.pool] : kNoPool));
    std::size_t home = placed.worker;
    actors_.push_back({std::move(placed)});
    actors_.back().host = home;
  }
  for (std::size_t p = 0; p < config.pools.size(); ++p) {
    const auto& pool = config.pools[p];
    auto routing = static_cast<std::uint32_t>(pool.routing);
    if (entry[p] < directory_->pools()) directory_->set_routing(entry[p], routing);
    else TV_TRY(directory_->add_pool(pool.name, pool.type, placement.first_member[p], std::max(pool.size, pool.max_size), routing));
  }
  return {};
}

Result<Actors> Actors::go_on(const config::Config& config, shm::DirectoryWriter& directory, const shm::Arena& arena, const Handover& handover) {
  auto placed = place(config, known_of(handover));
  if (!placed) return Error{Errc::kCorrupt, "what is handed over does not go with the configuration that is handed over: " + placed.error().message};
  const auto& kept = handover.actors;
  Actors actors(directory);
  for (ActorId id = 0; id < kept.size(); ++id) {
    const KeptActor& was = kept[id];
    Actor& actor = actors.actors_.emplace_back(Actor{std::move(placed->actors[id])});
    bool back = was.removed && !actor.placed.removed;  // then it is there as one that is new
    if (was.settled) settle_on(actor.placed, was.worker);
    actor.placed.settled = was.settled || (back && actor.placed.settled);
    if (!back) actor.placed.present = was.present && !actor.placed.removed;
    actor.state = was.state;
    actor.incarnation = was.incarnation;
    actor.message = was.message;
    actor.flags = was.flags;
    actor.commit_error = was.commit_error;
    actor.healthy = was.healthy;
    actor.health_reason = was.health_reason;
    actor.host = shm::reader_of(arena, participant_of(actor.placed.worker)) - 1;
    if (actor.host != actor.placed.worker) actor.moved = was.moved.empty() ? "its worker was given up" : was.moved;
  }
  TV_TRY(actors.add(config, std::move(*placed)));
  for (ActorId id = static_cast<ActorId>(kept.size()); id < actors.actors_.size(); ++id) {
    Actor& actor = actors.actors_[id];
    actor.host = shm::reader_of(arena, participant_of(actor.placed.worker)) - 1;
    if (actor.host != actor.placed.worker) actor.moved = "its worker was given up";
  }
  // What the one before was writing when it died may be of a moment before or after what it has handed over.
  for (ActorId id = 0; id < actors.actors_.size(); ++id) actors.write(id);
  return actors;
}

std::vector<ActorId> Actors::of_worker(std::size_t worker) const {
  std::vector<ActorId> ids;
  for (ActorId id = 0; id < actors_.size(); ++id)
    if (belongs(id, worker)) ids.push_back(id);
  return ids;
}

std::vector<ActorId> Actors::of_mailbox(std::size_t worker) const {
  std::vector<ActorId> ids;
  for (ActorId id = 0; id < actors_.size(); ++id)
    if (actors_[id].placed.settled && actors_[id].placed.worker == worker) ids.push_back(id);
  return ids;
}

void Actors::move(ActorId id, std::size_t host, std::string why) {
  actors_[id].host = host;
  actors_[id].moved = std::move(why);
}

std::vector<ActorId> Actors::of_pool(std::size_t pool) const {
  auto ids = possible_of_pool(pool);
  std::erase_if(ids, [this](ActorId id) { return !actors_[id].placed.present; });
  return ids;
}

std::vector<ActorId> Actors::possible_of_pool(std::size_t pool) const {
  std::vector<ActorId> ids;
  for (ActorId id = 0; id < actors_.size(); ++id)
    if (actors_[id].placed.pool == pool) ids.push_back(id);
  return ids;
}

bool Actors::admit(ActorId id, std::size_t worker) {
  Actor& actor = actors_[id];
  actor.placed.present = true;
  if (std::exchange(actor.placed.settled, true)) return false;
  settle_on(actor.placed, worker);
  actor.host = worker;
  actor.incarnation = 1;
  write(id);
  return true;
}

std::size_t Actors::present_count() const {
  return static_cast<std::size_t>(std::count_if(actors_.begin(), actors_.end(), [](const Actor& actor) { return actor.placed.present; }));
}

std::optional<ActorId> Actors::find(const std::string& name) const {
  for (ActorId id = 0; id < actors_.size(); ++id)
    if (actors_[id].placed.name == name && actors_[id].placed.present) return id;
  return std::nullopt;
}

std::vector<AssignedActor> Actors::assign(std::span<const ActorId> ids) {
  std::vector<AssignedActor> assigned;
  for (ActorId id : ids) {
    Actor& actor = actors_[id];
    ++actor.incarnation;
    write(id);
    assigned.push_back({id, actor.incarnation, &actor.placed, false, {}});
  }
  return assigned;
}

void Actors::set_flags(ActorId id, std::uint16_t flags) {
  if (std::exchange(actors_[id].flags, flags) != flags) write(id);
}

void Actors::set(ActorId id, ActorState state, const std::string& message) {
  Actor& actor = actors_[id];
  if (actor.state == state && actor.message == message) return;
  if (state != ActorState::kReady) {
    actor.healthy.reset();
    actor.health_reason.clear();
  }
  if (state == ActorState::kReady && actor.state != ActorState::kReady) ++actor.starts;
  actor.state = state;
  actor.message = message;
  write(id);
}

void Actors::set_health(ActorId id, bool healthy, const std::string& reason) {
  actors_[id].healthy = healthy;
  actors_[id].health_reason = healthy ? "" : reason;
}

std::vector<ActorId> Actors::unhealthy() const {
  std::vector<ActorId> ids;
  for (ActorId id = 0; id < actors_.size(); ++id)
    if (actors_[id].healthy == false) ids.push_back(id);
  return ids;
}

bool Actors::all_well() const {
  return std::all_of(actors_.begin(), actors_.end(), [](const Actor& actor) {
    return actor.state == ActorState::kReady || actor.state == ActorState::kStopped || actor.state == ActorState::kSuspended;
  });
}

std::size_t Actors::ready_count() const {
  return static_cast<std::size_t>(
      std::count_if(actors_.begin(), actors_.end(), [](const Actor& actor) { return actor.state == ActorState::kReady; }));
}

void Actors::write(ActorId id) {
  const Actor& actor = actors_[id];
  directory_->set_actor(id, {static_cast<std::uint8_t>(participant_of(actor.placed.worker)), actor.state, actor.flags, actor.incarnation}, actor.message);
}

}  // namespace tv::supervisor
