#include "supervisor/checkpoints.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "config/log.h"
#include "config/units.h"
#include "shm/files/generations.h"

namespace tv::supervisor {
namespace {

constexpr Nanoseconds kLockPatience = 5s;   // a killed daemon's writer may be in the middle of a sync
constexpr int kLockAgainMs = 20;
constexpr Nanoseconds kLookOften = 100ms;   // at the words that actors commit to
constexpr Nanoseconds kLookSeldom = 1s;
constexpr Nanoseconds kFinishPatience = 60s;
constexpr Nanoseconds kSlow = 30s;          // for one order, before people are told
constexpr int kMaxTries = 3;                // a writer may die of a file, over and over

std::string in_quotes(const std::string& text) { return "\"" + text + "\""; }

}  // namespace

Result<std::unique_ptr<Checkpoints>> Checkpoints::create(const Surroundings& surroundings, ParticipantId writer) {
  std::unique_ptr<Checkpoints> checkpoints(new Checkpoints(surroundings));
  TV_TRY(checkpoints->lock());
  for (ActorId id = 0; id < surroundings.actors.all().size(); ++id)
    if (surroundings.actors[id].placed.checkpoint.on_disk()) checkpoints->plan_.add(id);
  checkpoints->writer_ = std::make_unique<WriterProcess>(
      WriterProcess::Surroundings{surroundings.loop, surroundings.config, surroundings.children, surroundings.recovery,
                                  surroundings.directory, surroundings.arena, surroundings.store},
      writer, checkpoints->lock_.get());
  auto* self = checkpoints.get();
  self->writer_->on_answer([self](const WriterAnswer& answer) { self->take(answer); });
  self->writer_->on_idle([self] { self->pump(); });
  self->writer_->on_death([self](const std::string& cause) { self->writer_died(cause); });
  return checkpoints;
}

Result<void> Checkpoints::lock() {
  const auto& directory = in_.config.checkpoints.directory;
  if (auto made = files::make_directory(directory); !made)
    return Error{made.error().code, "[checkpoints] directory: " + made.error().message};
  std::string path = directory + "/lock";
  lock_ = Fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock_) return system_error("[checkpoints] directory: cannot open " + path, errno);
  auto deadline = Deadline::in(kLockPatience);
  while (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return system_error("[checkpoints] directory: cannot lock " + path, errno);
    if (deadline.passed())
      return Error{Errc::kAlreadyExists, "[checkpoints] directory: another daemon keeps its checkpoints in " + directory +
                                             "; name another directory, or stop that daemon"};
    ::poll(nullptr, 0, kLockAgainMs);
  }
  return {};
}

void Checkpoints::start(std::function<void()> restored) {
  restored_ = std::move(restored);
  for (ActorId id = 0; id < in_.actors.all().size(); ++id)
    if (plan_.has(id)) jobs_.push_back({id, 0, Purpose::kStart, {}, {}});
  writer_->start();
  look_again();
  in_.loop.post([this] { check_restored(); });
}

// What is on disk is found out by writing: the same bytes make no other generation.
void Checkpoints::go_on(std::map<ActorId, std::string> withheld) {
  withheld_ = std::move(withheld);
  writer_->start();
  look_again();
}

void Checkpoints::finish(std::function<void()> done) {
  finished_ = std::move(done);
  // The actors are stopped: who waits for one of them to be restored waits for nothing.
  jobs_.resize(std::min<std::size_t>(jobs_.size(), restoring_ ? 1 : 0));
  look_timer_.reset();
  look();
  plan_.last_chance();
  patience_ = in_.loop.after(kFinishPatience, [this] {
    log::error("commits not on disk", {{"cause", "the disk has not taken them within " + config::format_duration(kFinishPatience)}});
    ending_ = true;
    writer_->kill();
    writer_->stop([] {});
    if (auto finished = std::exchange(finished_, nullptr)) finished();
  });
  pump();
}

bool Checkpoints::pending(ActorId actor) const {
  return plan_.pending(actor) || plan_.at_hand() == actor;
}

std::vector<std::string> Checkpoints::problems() const {
  std::vector<std::string> problems;
  if (auto busy = writer_->busy_for(); busy > kSlow)
    problems.push_back("the checkpoint writer (pid " + std::to_string(writer_->pid()) + ") has been at one thing for " + config::format_duration(busy / 1s * 1s) +
                       ": is the disk stuck, or the process stopped?");
  for (ActorId id = 0; id < in_.actors.all().size(); ++id)
    if (plan_.has(id) && !plan_.of(id).error.empty())
      problems.push_back("commits of actor " + in_quotes(in_.actors[id].placed.name) + " do not reach the disk: " + plan_.of(id).error);
  return problems;
}

void Checkpoints::hurry(ActorId actor) {
  look();
  plan_.hurry(actor);
  pump();
}

void Checkpoints::committed(ActorId actor) {
  if (expected_.erase(actor) > 0) hurry(actor);
}

Result<void> Checkpoints::restore(ActorId actor, std::uint64_t generation, std::function<bool()> stop, std::function<void()> placed) {
  if (records_[actor].going_on)
    return Error{Errc::kUnavailable, "actor " + in_quotes(in_.actors[actor].placed.name) + " is being restored already"};
  records_[actor].going_on = true;
  jobs_.push_back({actor, generation, Purpose::kOrder, std::move(stop), std::move(placed)});
  pump();
  return {};
}

void Checkpoints::retry(ActorId actor, std::function<void()> placed) {
  if (std::any_of(jobs_.begin(), jobs_.end(), [actor](const Job& job) { return job.actor == actor; })) return;
  jobs_.push_back({actor, 0, Purpose::kRetry, {}, std::move(placed)});
  pump();
}

Checkpoints::RestoreRecord Checkpoints::restores(ActorId actor) const {
  auto record = records_.find(actor);
  return record == records_.end() ? RestoreRecord() : record->second;
}

void Checkpoints::look_again() {
  auto often = std::clamp(in_.config.checkpoints.min_interval, kLookOften, kLookSeldom);
  look_timer_ = in_.loop.after(often, [this] {
    look();
    pump();
    if (!finished_ && !ending_) look_again();
  });
}

void Checkpoints::look() {
  for (ActorId id = 0; id < in_.actors.all().size(); ++id) {
    if (!plan_.has(id) || withheld(id)) continue;
    // The number first: the commit is then this one or a later one.
    auto commits = in_.arena.cell(id).commits.load(std::memory_order_acquire);
    plan_.look(id, shm::committed(in_.arena, id).bits(), commits);
  }
}

// Restores come first: somebody waits for them.
void Checkpoints::pump() {
  if (ending_) return;
  if (writer_->idle()) {
    if (!jobs_.empty()) {
      order_restore();
    } else if (auto write = plan_.next(monotonic_ns())) {
      order_write(*write);
    }
  }
  arm();
  check_finished();
}

void Checkpoints::arm() {
  auto due = plan_.due_ns();
  if (!due || !writer_->idle()) return due_timer_.reset();
  due_timer_ = in_.loop.after(Deadline::at(*due).left(), [this] { pump(); });
}

void Checkpoints::order_write(const CheckpointPlan::Write& write) {
  const Actor& actor = in_.actors[write.actor];
  writer_->ask([&](wire::WriterOrder::Builder out) {
    auto order = out.initWrite();
    auto subject = order.initActor();
    subject.setId(write.actor);
    subject.setName(actor.placed.name.c_str());
    subject.setType(actor.placed.type.c_str());
    order.setIncarnation(actor.incarnation);
    order.setOnlyIfChanged(write.only_if_changed);
  });
}

void Checkpoints::order_restore() {
  const Job& job = jobs_.front();
  const Actor& actor = in_.actors[job.actor];
  restoring_ = true;
  writer_->ask([&](wire::WriterOrder::Builder out) {
    auto order = out.initRestore();
    auto subject = order.initActor();
    subject.setId(job.actor);
    subject.setName(actor.placed.name.c_str());
    subject.setType(actor.placed.type.c_str());
    order.setGeneration(job.generation);
  });
}

void Checkpoints::take(const WriterAnswer& answer) {
  using Kind = WriterAnswer::Kind;
  const auto& info = answer.info;
  switch (answer.kind) {
    case Kind::kLetGo:
      return;
    case Kind::kRestored:
      return restoring_ ? take_restored(answer) : void();
    case Kind::kWritten:
    case Kind::kUnchanged: {
      if (!plan_.at_hand()) return;
      ActorId id = *plan_.at_hand();
      bool failed_before = plan_.failing() > 0;
      plan_.written({info.committed, info.generation, info.commit, info.time_ns, info.bytes}, answer.kind == Kind::kWritten, monotonic_ns());
      log::debug("generation written", {{"actor", in_.actors[id].placed.name}, {"generation", info.generation}, {"commit", info.commit}});
      if (failed_before && plan_.failing() == 0) log::notice("checkpoints work again", {{"actor", in_.actors[id].placed.name}});
      return;
    }
    case Kind::kNothing:
      if (restoring_) return end_job(std::nullopt);
      if (plan_.at_hand()) plan_.nothing(monotonic_ns());
      return;
    case Kind::kFailed:
      if (restoring_) return end_job(answer.failure);
      if (!plan_.at_hand()) return;
      ActorId id = *plan_.at_hand();
      if (plan_.failed(answer.failure.message, monotonic_ns(), realtime_ns()))
        log::error("checkpoint failed", {{"actor", in_.actors[id].placed.name},
                                         {"cause", answer.failure.message},
                                         {"next", "the actor goes on; tried again, and said again only when the cause changes"}});
      return;
  }
}

// The state is in the arena, held by the writer. From here it is held by us, too.
void Checkpoints::take_restored(const WriterAnswer& answer) {
  auto manifest = in_.recovery.store().get(answer.manifest);
  auto state = manifest ? shm::open_manifest(in_.recovery.store(), *manifest) : Result<shm::State>(manifest.error());
  if (!state) {
    end_job(state.error());
  } else {
    Held held{std::move(jobs_.front()), std::move(*manifest), std::move(*state), {}};
    jobs_.pop_front();
    restoring_ = false;
    held.on_disk.generation = answer.info.generation;
    held.on_disk.time_ns = answer.info.time_ns;
    held.on_disk.bytes = answer.info.bytes;
    ActorId id = held.job.actor;
    if (held.job.purpose == Purpose::kOrder && held.job.stop()) {
      waiting_.insert_or_assign(id, std::move(held));
    } else {
      place(std::move(held));
    }
  }
  writer_->ask([](wire::WriterOrder::Builder out) { out.setLetGo(); });
  check_restored();
}

// Nothing to restore, or no way to.
void Checkpoints::end_job(const std::optional<Error>& why) {
  Job job = std::move(jobs_.front());
  jobs_.pop_front();
  restoring_ = false;
  if (job.purpose == Purpose::kOrder) {
    auto& record = records_[job.actor];
    record.going_on = false;
    ++record.failed;
    record.error = why ? why->message : "there is no generation";
    log::error("state not restored", {{"actor", in_.actors[job.actor].placed.name}, {"cause", record.error}});
  } else if (why) {
    withhold(job.actor, why->message);
  } else {
    withheld_.erase(job.actor);
    if (job.placed) job.placed();
  }
  check_restored();
}

// In the place of the actor's commit. Nobody else writes that word: the actor does not run.
void Checkpoints::place(Held held) {
  ActorId id = held.job.actor;
  const auto& name = in_.actors[id].placed.name;
  shm::move_commit(in_.arena, id, held.manifest.handle());
  in_.recovery.keep_state(id);
  withheld_.erase(id);
  log::info("state restored", {{"actor", name}, {"generation", held.on_disk.generation}, {"bytes", held.on_disk.bytes}});
  if (held.job.purpose == Purpose::kOrder) {
    auto& record = records_[id];
    record.going_on = false;
    ++record.done;
    record.generation = held.on_disk.generation;
  } else if (plan_.has(id)) {
    plan_.restored(id, held.manifest.handle().bits(), held.on_disk);
  }
  if (held.job.placed) held.job.placed();
  // An older generation is the actor's state now, so it has to become the newest.
  if (plan_.has(id) && held.job.purpose == Purpose::kOrder) look();
}

void Checkpoints::withhold(ActorId actor, const std::string& why) {
  withheld_[actor] = why;
  const auto& name = in_.actors[actor].placed.name;
  in_.withhold(actor, "its state on disk cannot be restored: " + why + "; then tensorctl restart " + name);
  log::error("actor withheld", {{"actor", name}, {"cause", why}, {"next", "tensorctl restart " + name + " tries again"}});
}

void Checkpoints::actor_stopped(ActorId actor) {
  committed(actor);  // as far as it came
  auto waiting = waiting_.extract(actor);
  if (!waiting.empty()) place(std::move(waiting.mapped()));
}

void Checkpoints::worker_cleaned_up(std::size_t worker) {
  for (ActorId id : in_.actors.of_worker(worker)) actor_stopped(id);
}

void Checkpoints::writer_died(const std::string& cause) {
  if (restoring_) {
    restoring_ = false;
    if (++jobs_.front().tries == kMaxTries) {
      restoring_ = true;
      end_job(Error{Errc::kUnavailable, "the checkpoint writer died of it " + std::to_string(kMaxTries) + " times: " + cause});
    }
  } else if (plan_.at_hand()) {
    (void)plan_.failed("the checkpoint writer died: " + cause, monotonic_ns(), realtime_ns());
  }
  check_finished();
}

void Checkpoints::check_restored() {
  if (!restored_ || std::any_of(jobs_.begin(), jobs_.end(), [](const Job& job) { return job.purpose == Purpose::kStart; })) return;
  std::exchange(restored_, nullptr)();
}

void Checkpoints::check_finished() {
  if (!finished_ || ending_ || restoring_ || plan_.at_hand() || plan_.waiting()) return;
  ending_ = true;
  due_timer_.reset();
  if (auto failing = plan_.failing(); failing > 0)
    log::error("commits not on disk", {{"actors", failing}, {"cause", "their last attempts failed"}});
  writer_->stop([this] {
    patience_.reset();
    if (auto finished = std::exchange(finished_, nullptr)) finished();
  });
}

}  // namespace tv::supervisor
