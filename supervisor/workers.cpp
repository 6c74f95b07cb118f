#include "supervisor/workers.h"

#include <capnp/message.h>

#include <algorithm>

#include "config/log.h"
#include "config/units.h"
#include "ipc/seqpacket.h"
#include "shm/exit_note.h"
#include "supervisor/fault_report.h"

namespace tv::supervisor {
namespace {

constexpr Nanoseconds kLastWordPatience = 200ms;
constexpr Nanoseconds kSettlesIn = 500ms;

std::string span(std::int64_t ns) { return config::format_duration(Nanoseconds{ns}); }

}  // namespace

Workers::Workers(Surroundings surroundings)
    : in_(std::move(surroundings)),
      workers_(in_.config.workers.size()),
      mailboxes_(in_.config.workers.size()),
      watchdogs_(in_.loop, in_.config, in_.directory_view, in_.actors,
                 [this](std::size_t index, int signal, const std::string& why) { strike(workers_[index], signal, why); }) {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    workers_[i].config = &in_.config.workers[i];
    workers_[i].index = i;
    // From the beginning, so that mail can be sent to actors that are still to be started. An arena that was taken over knows them, but for new ones,
    // whose numbers were perhaps a client's or the checkpoint writer's.
    const auto& slot = in_.arena.participant(workers_[i].participant());
    if (slot.kind.load(std::memory_order_acquire) != static_cast<std::uint32_t>(shm::ParticipantKind::kWorker))
      in_.directory.set_participant(workers_[i].participant(), shm::ParticipantKind::kWorker, 0, 0, workers_[i].config->name);
  }
}

void Workers::start_all() {
  for (std::size_t i = 0; i < workers_.size(); ++i) start(i);
}

void Workers::stop_all() {
  for (std::size_t i = 0; i < workers_.size(); ++i) stop(i);
}

void Workers::stop(std::size_t index) {
  workers_[index].next_chance.reset();
  raise(index, WorkerEvent::kStop);
}

// Somebody else's decision: earlier deaths, and failures on probation, no longer count.
void Workers::restart(std::size_t index) {
  workers_[index].probation = {};
  raise(index, WorkerEvent::kRestart);
}

void Workers::reset_failed(std::size_t index) {
  if (workers_[index].state == WorkerState::kFailed) return restart(index);
  workers_[index].probation = {};
  workers_[index].history = {};
}

Hosting Workers::hosting(std::size_t index) const {
  const Worker& worker = workers_[index];
  switch (worker.state) {
    case WorkerState::kStopped: return Hosting::kStopped;
    case WorkerState::kFailed: return Hosting::kFailed;
    case WorkerState::kStopping:
    case WorkerState::kCycling: return worker.child ? Hosting::kLeaving : Hosting::kNot;
    default: return worker.child ? Hosting::kLive : Hosting::kNot;
  }
}

void Workers::kill(std::size_t index, Cause cause) {
  if (!workers_[index].child) return;
  if (!workers_[index].known_cause) workers_[index].known_cause = std::move(cause);
  kill(workers_[index]);
}

void Workers::kill_all() {
  for (auto& worker : workers_)
    if (has_process(worker.state)) kill(worker);
}

Result<void> Workers::signal(std::size_t index, int number) {
  Worker& worker = workers_[index];
  if (!worker.child)
    return Error{Errc::kUnavailable,
                 "worker \"" + worker.config->name + "\" has no process: it is " + std::string(state_name(worker.state))};
  return worker.child->signal(number);
}

Result<void> Workers::inject(std::size_t index, const Fault& fault) {
  const Worker& worker = workers_[index];
  if (worker.state != WorkerState::kReady)
    return Error{Errc::kUnavailable, "worker \"" + worker.config->name + "\" is " + std::string(state_name(worker.state)) + "; it has to be ready for this fault"};
  in_.orders.inject(worker.participant(), kNoActor, fault);
  return {};
}

Result<void> Workers::inject_into_actor(ActorId id, const Fault& fault) {
  const Actor& actor = in_.actors[id];
  if (actor.state != shm::ActorState::kReady)
    return Error{Errc::kUnavailable, "actor \"" + actor.placed.name + "\" is " + std::string(shm::actor_state_name(actor.state)) + "; it has to be ready for this fault"};
  in_.orders.inject(workers_[actor.host].participant(), id, fault);
  return {};
}

bool Workers::none_active() const {
  return std::all_of(workers_.begin(), workers_.end(),
                     [](const Worker& worker) { return worker.state == WorkerState::kStopped || worker.state == WorkerState::kFailed; });
}

// Events that come while one is being dealt with wait for their turn.
void Workers::raise(std::size_t index, WorkerEvent event) {
  Worker& worker = workers_[index];
  worker.events.push_back(event);
  if (worker.events.size() > 1) return;
  while (!worker.events.empty()) {
    auto step = next_step(worker.state, worker.events.front());
    worker.state = step.next;
    perform(worker, step.actions);
    worker.events.pop_front();
  }
  in_.changed();
}

void Workers::perform(Worker& worker, std::uint32_t actions) {
  if (actions & kDisarm) worker.timer.reset();
  if (actions & kForgive) worker.history = {};
  if (actions & kCancel) in_.spares.cancel(std::exchange(worker.ticket, 0));
  if (actions & kDiscard) discard(worker);
  if (actions & kAcquire) acquire(worker);
  if (actions & kAssign) assign(worker);
  if (actions & kSendStop) {
    watchdogs_.stand_down(worker.index);  // stop_grace is what counts from now on
    in_.orders.stop(worker.participant());
  }
  if (actions & kKill) kill(worker);
  if (actions & kArmStart) arm(worker, in_.config.supervisor.start_timeout, WorkerEvent::kStartTimeout);
  if (actions & kArmGrace) arm(worker, in_.config.supervisor.stop_grace, WorkerEvent::kGraceOver);
  if (actions & kArmBackoff) arm(worker, worker.delay, WorkerEvent::kBackoffOver);
  if (actions & kReportReady) report_ready(worker);
  if (actions & kReportStopped) report_stopped(worker);
  if (actions & kReportFailed) report_failed(worker);
}

void Workers::acquire(Worker& worker) {
  worker.message.clear();
  worker.next_chance.reset();
  in_.supervision.worker_changed(worker.index);
  if (fetch_home(worker)) ask_for_process(worker);
}

void Workers::ask_for_process(Worker& worker) {
  worker.ticket = in_.spares.acquire(worker.config->group, [this, index = worker.index](Parked parked) {
    workers_[index].ticket = 0;
    workers_[index].arrived = std::move(parked);
    raise(index, WorkerEvent::kProcess);
  });
}

void Workers::discard(Worker& worker) {
  if (!worker.arrived) return;
  worker.arrived->socket.reset();
  in_.children.dismiss(std::move(worker.arrived->child));
  worker.arrived.reset();
}

void Workers::assign(Worker& worker) {
  worker.child = std::move(worker.arrived->child);
  worker.socket = std::move(worker.arrived->socket);
  worker.output = std::move(worker.arrived->output);
  if (worker.output) worker.output->rename(worker.config->name);
  worker.arrived.reset();
  worker.last_pid = worker.pid();
  ++worker.incarnation;
  worker.assigned_ns = monotonic_ns();
  worker.known_cause.reset();
  worker.last_word.clear();
  worker.child->on_exit([this, index = worker.index](const Cause& cause, std::int64_t noticed) { left(workers_[index], cause, noticed); });
  in_.directory.set_participant(worker.participant(), shm::ParticipantKind::kWorker, worker.pid(), worker.incarnation, worker.config->name);

  capnp::MallocMessageBuilder message;
  write_assignment({worker.config, worker.participant(), worker.incarnation, in_.control_endpoint, in_.config.supervisor.log_level,
                    in_.supervision.assign(worker.index), worker.last_death, static_cast<ParticipantId>(in_.config.workers.size()) + 1,
                    in_.config.clients.calls_per_second,
                    in_.config.supervisor.orphans,
                    in_.config.supervisor.orphan_grace},
                   message.initRoot<wire::Assignment>());
  // To be moved takes the kernel some milliseconds, which a restart has better uses for.
  if (in_.limits.admit(worker.index, worker.pid()))
    worker.settles = in_.loop.after(kSettlesIn, [this, index = worker.index] { in_.limits.settle(index, workers_[index].pid()); });
  // Before the process becomes a worker: one that is not in the store when we die ends with us.
  if (in_.store) {
    in_.store->keep(process_name(worker.index, worker.incarnation), worker.child->pidfd());
    in_.store->keep(socket_name(worker.index, worker.incarnation), worker.socket.get());
    if (worker.output) in_.store->keep(output_name(worker.index, worker.incarnation), worker.output->fd());
  }
  auto arena = in_.arena.share(shm::Arena::Access::kWorker);
  auto sent = arena ? ipc::send_packet(worker.socket.get(), message, arena->numbers()) : Result<void>(arena.error());
  log::info("worker starting", {{"worker", worker.config->name}, {"pid", worker.pid()}, {"incarnation", worker.incarnation}});
  // A process that is gone already is reported by its pidfd.
  if (!sent && sent.error().code != Errc::kUnavailable) refuse(worker, sent.error());
}

void Workers::refuse(Worker& worker, const Error& why) {
  // What is too large now is too large next time.
  worker.known_cause = could_not_start("its assignment cannot be sent: " + why.message, why.code == Errc::kLimit);
  kill(worker);
}

void Workers::kill(Worker& worker) {
  if (!worker.child) return;
  auto sent = worker.child->signal(SIGKILL);
  if (!sent && sent.error().code != Errc::kUnavailable)
    log::error("worker not killed", {{"worker", worker.config->name}, {"cause", sent.error().message}});
}

void Workers::strike(Worker& worker, int signal, const std::string& why) {
  if (!worker.child) return;
  worker.known_cause = hung(why);
  worker.message = why;
  if (signal == SIGKILL) return kill(worker);
  if (auto sent = worker.child->signal(signal); !sent) log::debug("signal not sent", {{"cause", sent.error().message}});
}

void Workers::arm(Worker& worker, Nanoseconds delay, WorkerEvent event) {
  worker.timer = in_.loop.after(delay, [this, index = worker.index, event] {
    Worker& late = workers_[index];
    late.timer.reset();
    if (event == WorkerEvent::kStartTimeout)
      late.known_cause = could_not_start(
          "not ready within " + config::format_duration(in_.config.supervisor.start_timeout) + " ([supervisor] start_timeout)", false);
    if (event == WorkerEvent::kGraceOver) in_.forced(index);
    if (event == WorkerEvent::kGraceOver)
      late.known_cause = Cause{"killed by SIGKILL: did not stop within " + config::format_duration(in_.config.supervisor.stop_grace) +
                               " ([supervisor] stop_grace)"};
    raise(index, event);
  });
}

void Workers::report_ready(Worker& worker) {
  std::int64_t now = monotonic_ns();
  worker.ready_ns = now;
  worker.ready_realtime_ns = realtime_ns();
  worker.message.clear();
  watchdogs_.begin(worker.index, worker.pid());
  if (!worker.death_noticed_ns) {
    log::info("worker ready",
              {{"worker", worker.config->name}, {"pid", worker.pid()}, {"start_ms", (now - worker.assigned_ns) / 1'000'000}});
    return call_stranded();
  }
  worker.last_restart_ns = now - *worker.death_noticed_ns;
  worker.death_noticed_ns.reset();
  double ms = static_cast<double>(worker.last_restart_ns) / 1e6;
  log::info("worker ready",
            {{"worker", worker.config->name}, {"pid", worker.pid()}, {"incarnation", worker.incarnation}, {"restart_ms", ms}});
  call_stranded();
}

void Workers::report_stopped(Worker& worker) {
  worker.death_noticed_ns.reset();
  worker.message.clear();
  in_.supervision.worker_changed(worker.index);
  mailboxes_.not_wanted(worker.index);
  log::info("worker stopped", {{"worker", worker.config->name}});
}

void Workers::report_failed(Worker& worker) {
  worker.death_noticed_ns.reset();
  log::error("worker given up",
             {{"worker", worker.config->name}, {"cause", worker.message}, {"next", "tensorctl restart " + worker.config->name}});
  move_away(worker);
  // Those that live elsewhere are not called back to a worker that may fail again: an administrator may do that.
  if (worker.config->probation > 0ns && mailboxes_.at_home(worker.index)) {
    auto wait = wait_after_failure(worker.probation, worker.config->probation, monotonic_ns());
    worker.next_chance = in_.loop.after(wait, [this, index = worker.index] { give_chance(workers_[index]); });
  }
}

void Workers::give_chance(Worker& worker) {
  worker.next_chance.reset();
  worker.probation.chance_ns = monotonic_ns();
  log::notice("worker gets another chance", {{"worker", worker.config->name}});
  raise(worker.index, WorkerEvent::kRestart);
}

// The kernel's word of an end may be here before the process's own last one, which comes by way of ZeroMQ's thread.
void Workers::left(Worker& worker, Cause cause, std::int64_t noticed_ns) {
  if (!cause.hopeless || !worker.last_word.empty()) return ended(worker, std::move(cause), noticed_ns);
  worker.when_last_word = [this, &worker, cause, noticed_ns] { ended(worker, cause, noticed_ns); };
  worker.last_word_timer = in_.loop.after(kLastWordPatience, [this, &worker] { have_last_word(worker); });
}

void Workers::have_last_word(Worker& worker) {
  worker.last_word_timer.reset();
  if (auto go_on = std::exchange(worker.when_last_word, {})) go_on();
}

void Workers::ended(Worker& worker, Cause cause, std::int64_t noticed_ns) {
  pid_t pid = worker.last_pid;  // the child has forgotten it
  bool asked = worker.state == WorkerState::kStopping || worker.state == WorkerState::kCycling;
  if (cause.unseen)
    if (auto code = shm::exit_note(in_.arena, worker.participant())) cause = exited(*code);
  std::string fault = take_fault_report(in_.directory_view, worker.participant());
  watchdogs_.end(worker.index);
  worker.settles.reset();
  in_.limits.ended(worker.index);
  if (worker.known_cause) {
    std::string how = std::exchange(cause, *worker.known_cause).text;
    if (cause.kind == CauseKind::kHang) cause.text += "; " + how;
  } else if (auto memory = cause.unseen || (cause.kind == CauseKind::kSignal && cause.number == SIGKILL) ? in_.limits.out_of_memory(worker.index) : std::nullopt) {
    cause = out_of_memory(*memory);
  } else if (cause.fault && !fault.empty()) {
    cause.text += ": " + fault;
  }
  if (!asked) cause = unasked(std::move(cause));
  if (cause.hopeless && !worker.last_word.empty()) cause.text += ": " + worker.last_word;
  bool was_ready = worker.ready_realtime_ns != 0;
  Nanoseconds healthy{was_ready ? noticed_ns - worker.ready_ns : 0};
  worker.ready_realtime_ns = 0;
  worker.child.reset();
  worker.socket.reset();
  if (in_.store) {
    in_.store->drop(process_name(worker.index, worker.incarnation));
    in_.store->drop(socket_name(worker.index, worker.incarnation));
    in_.store->drop(output_name(worker.index, worker.incarnation));
  }
  // What it said last comes before what is said of its end.
  if (worker.output) worker.output->finish();
  worker.output.reset();
  if (!asked || cause.abnormal) {
    worker.last_death = cause.text;
    worker.last_death_ns = realtime_ns();
  }
  in_.orders.forget(worker.participant());

  auto level = asked && !cause.abnormal ? log::Level::kInfo : log::Level::kWarning;
  log::event(level, asked ? "worker ended" : "worker died",
             {{"worker", worker.config->name}, {"pid", pid}, {"cause", cause.text}, {"ran_for", span(noticed_ns - worker.assigned_ns)}});
  auto verdict = in_.supervision.worker_ended(worker.index, {asked, cause, gives_up(worker.config->causes, cause)});
  in_.directory.set_participant(worker.participant(), shm::ParticipantKind::kWorker, 0, worker.incarnation, worker.config->name);
  in_.recovery.clean_up(worker.participant(), in_.actors.of_worker(worker.index), worker.config->name, cause.text);
  in_.cleaned_up(worker.index);
  auto home = bring_home_from(worker.index);

  if (winding_down_) {
    raise(worker.index, WorkerEvent::kStop);
    return raise(worker.index, WorkerEvent::kDeathNow);
  }
  raise(worker.index, asked ? WorkerEvent::kDeathNow : decide_restart(worker, cause, verdict, healthy, noticed_ns));
  for (auto index : home)
    if (workers_[index].state == WorkerState::kForking && workers_[index].ticket == 0) ask_for_process(workers_[index]);
}

// The table of causes hits whoever is charged; the worker, where nobody is.
Decision Workers::judge(Worker& worker, const Cause& cause, const Verdict& verdict, Nanoseconds healthy, std::int64_t noticed_ns) {
  const auto& backoff = worker.config->restart;
  auto seed = static_cast<std::uint64_t>(noticed_ns);
  if (moves_away(worker.config->causes, cause)) return GiveUp{cause.text + " (causes: restart_elsewhere)"};
  if (verdict.given_up) {
    // What did this does not come back: neither this death nor its earlier ones count.
    absolve(worker.history, verdict.culprit);
    return Restart{next_delay(worker.history, backoff, healthy, seed)};
  }
  if (verdict.culprit == kNoNode && gives_up(worker.config->causes, cause)) return GiveUp{cause.text};
  if (on_trial(worker.probation, budget_of(backoff), noticed_ns)) return GiveUp{"failed again on probation: " + cause.text};
  return decide(worker.history, backoff, cause, healthy, noticed_ns, seed, verdict.culprit);
}

WorkerEvent Workers::decide_restart(Worker& worker, const Cause& cause, const Verdict& verdict, Nanoseconds healthy,
                                    std::int64_t noticed_ns) {
  auto decision = judge(worker, cause, verdict, healthy, noticed_ns);
  if (const auto* given_up = std::get_if<GiveUp>(&decision)) {
    worker.message = given_up->why;
    return WorkerEvent::kDeathGiveUp;
  }
  if (!worker.death_noticed_ns) worker.death_noticed_ns = noticed_ns;
  worker.delay = std::get<Restart>(decision).delay;
  ++worker.restarts;
  ++restarts_;
  worker.message = "restart in " + config::format_duration(worker.delay) + " after " + cause.text;
  log::notice("worker restarts",
              {{"worker", worker.config->name}, {"delay", config::format_duration(worker.delay)}, {"in_a_row", worker.history.in_a_row}});
  return worker.delay > 0ns ? WorkerEvent::kDeathLater : WorkerEvent::kDeathNow;
}

void Workers::ready(std::size_t index) { raise(index, WorkerEvent::kReady); }

void Workers::actor_ready(std::size_t index, ActorId actor, bool restored) {
  const Actor& known = in_.actors[actor];
  if (!in_.supervision.actor_ready(actor)) return;
  in_.recovery.release_state(actor);
  log::info(
      "actor ready",
      {{"actor", known.placed.name}, {"worker", workers_[index].config->name}, {"incarnation", known.incarnation}, {"restored", restored}});
  in_.changed();
}

bool Workers::ask_for_commit(ActorId actor) {
  const Worker& worker = workers_[in_.actors[actor].host];
  if (in_.actors[actor].state != shm::ActorState::kReady || !worker.child) return false;
  in_.orders.commit_actor(worker.participant(), actor);
  return true;
}

void Workers::commit_failed(ActorId actor, const std::string& why) { in_.actors.commit_failed(actor, why); }

// One that is not ready is on its way out of the life that this is about.
void Workers::actor_health(ActorId actor, bool healthy, const std::string& reason) {
  if (in_.actors[actor].state != shm::ActorState::kReady) return;
  bool was_unhealthy = in_.actors[actor].healthy == false;
  in_.actors.set_health(actor, healthy, reason);
  const auto& name = in_.actors[actor].placed.name;
  if (!healthy) log::warning("actor unhealthy", {{"actor", name}, {"cause", reason}});
  if (healthy && was_unhealthy) log::notice("actor healthy again", {{"actor", name}});
  in_.changed();
}

void Workers::cannot_work(std::size_t index, const std::string& why) {
  workers_[index].last_word = why;
  have_last_word(workers_[index]);
}

}  // namespace tv::supervisor
