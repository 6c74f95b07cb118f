#include "supervisor/daemon.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "config/log.h"
#include "config/units.h"
#include "ipc/admin_client.h"
#include "shm/huge_pages.h"
#include "shm/spill_file.h"
#include "supervisor/access_table.h"
#include "supervisor/status_line.h"
#include "systemd/notify.h"
#include "systemd/sockets.h"

namespace tv::supervisor {
namespace {

constexpr Nanoseconds kEndPatience = 2s;     // for the zygote and spares, whose socket has been closed
constexpr Nanoseconds kFlushPatience = 90s;  // more than checkpoints take at the most
constexpr Nanoseconds kStatusPause = 100ms;  // between two status lines
constexpr Nanoseconds kQuickStart = 60s;  // less than TimeoutStartSec= of the unit
constexpr Nanoseconds kProgressPatience = 30s;  // beyond start_timeout, until the next thing happens while the daemon starts
constexpr Nanoseconds kStuckPatience = 10s;  // beyond stop_grace, for processes that do not even die of SIGKILL

}  // namespace

void raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
    log::warning("limit of open files not raised", {{"cause", system_error("setrlimit", errno).message}});
}

Daemon::Daemon(config::Config config, Beginning beginning)
    : config_(std::move(config)),
      source_(std::move(beginning.source)),
      store_(std::move(beginning.store)),
      before_(std::move(beginning.before)),
      estate_(std::move(beginning.estate)),
      program_(std::move(beginning.program)),
      arguments_(std::move(beginning.arguments)),
      runtime_dir_given_(beginning.runtime_dir_given),
      log_(std::move(beginning.log)) {}

Result<std::unique_ptr<Daemon>> Daemon::create(config::Config config, Beginning beginning) {
  std::unique_ptr<Daemon> daemon(new Daemon(std::move(config), std::move(beginning)));
  raise_file_limit();
  daemon->loop_ = TV_TRY(EventLoop::create());
  TV_TRY(daemon->catch_signals());
  daemon->settle_access();
  auto program = TV_TRY(worker_program());
  TV_TRY(daemon->take_sockets());
  daemon->limits_.emplace(daemon->config_, WorkerLimits::open_groups(daemon->store_.durable()));
  TV_TRY(daemon->open_arena());

  // The zygote loads while the rest is made; it must not inherit our sockets, and does not: all are close-on-exec.
  daemon->children_.emplace(*daemon->loop_);
  TV_TRY(daemon->children_->start());
  daemon->zygote_.emplace(*daemon->loop_, *daemon->children_, program, daemon->config_.supervisor.start_timeout,
                          systemd::stderr_is_journal() || daemon->log_);
  TV_TRY(daemon->zygote_->start());
  daemon->spares_.emplace(*daemon->loop_, *daemon->children_, *daemon->zygote_);
  TV_TRY(daemon->open_sockets());
  TV_TRY(daemon->begin());
  return daemon;
}

Result<bool> Daemon::want_huge_pages() const {
  using config::HugePages;
  if (config_.arena.huge_pages == HugePages::kOff) return false;
  auto support = shm::huge_page_support();
  if (support.offered) return true;
  if (config_.arena.huge_pages == HugePages::kOn)
    return Error{Errc::kUnsupported, "[arena] huge_pages = \"on\": " + support.why_not + "; or write huge_pages = \"auto\""};
  log::notice("no huge pages", {{"cause", support.why_not}, {"next", "or write [arena] huge_pages = \"off\", which says nothing"}});
  return false;
}

Result<std::shared_ptr<shm::Arena>> Daemon::make_arena() {
  shm::ArenaOptions options;
  options.bytes = config_.arena.size_bytes;
  options.ring_bytes = config_.arena.ring_bytes;
  options.objects = config_.arena.objects;
  options.client_bytes = config_.arena.client_bytes;
  options.huge_pages = TV_TRY(want_huge_pages());
  options.patience = config_.arena.patience;
  return shm::Arena::create(options);
}

// The next supervisor finds the arena even when this one dies right after it has made it.
Result<void> Daemon::open_arena() {
  if (before_) TV_TRY(end_unknown_workers());
  arena_ = TV_TRY(before_ ? take_arena() : make_arena());
  if (!before_) {
    auto fds = TV_TRY(arena_->share(shm::Arena::Access::kWorker));
    for (std::size_t i = 0; auto* fd : {&fds.control, &fds.blocks, &fds.client_blocks}) {
      const char* name = kArenaNames[i++];
      if (!*fd) continue;
      store_.keep(name, fd->get());
      estate_[name] = std::move(*fd);
    }
  }
  directory_.emplace(arena_);
  directory_view_.emplace(arena_);
  if (before_) directory_->take_over();
  Incarnation mine = arena_->participant(kSupervisor).incarnation.load(std::memory_order_relaxed) + 1;
  directory_->set_participant(kSupervisor, shm::ParticipantKind::kSupervisor, ::getpid(), mine, "supervisor");
  actors_.emplace(TV_TRY(before_ ? Actors::go_on(config_, *directory_, *arena_, before_->handover) : Actors::create(config_, *directory_)));
  auto store = TV_TRY(shm::Store::open(arena_, kSupervisor));
  recovery_.emplace(*loop_, store);
  dead_letters_.emplace(store);
  replay_.emplace(*loop_, store);
  bell_ = TV_TRY(Bell::create(*loop_, arena_));
  TV_TRY(open_names(store));
  if (before_) {
    keep_letters();
    recovery_->take_over(every_actor());
  }
  memory_.emplace(arena_, config_.arena.prefault_bytes);
  return {};
}

Result<void> Daemon::open_names(const std::shared_ptr<shm::Store>& store) {
  const auto& arena = config_.arena;
  if (!arena.spill.empty()) {
    spiller_ = TV_TRY(Spiller::create(*loop_, arena.spill, before_.has_value()));
    if (!before_) TV_TRY(shm::set_spill_directory(*arena_, arena.spill));
  }
  names_.emplace(store, *directory_, shm::Cache::Limits{arena.cache_bytes, spiller_ ? arena.spill_bytes : 0}, spiller_.get(), loop_.get());
  if (spiller_) spiller_->on_written([this](shm::SpillKey key, const Result<void>& written) { names_->spill_ended(key, written.ok()); });
  if (before_) names_->cache().take_over([this](shm::SpillKey key) { return spiller_ ? spiller_->file_bytes(key) : 0; });
  bell_->on_bell([this] { names_->make_room(); });
  return {};
}

void Daemon::settle_access() {
  std::vector<std::string> unknown;
  access_ = Access::of(config_.access, ::geteuid(), &unknown);
  for (const auto& name : unknown)
    log::warning("unknown in [access]", {{"name", name}, {"cause", "this machine has no such user or group; nobody may do anything by this entry"}});
}

// Where somebody besides us may do as much, everybody can reach the socket, and the kernel's word of who it is decides.
unsigned Daemon::socket_mode(Role least) const { return access_->most_of_others() >= least ? 0666 : 0600; }

// Those of the service manager; then the directory is ours, with those that we make ourselves.
Result<void> Daemon::take_sockets() {
  const auto& dir = config_.supervisor.runtime_dir;
  std::set<std::string> passed;
  for (const auto& [name, socket] : estate_) {
    if (is_inherited(name)) continue;
    if (name != kPassedAdminName) {
      log::warning("passed socket not used", {{"name", name}, {"cause", std::string("only \"") + kPassedAdminName + "\" is known (FileDescriptorName=)"}});
      continue;
    }
    auto path = ipc::admin_socket(dir);
    TV_TRY(systemd::check_listens_on(socket, path, SOCK_STREAM));
    passed.insert(path);
    store_.note(name, socket.get());  // for a program that takes our place; the manager has it in any case
  }
  runtime_dir_.emplace(TV_TRY(RuntimeDir::claim(dir, std::move(passed), before_.has_value(), access_->most_of_others() > Role::kNone)));
  return {};
}

Result<void> Daemon::open_sockets() {
  const auto& dir = runtime_dir_->path();
  zmq_.emplace();
  gate_ = TV_TRY(ipc::Gate::open(*zmq_, [keeper = std::make_shared<Doorkeeper>(access_, denials_)](const std::string& domain, const ipc::PeerCredentials& peer) {
    return keeper->admit(domain, peer);
  }));
  auto control_path = ipc::control_socket(dir), admin_path = ipc::admin_socket(dir);
  auto control = TV_TRY(listener(kControlName, control_path, SOCK_STREAM, 0600));
  control_.emplace(*loop_, TV_TRY(ipc::Router::adopt(*zmq_, control_path, std::move(control), limits::kMaxControlMessageBytes, kControlDomain)), *names_, *dead_letters_,
                   *recovery_);
  auto admin = TV_TRY(listener(estate_.contains(kPassedAdminName) ? kPassedAdminName : kAdminName, admin_path, SOCK_STREAM, socket_mode(Role::kObserve)));
  admin_.emplace(*loop_, TV_TRY(ipc::Router::adopt(*zmq_, admin_path, std::move(admin), limits::kMaxControlMessageBytes, kAdminDomain)), access_, denials_);
  auto attach = TV_TRY(listener(kAttachName, ipc::attach_socket(dir), SOCK_SEQPACKET, socket_mode(kAttachRole)));
  auto first_client = static_cast<ParticipantId>(config_.workers.size()) + 1;
  if (!config_.checkpoints.directory.empty()) {
    TV_TRY(end_writer(first_client));
    if (before_ && before_->handover.workers.size() < config_.workers.size())
      TV_TRY(end_writer(static_cast<ParticipantId>(before_->handover.workers.size()) + 1));
    checkpoints_ = TV_TRY(Checkpoints::create({*loop_, config_, *children_, *recovery_, *directory_, *arena_, *actors_, store_,
                                                [this](ActorId actor, const std::string& why) { supervision_->withhold(actor, why); }},
                                               first_client++));
  }
  attach_.emplace(*loop_, std::move(attach), first_client, *arena_, *directory_, *directory_view_, *recovery_, *names_, store_, access_, denials_, config_.clients);
  return {};
}

Result<void> Daemon::catch_signals() {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // a log file at its limit is a write error, not the end
  signals_.push_back(TV_TRY(loop_->on_signal(SIGTERM, [this] { on_terminate("SIGTERM"); })));
  signals_.push_back(TV_TRY(loop_->on_signal(SIGINT, [this] { on_terminate("SIGINT"); })));
  signals_.push_back(TV_TRY(loop_->on_signal(SIGHUP, [this] { on_hangup(); })));
  return {};
}

Result<void> Daemon::begin() {
  supervision_.emplace(*loop_, config_, *actors_, *arena_, *control_, [this] { look_soon(); });
  workers_.emplace(Workers::Surroundings{*loop_, config_, ipc::control_socket(runtime_dir_->path()), *children_, *spares_, *actors_, *supervision_, *recovery_,
                                         *directory_, *directory_view_, *arena_, *limits_, *control_, [this] { look_soon(); },
                                         [this](ActorId actor) { if (checkpoints_) checkpoints_->actor_stopped(actor); },
                                         [this](std::size_t worker) { if (checkpoints_) checkpoints_->worker_cleaned_up(worker); },
                                         [this](ActorId actor, std::uint64_t token) { maintenance_->settled(actor, token); },
                                         [this](std::size_t worker) { if (stopping_) supervision_->note_forced(worker, "its process did not end in time, its actors were down"); },
                                         [this](ActorId actor) { if (checkpoints_) checkpoints_->committed(actor); }, &store_});
  operations_.emplace(config_, *workers_, *actors_, *supervision_, *dead_letters_, *replay_, *names_, checkpoints_.get());
  maintenance_.emplace(Maintenance::Surroundings{*loop_, config_, *workers_, *actors_, *supervision_, *control_,
                                                  [this](const Unit& unit) { return operations_->restart_unit(unit); }});
  operations_->use(*maintenance_);
  upgrade_.emplace(*loop_, *children_, [this](const std::string& program) {
    replacement_ = program;
    loop_->quit();
  }, [this](const std::string& why) { end_reload(why); });
  control_->on_dead_letter([this] { note_state(); });
  TV_TRY(control_->start(*workers_, *actors_));
  TV_TRY(attach_->start());
  TV_TRY(admin_->start(DaemonView{config_, *workers_, *actors_, *supervision_, *attach_, *recovery_, *memory_, *arena_, *directory_view_, *dead_letters_,
                                  names_->cache(), started_ns_, [this] { return health(); }, [this] { return malformed(); }, checkpoints_.get(), maintenance_->upkeep(), *upgrade_, takeovers_, *denials_, reload_status_, log_.get()},
                       *operations_, {[this] { stop("ordered by an administrator"); }, [this](const std::string& program) { return begin_upgrade(program); },
                                      [this](const std::string& text, const std::string& name, const std::string& directory) { return diff(text, name, directory); },
                                      [this] { return begin_reload(); }}));
  loop_->feed_watchdog();
  log::info("daemon started", {{"version", TV_VERSION},
                               {"pid", ::getpid()},
                               {"runtime_dir", runtime_dir_->path()},
                               {"arena", config::format_size(config_.arena.size_bytes)},
                               {"workers", config_.workers.size()},
                               {"actors", actors_->present_count()}});
  std::map<std::string, std::size_t> spares;
  for (const auto& worker : config_.workers) spares[worker.group] = worker.spares;
  for (const auto& [group, count] : spares) spares_->keep(group, count);
  if (before_)
    go_on();
  else if (checkpoints_)
    checkpoints_->start([this] { start_workers(); });
  else
    start_workers();
  return {};
}

// Actors begin with what was on disk, so it has to be in the arena by now.
void Daemon::start_workers() {
  begun_ = true;
  if (!stopping_) {
    supervision_->start(*workers_);
    workers_->start_all();
  }
  look_soon();
}

Result<void> Daemon::run() {
  TV_TRY(loop_->run());
  if (!replacement_.empty()) return replace();
  log::info("daemon stopped", {{"pid", ::getpid()}});
  return {};
}

void Daemon::on_terminate(const char* signal) {
  if (!stopping_) return stop(signal);
  log::warning("killing workers", {{"cause", std::string(signal) + " again"}});
  for (const auto& worker : workers_->all())
    if (has_process(worker.state)) supervision_->note_forced(worker.index, "killed, since " + std::string(signal) + " came again");
  workers_->stop_all();
  workers_->kill_all();
  children_->kill_dismissed();
}

void Daemon::stop(const std::string& why) {
  if (std::exchange(stopping_, true)) return;
  if (reload_) end_reload("the daemon is stopping");
  log::info("daemon stopping", {{"cause", why}, {"grace", config::format_duration(config_.supervisor.stop_grace)}});
  systemd::notify_stopping("stopping workers");
  // Whoever starts after this is to start anew.
  store_.drop(kLedgerName);
  ledger_.reset();
  attach_->close();
  // Nothing runs before begun_, and the supervision does not know the workers yet.
  workers_->wind_down();
  if (begun_) supervision_->wind_down();
  look_soon();
}

// A worker goes when all of its actors are down: its process, too, has stop_grace.
void Daemon::stop_more() {
  std::size_t left = 0;
  for (const auto& worker : workers_->all()) {
    bool runs = supervision_->runs_on(worker.index);
    left += (runs ? 2u : 0u) + (has_process(worker.state) ? 1u : 0u);
    if (!runs) workers_->stop(worker.index);
  }
  for (ActorId id = 0; id < actors_->all().size(); ++id) left += supervision_->tree().runs(supervision_->node_of(id)) ? 1 : 0;
  if (deadline_ && left == left_to_stop_) return;
  left_to_stop_ = left;
  systemd::notify_progress("stopping; actors that still run: " + std::to_string(actors_->ready_count()), config_.supervisor.stop_grace + 2 * kStuckPatience);
  // Everyone is killed when his grace is over; what does not even then go on in time is stuck in the kernel.
  deadline_ = loop_->after(config_.supervisor.stop_grace + kStuckPatience, [this] {
    log::error("workers left behind", {{"cause", "they have not ended after SIGKILL"}});
    end();
  });
}

void Daemon::report_forced() const {
  const auto& forced = supervision_->forced();
  if (forced.empty()) return log::info("everything has stopped by itself", {});
  std::string what;
  for (const auto& each : forced) what += (what.empty() ? "" : "; ") + each;
  log::warning("stop was forced", {{"count", forced.size()}, {"what", what}});
}

// Once after a burst of changes.
void Daemon::look_soon() {
  if (std::exchange(look_soon_, true)) return;
  loop_->post([this] {
    look_soon_ = false;
    look();
  });
}

void Daemon::look() {
  if (stopping_) {
    if (flushing_) return;
    stop_more();
    if (workers_->none_active()) flush();
    return;
  }
  if (begun_) maintenance_->look();
  look_at_reload();
  note_state();
  tell_manager();
}

void Daemon::tell_manager() {
  auto standing = standing_of(workers_->all(), *actors_);
  bool settled = supervision_->settled() && workers_settled();
  // Who has failed before the daemon was ready keeps it from being so, until somebody has put it right.
  bool held_up = !ready_ && !was_ready_ && settled && !standing.missing.empty();
  std::string status = held_up ? not_ready_line(standing) : status_line(standing);
  if (!ready_ && begun_ && (was_ready_ || (settled && !held_up))) {
    ready_ = true;
    log::info("daemon ready", {{"workers", standing.workers_ready},
                               {"actors", standing.actors_ready},
                               {"health", health()},
                               {"ms", (realtime_ns() - started_ns_) / 1'000'000}});
    systemd::notify_ready(status);
  } else if (status != told_status_) {
    // Workers may die by the hundred in a second; nobody reads so fast.
    auto pause = kStatusPause - Nanoseconds{monotonic_ns() - told_ns_};
    if (pause > 0ns) {
      status_later_ = loop_->after(pause, [this] { look_soon(); });
      return;
    }
    told_ns_ = monotonic_ns();
    if (held_up) log::error("daemon not ready", {{"cause", status}});
    // What is still under way may take its time, as long as it goes on. What is done soon needs no more than the manager gives by itself.
    bool takes_long = !ready_ && !held_up && realtime_ns() - started_ns_ > kQuickStart.count();
    if (takes_long)
      systemd::notify_progress(status, config_.supervisor.start_timeout + kProgressPatience);
    else
      systemd::notify_status(status);
  }
  told_status_ = status;
}

// The actors' last commits, before anybody takes the arena down.
void Daemon::flush() {
  if (std::exchange(flushing_, true)) return;
  deadline_.reset();
  report_forced();
  if (checkpoints_) systemd::notify_progress("stopping: the last commits go to disk", kFlushPatience);
  if (checkpoints_)
    checkpoints_->finish([this] { finish(); });
  else
    finish();
}

// The workers are gone: now those who only wait.
void Daemon::finish() {
  if (std::exchange(finishing_, true)) return;
  zygote_->stop();
  spares_->stop();
  deadline_ = loop_->after(kEndPatience, [this] {
    children_->kill_dismissed();
    deadline_ = loop_->after(kEndPatience, [this] { end(); });
  });
  children_->when_none([this] { end(); });
}

void Daemon::end() {
  children_->kill_strangers();
  limits_->close();
  store_.drop_all();
  loop_->quit();
}

bool Daemon::workers_settled() const {
  return begun_ && std::all_of(workers_->all().begin(), workers_->all().end(), [](const Worker& worker) {
    return worker.state == WorkerState::kReady || worker.state == WorkerState::kFailed || worker.state == WorkerState::kStopped;
  });
}

bool Daemon::workers_well() const {
  return std::all_of(workers_->all().begin(), workers_->all().end(),
                     [](const Worker& worker) { return worker.state == WorkerState::kReady || worker.state == WorkerState::kStopped; });
}

std::string Daemon::health() const {
  if (stopping_) return "stopping";
  if (!ready_ && !(supervision_->settled() && workers_settled())) return "starting";
  return workers_well() && actors_->all_well() && supervision_->groups_well() && actors_->unhealthy().empty() && failing_commits(*actors_, *arena_).empty() && (!checkpoints_ || checkpoints_->problems().empty())
             ? "ok"
             : "degraded";
}

std::uint64_t Daemon::malformed() { return control_->malformed() + admin_->malformed() + attach_->malformed(); }

}  // namespace tv::supervisor
