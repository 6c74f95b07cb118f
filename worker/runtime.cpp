#include "worker/runtime.h"

#include <unistd.h>

#include <algorithm>

#include "config/log.h"
#include "shm/origin.h"

namespace tv::worker {
namespace {

// Without mail for so long, what is kept for the next tensors is worth more to others.
constexpr Nanoseconds kIdle = 1s;
constexpr Nanoseconds kOrphanLook = 20ms;  // between two looks for the end of its work

}  // namespace

Runtime::Runtime(Options options, std::shared_ptr<ipc::RingChannel> channel, ControlPort& control, Orders& orders, Devices& devices)
    : options_(std::move(options)),
      loop_thread_(std::this_thread::get_id()),
      channel_(std::move(channel)),
      control_(control),
      orders_(orders),
      devices_(devices),
      plugins_(registry_),
      caller_(std::make_shared<ipc::Caller>(
          channel_, options_.incarnation,
          [this](const std::function<bool()>& ready, Deadline deadline) { return wait_for(ready, deadline); })),
      cursors_(channel_->store()->arena()),
      heartbeat_(channel_->store()->arena()->participant(channel_->store()->self()).beat),
      services_{channel_->store(), caller_, control, orders, options_.device, options_.threads, &at_hand_, &cursors_, options_.steps,
                [this] { return caller_->calls_made(); }},
      client_rates_(options_.client_calls) {
  if (options_.spin) channel_->fix_spin(*options_.spin);
  caller_->set_wait_check([this](ActorId target) { return check_wait(target); });
}

Runtime::~Runtime() {
  caller_->abandon(Error{Errc::kCancelled, "worker \"" + options_.worker + "\" is stopping"});
  notify_waiters();
}

void Runtime::start(std::vector<ActorPlan> plans) {
  host(std::move(plans));
  if (!orders_.stopping() && !exit_code_) control_.ready();
}

// Their mailboxes are read from now on: what lies there waits in its rings until the loop comes to it. One that is here and does not run is another
// one from now on, with the mail that waits for it: its configuration has changed.
void Runtime::host(std::vector<ActorPlan> plans) {
  auto after = [this](HostedActor& actor, const Result<void>& committed) { after_commit(actor, committed); };
  std::size_t first = actors_.size();
  for (auto& plan : plans) {
    if (plan.mailbox == 0) plan.mailbox = services_.store->self();
    auto there = std::find_if(actors_.begin(), actors_.end(), [&](const auto& actor) { return actor->plan().id == plan.id; });
    if (there != actors_.end()) {
      if ((*there)->phase() == HostedActor::Phase::kRunning || !(*there)->held.empty() || !plan.held) continue;
      auto fresh = std::make_unique<HostedActor>(std::move(plan), services_, after);
      fresh->waiting = std::move((*there)->waiting);
      *there = std::move(fresh);
      continue;
    }
    channel_->take_up(plan.mailbox);
    actors_.push_back(std::make_unique<HostedActor>(std::move(plan), services_, after));
  }
  for (std::size_t i = first; i < actors_.size(); ++i) {
    if (orders_.stopping() || exit_code_) return;
    auto& actor = *actors_[i];
    if (!actor.plan().held) {
      start_actor(actor);
    } else if (!actor.plan().failure.empty()) {
      actor.fail(Error{Errc::kUnavailable, actor.plan().failure});
    }
  }
}

void Runtime::start_actor(HostedActor& actor) {
  const auto& plan = actor.plan();
  HostedActor::Running running(actor, shm::Doing::kStart);
  caller_->set_source(plan.id);
  auto started = [&]() -> Result<bool> {
    if (!plan.plugin.empty()) TV_TRY(plugins_.load(plan.plugin));
    const ActorType* type = registry_.find(plan.type);
    if (!type) return no_such_type(registry_, plan.type, plan.plugin);
    shm::OriginScope origin({plan.id, "on_start"});
    return actor.start(type);
  }();
  caller_->set_source(kNoActor);
  if (started) {
    // Its log line is the supervisor's, which is told of it.
    log::debug("actor ready", {{"actor", plan.name}, {"type", plan.type}, {"restored", *started}, {"incarnation", plan.incarnation}});
    control_.actor_ready(plan.id, *started);
    next_health_ns_ = std::min(next_health_ns_, actor.next_check().ns);
    return;
  }
  if (device_is_lost(actor.device_error())) return;
  Error why{started.error().code, "actor \"" + plan.name + "\": " + started.error().message};
  log::debug("actor failed to start", {{"actor", plan.name}, {"cause", why.message}});
  actor.fail(why);
  control_.actor_failed(plan.id, why);
}

int Runtime::run() {
  while (!orders_.stopping() && !orders_.finishing() && !exit_code_) turn(Deadline::never());
  if (exit_code_) return *exit_code_;
  if (orders_.supervisor_lost()) return kExitSupervisorLost;
  if (orders_.finishing()) finish_mail();
  else control_.stopping();
  stop_actors();
  return exit_code_.value_or(orders_.finishing() ? kExitSupervisorLost : kExitStopped);
}

// What others still answer is waited for. Who keeps us longer than orphan_grace is left: the control link ends the process.
void Runtime::finish_mail() {
  while (!exit_code_ && !orders_.stopping()) {
    bool waits = caller_->open() > 0;
    if (!turn(Deadline::in(waits ? kOrphanLook : 0ns)) && !waits) return;
  }
}

void Runtime::stop_actors() {
  for (auto actor = actors_.rbegin(); actor != actors_.rend(); ++actor) {
    if (orders_.supervisor_lost()) {
      exit_code_ = kExitSupervisorLost;
      return;
    }
    HostedActor::Running running(**actor, shm::Doing::kStop);
    (*actor)->stop();
  }
}

bool Runtime::turn(Deadline latest) {
  shm::beat();
  follow_orders();
  std::int64_t now = monotonic_ns();
  if (now >= next_check_ns_) check_calls(0);
  if (now >= next_health_ns_) check_health();
  if (!settling_.empty()) tell_settled();
  if (auto mail = next_mail()) {
    handle(std::move(mail));
    trim_at_ns_ = monotonic_ns() + kIdle.count();
    return true;
  }
  commit_due();
  expire_waiting_mail();
  if (!settling_.empty()) tell_settled();
  if (orders_.stopping()) return false;
  sleep(latest);
  return false;
}

void Runtime::sleep(Deadline latest) {
  std::int64_t now = monotonic_ns();
  if (trim_at_ns_ && now >= *trim_at_ns_) {
    services_.store->trim_idle();
    trim_at_ns_.reset();
  }
  if (trim_at_ns_) latest = Deadline::at(std::min(latest.ns, *trim_at_ns_));
  check_calls(channel_->wait(std::min(latest, next_wake(), [](Deadline a, Deadline b) { return a.ns < b.ns; })));
}

namespace {

// As a process that fails by itself: nothing is finished, nobody is told.
[[noreturn]] void fail_on_purpose(const Fault& fault) {
  log::warning("failing on purpose", {{"kind", fault.kind == Fault::Kind::kHang ? "hang" : "exit"}, {"code", fault.code}});
  if (fault.kind == Fault::Kind::kHang) hang();
  ::_exit(fault.code);
}

}  // namespace

void Runtime::follow_orders() {
  for (const auto& order : orders_.take()) {
    if (order.kind == Order::Kind::kHost) {
      host(std::move(*order.plans));
      continue;
    }
    if (order.kind == Order::Kind::kFault && order.fault.kind <= Fault::Kind::kExit) fail_on_purpose(order.fault);
    HostedActor* actor = find(order.actor);
    if (!actor) {
      log::warning("order for an actor of another worker", {{"actor", order.actor}});
    } else if (order.kind == Order::Kind::kSettleActor) {
      begin_to_settle(order.actor, order.token);
    } else if (order.kind == Order::Kind::kFault) {
      actor->inject(order.fault);
    } else if (order.kind == Order::Kind::kCommitActor) {
      if (actor->phase() == HostedActor::Phase::kRunning) {
        HostedActor::Running running(*actor);
        (void)actor->commit();  // it tells of a failure itself
      }
      control_.actor_committed(order.actor);
    } else if (order.kind == Order::Kind::kStopActor) {
      {
        HostedActor::Running running(*actor, shm::Doing::kStop);
        actor->stop();
      }
      log::info("actor stopped", {{"actor", actor->plan().name}});
      control_.actor_stopped(order.actor);
    } else if (actor->phase() != HostedActor::Phase::kRunning) {
      start_actor(*actor);
      resume_mail(*actor);
    }
  }
}

// What came while the actor was stopped is older than anything that is deferred for it.
void Runtime::resume_mail(HostedActor& actor) {
  while (!actor.waiting.empty()) {
    auto mail = std::move(actor.waiting.back());
    actor.waiting.pop_back();
    auto lane = mail->lane();
    deferred(lane).push_front(std::move(mail));
  }
}

std::unique_ptr<ipc::Mail> Runtime::next_mail() {
  auto first = [](auto& queue) {
    auto mail = std::move(queue.front());
    queue.pop_front();
    return mail;
  };
  if (auto& urgent = deferred(shm::Lane::kPriority); !urgent.empty()) return first(urgent);
  if (auto& ordinary = deferred(shm::Lane::kMail); !ordinary.empty()) {
    if (auto mail = channel_->receive_priority()) return std::move(*mail);
    return first(ordinary);
  }
  auto mail = channel_->receive();
  return mail ? std::move(*mail) : nullptr;
}

void Runtime::commit_due() {
  for (auto& actor : actors_) (void)actor->commit_if_due();  // it tells of a failure itself
  commit_held(nullptr);
}

void Runtime::check_calls(std::uint64_t rung) {
  if ((rung & bit(kSupervisor)) != 0 || monotonic_ns() >= next_check_ns_) {
    ipc::Caller::WithoutCause continuations(*caller_);
    caller_->check();
    notify_waiters();
  }
  next_check_ns_ = caller_->next_deadline().ns;
}

void Runtime::check_health() {
  next_health_ns_ = Deadline::never().ns;
  for (auto& actor : actors_) {
    if (actor->next_check().passed()) {
      if (auto news = actor->check_health()) control_.health(actor->plan().id, *news);
    }
    next_health_ns_ = std::min(next_health_ns_, actor->next_check().ns);
  }
}

Deadline Runtime::next_wake() const {
  std::int64_t next = std::min(caller_->next_deadline().ns, next_health_ns_);
  for (const auto& actor : actors_) next = std::min(next, actor->next_commit().ns);
  return Deadline::at(next);
}

HostedActor* Runtime::find(ActorId id) const {
  auto found = std::find_if(actors_.begin(), actors_.end(), [id](const auto& actor) { return actor->plan().id == id; });
  return found == actors_.end() ? nullptr : found->get();
}

Result<void> Runtime::wait_for(const std::function<bool()>& ready, Deadline deadline) {
  if (std::this_thread::get_id() == loop_thread_) return pump_until(ready, deadline);
  std::unique_lock lock(waiters_mutex_);
  auto until = std::chrono::steady_clock::time_point(Nanoseconds{deadline.ns});
  if (waiters_.wait_until(lock, until, ready)) return {};
  return Error{Errc::kDeadlineExceeded, "no answer yet"};
}

// Receives on behalf of a method that waits: answers are completed, requests wait for their turn with their cursors unmoved.
Result<void> Runtime::pump_until(const std::function<bool()>& ready, Deadline deadline) {
  if (running_) running_->note_wait();
  while (!ready()) {
    shm::beat();
    if (orders_.supervisor_lost()) return Error{Errc::kUnavailable, "the supervisor is gone"};
    if (deadline.passed()) return Error{Errc::kDeadlineExceeded, "no answer yet"};
    if (auto mail = channel_->receive()) {
      if (take_answer(**mail)) {
        channel_->done(std::move(*mail));
      } else {
        auto lane = (*mail)->lane();
        deferred(lane).push_back(std::move(*mail));
      }
      continue;
    }
    commit_held(running_);
    auto until = Deadline::at(std::min(deadline.ns, caller_->next_deadline().ns));
    check_calls(channel_->wait(until));
  }
  return {};
}

Result<void> Runtime::check_wait(ActorId target) const {
  if (std::this_thread::get_id() != loop_thread_) return {};
  const HostedActor* other = find(target);
  if (!other) return {};
  std::string who = running_ ? "actor \"" + running_->plan().name + "\"" : "an actor's start or continuation";
  return Error{Errc::kInvalidArgument, who + " waits for \"" + other->plan().name + "\" on the same worker \"" + options_.worker +
                                           "\", which runs one actor at a time: place them on different workers or use then()"};
}

void Runtime::notify_waiters() {
  // The lock orders this after a waiter's look at ready(), so that no notice falls between its look and its sleep.
  { std::lock_guard lock(waiters_mutex_); }
  waiters_.notify_all();
}

}  // namespace tv::worker
