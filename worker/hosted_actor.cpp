#include "worker/hosted_actor.h"

#include <algorithm>
#include <utility>

#include "config/log.h"
#include "shm/heartbeat.h"
#include "worker/outcome.h"

namespace tv::worker {
namespace {

// After a commit that failed, with answers held.
constexpr Nanoseconds kCommitRetry = 200ms;

config::DeliveryMode mode_of(wire::Delivery delivery) {
  switch (delivery) {
    case wire::Delivery::AT_LEAST_ONCE:
      break;
    case wire::Delivery::AT_MOST_ONCE:
      return config::DeliveryMode::kAtMostOnce;
    case wire::Delivery::EFFECTIVELY_ONCE:
      return config::DeliveryMode::kEffectivelyOnce;
  }
  return config::DeliveryMode::kAtLeastOnce;
}

std::string text(capnp::Text::Reader reader) { return {reader.begin(), reader.size()}; }

}  // namespace

ActorPlan ActorPlan::from(wire::ActorSpec::Reader spec) {
  ActorPlan plan;
  plan.id = spec.getId();
  plan.name = text(spec.getName());
  plan.type = text(spec.getType());
  plan.plugin = text(spec.getPlugin());
  plan.incarnation = spec.getIncarnation();
  plan.every_messages = spec.getEveryMessages();
  plan.interval = Nanoseconds{static_cast<std::int64_t>(spec.getIntervalNs())};
  plan.delivery = {mode_of(spec.getDelivery()), std::max<std::uint32_t>(spec.getMaxDeliveries(), 1)};
  plan.health = {Nanoseconds{static_cast<std::int64_t>(spec.getHealthPeriodNs())},
                 Nanoseconds{static_cast<std::int64_t>(spec.getHealthTimeoutNs())}, spec.getHealthFailures()};
  plan.held = spec.getHeld();
  plan.failure = text(spec.getFailure());
  plan.mailbox = spec.getMailbox() < limits::kMaxParticipants ? spec.getMailbox() : 0;
  // A copy of our own: reading a received message again and again would use up its traversal limit.
  plan.args->setRoot(spec.getArgs());
  return plan;
}

Arguments ActorPlan::arguments() const {
  auto root = args->getRoot<wire::Value>().asReader();
  return root.isMap() ? Arguments(root) : Arguments(std::nullopt);
}

HostedActor::HostedActor(ActorPlan plan, const Services& services, AfterCommit after_commit)
    : plan_(std::move(plan)),
      services_(services),
      arguments_(plan_.arguments()),
      context_(services, plan_.name, plan_.id, plan_.incarnation, arguments_, [this] { return commit(); }),
      state_(services.store, plan_.id, services.steps),
      after_commit_(std::move(after_commit)),
      progress_(no_progress()) {}

Progress HostedActor::no_progress() const {
  auto mailbox = plan_.mailbox == 0 ? services_.store->self() : plan_.mailbox;
  return Progress({services_.store->arena()->header().created_realtime_ns, mailbox});
}

Result<bool> HostedActor::start(const ActorType* type) {
  type_ = type;
  ever_handled_ = false;
  uncommitted_ = 0;
  last_commit_ = Deadline::in(0ns);
  progress_ = no_progress();
  inherited_.clear();
  inherit(cell().at_hand.load(std::memory_order_relaxed));
  inherit(cell().suspect.load(std::memory_order_relaxed));
  device_error_.reset();
  auto noting_device = [this](auto&& body) {
    return run_user_code([&] {
      try {
        body();
      } catch (const DeviceError& e) {
        device_error_ = e.what();
        throw;
      }
    });
  };
  auto made = noting_device([&] { actor_ = type_->make(context_); });
  if (!made) return Error{made.error().code, "cannot make it: " + made.error().message};
  if (!actor_) return Error{Errc::kActorError, "its type " + type_->name + " makes no actor"};
  bool restored = TV_TRY(restore());
  // Its state is the last commit's again: nothing is uncommitted.
  commit_failure_.reset();
  cell().commit_failing_since_ns.store(0, std::memory_order_relaxed);
  auto started = noting_device([&] { actor_->on_start(context_); });
  if (!started) return Error{started.error().code, "on_start: " + started.error().message};
  phase_ = Phase::kRunning;
  checks_ = HealthChecks(plan_.health, monotonic_ns());
  return restored;
}

// A commit that cannot be read is given up with an error in the log: an actor without its past is of more use than none.
Result<bool> HostedActor::restore() {
  auto restored = state_.restore(*actor_, once() ? &progress_ : nullptr);
  if (restored || restored.error().code == Errc::kActorError || restored.error().code == Errc::kInvalidArgument) return restored;
  log::error("committed state lost", {{"actor", plan_.name}, {"cause", restored.error().message}});
  return false;
}

void HostedActor::inherit(std::uint64_t word) {
  auto at = shm::unpack_at_hand(word);
  if (!is_unread(at)) return;
  for (auto& known : inherited_) {
    if (known.from != at.from || known.end48 != at.end48) continue;
    known.tries = std::max(known.tries, at.tries);
    return;
  }
  inherited_.push_back(at);
}

// Of a message that the cursor has passed nothing needs to be known. What is compared is the low part of positions (at_hand_place).
bool HostedActor::is_unread(shm::AtHand at) const {
  if (shm::is_nothing(at) || at.from >= limits::kMaxParticipants) return false;
  constexpr std::uint64_t kPosition = (std::uint64_t{1} << 47) - 1;
  auto lane = static_cast<shm::Lane>((at.end48 >> 47) & 1);
  auto head = services_.cursors->head(at.from, progress_.home().receiver, lane);
  std::uint64_t ahead = (at.end48 - head) & kPosition;
  return ahead != 0 && ahead < kPosition / 2;
}

shm::AtHand HostedActor::at_hand_before(const ipc::MessagePlace& place) const {
  for (const auto& at : inherited_)
    if (at.from == place.from && at.end48 == shm::at_hand_place(place.lane, place.end)) return at;
  return shm::unpack_at_hand(cell().at_hand.load(std::memory_order_relaxed));
}

// There is room for one besides the one at hand: the one that has killed most often, so that one of several gets to the end of its tries.
void HostedActor::note_at_hand(shm::AtHand at) {
  auto same = [&at](shm::AtHand other) { return other.from == at.from && other.end48 == at.end48; };
  std::erase_if(inherited_, [&](shm::AtHand other) { return same(other) || !is_unread(other); });
  auto worst = std::max_element(inherited_.begin(), inherited_.end(), [](auto a, auto b) { return a.tries < b.tries; });
  auto suspect = worst == inherited_.end() ? std::uint64_t{0} : shm::pack(*worst);
  auto& word = cell().suspect;
  // The first store is the one that takes nothing away that is not yet written elsewhere.
  bool later = suspect == 0 || same(shm::unpack_at_hand(word.load(std::memory_order_relaxed)));
  if (!later) word.store(suspect, std::memory_order_seq_cst);
  cell().at_hand.store(shm::pack(at), std::memory_order_seq_cst);
  if (later && word.load(std::memory_order_relaxed) != suspect) word.store(suspect, std::memory_order_seq_cst);
}

void HostedActor::fail(Error why) {
  actor_.reset();
  phase_ = Phase::kFailed;
  failure_ = std::move(why);
}

void HostedActor::stop() {
  if (phase_ != Phase::kRunning) return;
  if (auto stopped = run_user_code([&] { actor_->on_stop(context_); }); !stopped)
    log::error("on_stop threw", {{"actor", plan_.name}, {"cause", stopped.error().message}});
  if (ever_handled_) {
    if (auto committed = commit(); !committed)
      log::error("state lost at the stop", {{"actor", plan_.name}, {"cause", "not committed: " + committed.error().message}});
  }
  actor_.reset();
  phase_ = Phase::kStopped;
  // Its next start begins with the last commit, which does not have these.
  put_back_ |= !held.empty();
  for (; !held.empty(); held.pop_back()) waiting.push_front(std::move(held.back().mail));
}

std::optional<Health> HostedActor::check_health() {
  Running running(*this, shm::Doing::kHealth, Deadline::in(plan_.health.timeout));
  std::int64_t began = monotonic_ns();
  Health said;
  auto asked = run_user_code([&] { said = actor_->on_health(context_); });
  if (!asked) said = Health::unhealthy("on_health: " + asked.error().message);
  return checks_.checked(std::move(said), began, monotonic_ns());
}

void HostedActor::inject(const Fault& fault) {
  if (fault.kind == Fault::Kind::kThrow) faults_.throws = fault.count;
  if (fault.kind != Fault::Kind::kDelay) return;
  faults_.delays = fault.count;
  faults_.delay = fault.delay;
}

Outcome HostedActor::handle(std::string_view method, wire::Value::Reader arguments, wire::Value::Builder result, ipc::Encoder& encoder) {
  ever_handled_ = true;
  ++uncommitted_;
  if (faults_.delays > 0) {
    --faults_.delays;
    wait_with_beats(faults_.delay);
  }
  if (faults_.throws > 0) {
    --faults_.throws;
    return {Verdict::kFailed, true, {Errc::kActorError, plan_.name + "." + std::string(method) + ": thrown on purpose (tensorctl inject)"}};
  }
  ipc::Decoder decoder{services_.store.get()};
  return dispatch(*type_, *actor_, plan_.name, method, arguments, decoder, result, encoder);
}

void HostedActor::count(bool failed) {
  cell().handled.fetch_add(1, std::memory_order_relaxed);
  if (failed) cell().failed.fetch_add(1, std::memory_order_relaxed);
}

Result<void> HostedActor::commit_if_due() {
  if (phase_ != Phase::kRunning || uncommitted_ == 0) return {};
  bool by_count = plan_.every_messages > 0 && uncommitted_ >= plan_.every_messages;
  bool by_size = once() && progress_.uncommitted_bytes() >= limits::kMaxHeldAnswerBytes;
  if (!by_count && !by_size && !next_commit().passed()) return {};
  if (once() && too_early_to_retry()) return {};
  return commit();
}

Nanoseconds HostedActor::uncommitted_for() const {
  auto since = static_cast<std::int64_t>(cell().commit_failing_since_ns.load(std::memory_order_relaxed));
  return Nanoseconds{since == 0 ? 0 : monotonic_ns() - since};
}

void HostedActor::commit_held() {
  if (!held.empty() && !too_early_to_retry()) (void)commit();
}

bool HostedActor::too_early_to_retry() const {
  return commit_failure_ && !Deadline::at(last_commit_.ns + kCommitRetry.count()).passed();
}

Result<void> HostedActor::commit() {
  if (!actor_) return Error{Errc::kUnavailable, "actor \"" + plan_.name + "\" is not running: nothing to commit"};
  // Whatever comes of it, the next attempt is due with the next message or interval, not at once.
  uncommitted_ = 0;
  last_commit_ = Deadline::in(0ns);
  if (once()) progress_.prune(*services_.cursors);
  if (handling) progress_.note_calls(*handling, services_.calls_made());
  shm::beat();  // a method that commits goes on
  auto committed = state_.commit(*actor_, once() ? &progress_ : nullptr);
  note_commit(committed);
  if (!once()) return committed;
  if (committed) progress_.committed();
  if (after_commit_) after_commit_(*this, committed);
  return committed;
}

void HostedActor::note_commit(const Result<void>& committed) {
  auto& since = cell().commit_failing_since_ns;
  if (committed) {
    if (std::exchange(commit_failure_, std::nullopt)) log::notice("state committed again", {{"actor", plan_.name}});
    since.store(0, std::memory_order_relaxed);
    return;
  }
  cell().commits_failed.fetch_add(1, std::memory_order_relaxed);
  if (since.load(std::memory_order_relaxed) == 0) since.store(static_cast<std::uint64_t>(monotonic_ns()), std::memory_order_relaxed);
  const Error& why = committed.error();
  if (std::exchange(commit_failure_, why.code) == why.code) return;
  log::error("state not committed", {{"actor", plan_.name}, {"cause", why.message}, {"next", "tensorctl describe actor " + plan_.name}});
  services_.control.commit_failed(plan_.id, why);
}

Deadline HostedActor::next_commit() const {
  if (phase_ == Phase::kRunning && !held.empty() && commit_failure_) return Deadline::at(last_commit_.ns + kCommitRetry.count());
  if (phase_ != Phase::kRunning || uncommitted_ == 0 || plan_.interval <= 0ns) return Deadline::never();
  return Deadline::at(last_commit_.ns + plan_.interval.count());
}

}  // namespace tv::worker
