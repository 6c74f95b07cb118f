// Another configuration for a daemon that runs: the change is planned, what is removed goes, and then this program is executed again with
// the other text. Part of Daemon; README.md, "Reload".
#include "config/load.h"
#include "config/log.h"
#include "supervisor/daemon.h"
#include "supervisor/preflight.h"
#include "supervisor/text.h"
#include "systemd/notify.h"

namespace tv::supervisor {
namespace {

constexpr Nanoseconds kDiskPatience = 10s;  // for the last commits of what is removed
constexpr Nanoseconds kLookAgain = 20ms;
constexpr const char* kWhole = "the configuration";
constexpr const char* kAfterRefusal = "everything stays as it was; see tensorctl config diff, and reload again";

Error wrong(const std::vector<config::Problem>& problems) {
  std::string text;
  for (const auto& problem : problems) text += (text.empty() ? "" : "\n") + config::to_string(problem);
  return {Errc::kInvalidArgument, text};
}

std::string refused_changes(const ReloadPlan& plan) {
  std::string text;
  for (const auto& change : plan.changes)
    if (change.means == Means::kRestartDaemon) text += (text.empty() ? "" : "\n") + sentence(change);
  return text;
}

}  // namespace

Known Daemon::known() const {
  Known known;
  for (const auto& worker : config_.workers) known.workers.push_back(worker.name);
  for (ActorId id = 0; id < actors_->all().size(); ++id) {
    const auto& placed = (*actors_)[id].placed;
    known.actors.push_back({placed.name, std::string(directory_view_->actor_type(id)), placed.worker, placed.settled, placed.present});
  }
  for (std::uint32_t i = 0; i < directory_view_->pool_count(); ++i) {
    auto pool = directory_view_->pool(i);
    known.pools.push_back({std::string(pool.name), pool.first, pool.size});
  }
  return known;
}

// Nothing is applied, and nothing is changed.
Result<std::pair<config::Config, ReloadPlan>> Daemon::plan(config::Loaded loaded) const {
  if (!loaded.ok()) return wrong(loaded.problems);
  auto missing = missing_on_this_machine(loaded.config);
  // As at the start: a user who has been deleted may do nothing, and is no reason to keep everything else as it was.
  std::erase_if(missing, [](const config::Problem& problem) { return problem.key == "access"; });
  if (!missing.empty()) return wrong(missing);
  if (runtime_dir_given_) loaded.config.supervisor.runtime_dir = config_.supervisor.runtime_dir;
  auto known = this->known();
  auto next = as_known(std::move(loaded.config), known);
  std::vector<std::size_t> hosts;
  for (const auto& actor : actors_->all()) hosts.push_back(actor.host);
  auto plan = plan_reload(config_, next, known, hosts);
  return std::pair(std::move(next), std::move(plan));
}

Result<ReloadPlan> Daemon::diff(const std::string& text, const std::string& name, const std::string& directory) {
  auto loaded = text.empty() ? config::load_file(source_.name) : config::load_text(text, name, directory, config::Machine::local());
  auto planned = TV_TRY(plan(std::move(loaded))).second;
  if (planned.needs_restart()) return planned;
  auto free = check_free_to_reload();
  if (free) free = check_reload(planned);
  if (free) attach_->release_reserved();
  else planned.in_the_way = free.error().message;
  return planned;
}

Result<void> Daemon::check_free_to_reload() const {
  if (stopping_ || !begun_)
    return Error{Errc::kUnavailable, stopping_ ? "the daemon is stopping" : "the daemon is still starting; try again when it is ready"};
  if (reload_) return Error{Errc::kUnavailable, "a reload is under way; try again when it is done"};
  if (upgrade_->going()) return Error{Errc::kUnavailable, "an upgrade is under way; try again when it is done"};
  return {};
}

// All that can be known before anything is touched. Numbers for new workers are reserved then.
Result<void> Daemon::check_reload(const ReloadPlan& plan) {
  if (plan.needs_restart()) return Error{Errc::kUnsupported, refused_changes(plan)};
  auto concerned = plan.remove;
  concerned.insert(concerned.end(), plan.restart_actors.begin(), plan.restart_actors.end());
  for (auto worker : plan.restart_workers)
    for (ActorId id : actors_->of_worker(worker)) concerned.push_back(id);
  for (const auto& growth : plan.grow)
    for (std::size_t p = 0; p < config_.pools.size(); ++p)
      if (config_.pools[p].name == growth.pool)
        for (ActorId id : actors_->possible_of_pool(p)) concerned.push_back(id);
  TV_TRY(maintenance_->upkeep().check_free(concerned));
  for (ActorId id : concerned)
    if (supervision_->suspended(id)) {
      const auto& name = (*actors_)[id].placed.name;
      return Error{Errc::kUnavailable, "\"" + name + "\" is suspended, with its mail; tensorctl resume " + name + " first"};
    }
  if (plan.new_workers > 0) TV_TRY(attach_->reserve(plan.new_workers));
  return {};
}

// Nobody can be told to come again: the file that is there when nothing is in the way any more is the one that counts.
void Daemon::on_hangup() {
  reload_again_ = !begun_ || reload_ || upgrade_->going();
  if (!reload_again_) (void)begin_reload();  // how it goes is logged
}

// Refusals are logged and remembered. Nothing has changed then.
Result<ReloadPlan> Daemon::begin_reload() {
  if (ready_) systemd::notify_reloading();
  auto begun = try_reload();
  if (!begun) {
    reload_status_.refused = begun.error().message;
    log::error(
        "reload refused",
        {{"file", source_.name}, {"cause", begun.error().message}, {"next", kAfterRefusal}});
  }
  if (!reload_ && ready_) systemd::notify_ready(told_status_);
  return begun;
}

Result<ReloadPlan> Daemon::try_reload() {
  TV_TRY(check_free_to_reload());
  reload_status_.refused.clear();
  auto loaded = config::load_file(source_.name);
  ConfigSource source{loaded.text, source_.name, source_.directory};
  for (const auto& warning : loaded.warnings) log::warning("configuration", {{"cause", config::to_string(warning)}});
  auto planned = TV_TRY(plan(std::move(loaded))).second;
  TV_TRY(check_reload(planned));
  if (planned.changes.empty()) {
    log::info("nothing to reload", {{"file", source_.name}});
    return planned;
  }
  Reload reload{std::move(source), std::move(planned), std::nullopt, std::nullopt};
  if (!reload.plan.remove.empty()) {
    std::vector<Unit> units;
    for (ActorId id : reload.plan.remove) units.push_back({(*actors_)[id].placed.name, {id}, std::nullopt});
    auto removal = maintenance_->begin(Chore::kRemove, kWhole, std::move(units));
    if (!removal) {
      attach_->release_reserved();
      return removal.error();
    }
    reload.removal = *removal;
  }
  log::notice("reload begins", {{"file", source_.name}, {"changes", reload.plan.changes.size()}});
  for (const auto& change : reload.plan.changes) log::info("configuration changes", {{"change", sentence(change)}});
  reload_.emplace(std::move(reload));
  reload_status_.going = true;
  look_soon();
  return reload_->plan;
}

void Daemon::look_at_reload() {
  if (reload_again_ && !reload_ && !upgrade_->going() && begun_ && !stopping_) {
    reload_again_ = false;
    (void)begin_reload();
  }
  if (!reload_ || reload_->offer) return;
  if (reload_->removal) {
    const auto* task = maintenance_->upkeep().find(*reload_->removal);
    if (task && task->state == Upkeep::State::kGoing) return;
    if (task && task->state != Upkeep::State::kDone) return end_reload("what is removed has not gone: " + task->why);
    bool on_its_way = false;
    for (ActorId id : reload_->plan.remove) {
      if (!checkpoints_ || !checkpoints_->on_disk(id) || !checkpoints_->pending(id)) continue;
      checkpoints_->hurry(id);
      on_its_way = on_its_way || checkpoints_->pending(id);
    }
    if (reload_->patience.ns == 0) reload_->patience = Deadline::in(kDiskPatience);
    if (on_its_way && !reload_->patience.passed()) {
      reload_->look_again = loop_->after(kLookAgain, [this] { look_soon(); });
      return;
    }
    if (on_its_way)
      log::warning("last commits not on disk", {{"cause", "the disk has not taken those of actors that are removed within 10 s"}});
  }
  offer_reload();
}

// The program that lies where ours lay says whether it can go on with the state as it is to be. It does nothing with it.
void Daemon::offer_reload() {
  auto offered = [this]() -> Result<void> {
    reload_->offer.emplace(TV_TRY(Ledger::create()));
    TV_TRY(reload_->offer->write(encode(handover(true))));
    return upgrade_->begin(program_, reload_->offer->fd());
  }();
  if (!offered) end_reload(offered.error().message);
}

// It is not done: those that were to go, and have gone already, are there again.
void Daemon::end_reload(const std::string& why) {
  look_soon();  // another one may have been asked for meanwhile
  if (!reload_) return;
  auto removal = reload_->removal;
  reload_.reset();
  attach_->release_reserved();
  reload_status_.going = false;
  reload_status_.refused = why;
  log::error("reload refused", {{"file", source_.name}, {"cause", why}, {"next", kAfterRefusal}});
  if (stopping_) return;
  if (removal) maintenance_->undo_removal(*removal, "the reload was refused");
  if (ready_) systemd::notify_ready(told_status_);
}

// What the state says of the reload. Reloaded: the configuration is the new one, all else as it is now.
void Daemon::tell_reload(Handover& state, bool reloaded) const {
  state.reload.reloads = reload_status_.done;
  state.reload.again = reload_again_;
  if (!reload_) return;
  if (!reloaded) {
    state.reload.removal = reload_->removal.value_or(0);
    return;
  }
  state.config = reload_->source;
  state.reload.going = true;
  for (const auto& growth : reload_->plan.grow) state.reload.grow.emplace_back(growth.pool, growth.size);
  for (auto worker : reload_->plan.restart_workers) state.reload.roll.push_back(config_.workers[worker].name);
  for (ActorId id : reload_->plan.restart_actors) {
    state.reload.roll.push_back((*actors_)[id].placed.name);
    state.actors[id].stale = true;
  }
}

// In the place of the one that has begun it.
void Daemon::finish_reload(const KeptReload& reload) {
  reload_status_.done = reload.reloads;
  reload_again_ = reload.again;
  if (reload_again_) look_soon();
  if (!reload.going) {
    if (reload.removal == 0) return;
    reload_status_.refused = "the supervisor died in the middle of it; try again";
    return maintenance_->undo_removal(reload.removal, "its supervisor died");
  }
  ++reload_status_.done;
  log::notice("configuration reloaded", {{"file", source_.name}, {"reloads", reload_status_.done}});
  for (const auto& [name, size] : reload.grow)
    for (std::size_t p = 0; p < config_.pools.size(); ++p) {
      if (config_.pools[p].name != name) continue;
      if (auto begun = maintenance_->scale(p, size); !begun)
        log::error("pool not scaled", {{"pool", name}, {"cause", begun.error().message}});
    }
  roll_reloaded(reload.roll);
}

// Who is down gets the new configuration when it comes back. One that has failed may have failed of the old one.
void Daemon::roll_reloaded(const std::vector<std::string>& names) {
  std::vector<Unit> units;
  for (const auto& worker : workers_->all())
    if (std::find(names.begin(), names.end(), worker.config->name) != names.end() && worker.state != WorkerState::kStopped &&
        worker.state != WorkerState::kFailed) {
      std::vector<ActorId> actors;
      for (ActorId id : actors_->of_worker(worker.index))
        if ((*actors_)[id].placed.present) actors.push_back(id);
      units.push_back({worker.config->name, std::move(actors), worker.index});
    }
  for (ActorId id = 0; id < actors_->all().size(); ++id) {
    const Actor& actor = (*actors_)[id];
    auto host = workers_->all()[actor.host].state;
    bool comes = actor.placed.present && actor.state != shm::ActorState::kStopped && actor.state != shm::ActorState::kSuspended &&
                 host != WorkerState::kStopped && host != WorkerState::kFailed;
    bool with_worker = std::any_of(units.begin(), units.end(), [&](const Unit& unit) { return unit.worker == actor.host; });
    if (comes && !with_worker && std::find(names.begin(), names.end(), actor.placed.name) != names.end())
      units.push_back({actor.placed.name, {id}, std::nullopt});
  }
  if (units.empty()) return;
  if (auto begun = maintenance_->begin(Chore::kRoll, kWhole, std::move(units)); !begun)
    log::error("not restarted", {{"cause", begun.error().message}, {"next", "what has changed is in force with the next process of each"}});
}

}  // namespace tv::supervisor
