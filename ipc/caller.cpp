#include "ipc/caller.h"

#include <algorithm>
#include <utility>

#include "config/units.h"
#include "ipc/open_call.h"
#include "ipc/routing.h"

namespace tv::ipc {
namespace {

constexpr Nanoseconds kMaxSleep = 1s;
// Deadlines are sums of clock and timeout: a timeout of centuries would overflow.
constexpr Nanoseconds kMaxTimeout = std::chrono::hours(24 * 365);

Deadline deadline_of(const CallOptions& options) { return Deadline::in(std::min(options.timeout, kMaxTimeout)); }

// Of a request that could not be sent. kDeadlineExceeded is left to those that were.
Errc not_sent(Errc code) {
  if (code == Errc::kUnavailable) return Errc::kNotDelivered;
  return code == Errc::kDeadlineExceeded ? Errc::kOverloaded : code;
}

void write_cause(const CallIdentity& call, wire::Cause::Builder out) {
  out.setFrom(call.cause.from);
  out.setLane(static_cast<std::uint8_t>(call.cause.lane));
  out.setEnd(call.cause.end);
  out.setNumber(call.number);
  out.setWorker(call.worker);
}

Error nobody(const std::string& name, const shm::Directory& directory) {
  std::vector<std::string> known;
  for (ActorId id = 0, n = directory.actor_count(); id < n; ++id) known.emplace_back(directory.actor_name(id));
  for (std::uint32_t i = 0, n = directory.pool_count(); i < n; ++i) known.emplace_back(directory.pool(i).name);
  std::string message = "no actor or pool \"" + name + "\"";
  auto near = config::nearest(name, known);
  message += near.empty() ? "; tensorctl list actors shows what there is" : "; did you mean \"" + near + "\"?";
  return Error{Errc::kNotFound, message};
}

Result<void> check_type(const std::string& what, const std::string& name, std::string_view actual, const std::string& expected) {
  if (expected.empty() || actual == expected) return {};
  return Error{Errc::kInvalidArgument, what + " \"" + name + "\" is of type " + std::string(actual) + ", not " + expected};
}

// Always the same member for the same call, as long as that member takes mail: it is the one that knows whether it has had the call before.
std::optional<std::uint32_t> replayed_member(const CallIdentity& call, const std::vector<Member>& members) {
  std::uint64_t hash = (std::uint64_t{call.worker} << 48) ^ (std::uint64_t{call.source} << 32) ^ (std::uint64_t{call.cause.from} << 56) ^
                       (call.cause.end << 4) ^ (std::uint64_t{call.number} << 1) ^ static_cast<std::uint64_t>(call.cause.lane);
  hash = (hash ^ (hash >> 30)) * 0xbf58'476d'1ce4'e5b9;  // splitmix64's mixing, Steele 2014
  hash = (hash ^ (hash >> 27)) * 0x94d0'49bb'1331'11eb;
  hash ^= hash >> 31;
  for (std::size_t i = 0; i < members.size(); ++i) {
    auto member = static_cast<std::uint32_t>((hash + i) % members.size());
    if (takes_mail(members[member].state) && (members[member].flags & shm::kActorDrained) == 0) return member;
  }
  return std::nullopt;
}

}  // namespace
}  // namespace tv::ipc

tv::Delivery tv::delivery_of(const Error& error) {
  switch (error.code) {
    case Errc::kNotDelivered:
    case Errc::kOverloaded:
      return Delivery::kNotDelivered;
    case Errc::kOutcomeUnknown:
    case Errc::kDeadlineExceeded:
    case Errc::kCancelled:    // the caller went away first
    case Errc::kUnavailable:  // the supervisor did
    case Errc::kProtocol:     // there was an answer, which cannot be read
    case Errc::kInternal:
      return Delivery::kUnknown;
    default:
      return Delivery::kFailed;
  }
}

namespace tv::ipc {

Caller::Caller(std::shared_ptr<RingChannel> channel, Incarnation incarnation, WaitFor wait_for)
    : channel_(std::move(channel)),
      directory_(channel_->store()->arena()),
      wait_for_(std::move(wait_for)),
      next_id_(CallId{incarnation} << 40 | 1),
      receiver_sleeps_until_(0),
      outstanding_(limits::kMaxActors),
      // Callers begin at different members: many short-lived ones spread as one long-lived one does.
      turns_(limits::kMaxPools, incarnation + channel_->store()->self()),
      random_(static_cast<std::uint64_t>(monotonic_ns()) | 1) {}

Caller::~Caller() { abandon(Error{Errc::kCancelled, "the caller has been closed"}); }

Result<TargetId> Caller::resolve(const std::string& name, const std::string& type) const {
  if (auto actor = directory_.find_actor(name)) {
    TV_TRY(check_type("actor", name, directory_.actor_type(*actor), type));
    return TargetId{false, *actor};
  }
  if (auto pool = directory_.find_pool(name)) {
    TV_TRY(check_type("pool", name, directory_.pool(*pool).type, type));
    return TargetId{true, *pool};
  }
  return nobody(name, directory_);
}

std::string Caller::name_of(TargetId target) const {
  if (target.pool && target.index < directory_.pool_count()) return std::string(directory_.pool(target.index).name);
  std::string name(target.pool ? "" : directory_.actor_name(target.index));
  return name.empty() ? std::to_string(target.index) : name;
}

Error Caller::undeliverable(ActorId actor) const {
  std::string name(directory_.actor_name(actor));
  if (name.empty()) return Error{Errc::kNotDelivered, "there is no actor number " + std::to_string(actor)};
  auto where = directory_.where(actor);
  if (takes_mail(where.state) && (where.flags & shm::kActorDrained) != 0)
    return Error{Errc::kNotDelivered, "actor \"" + name + "\" is drained by an administrator: it finishes what it has and takes nothing new; tensorctl undrain " + name};
  std::string message = "actor \"" + name + "\" is " + std::string(shm::actor_state_name(where.state));
  auto why = directory_.actor_message(actor);
  if (!why.empty()) message += ": " + why;
  return Error{Errc::kNotDelivered, message + "; see tensorctl describe actor " + name};
}

void Caller::set_cause(std::optional<MessagePlace> cause, std::uint32_t made, std::optional<ParticipantId> mailbox) {
  if (cause) cause_ = {mailbox.value_or(channel_->store()->self()), source_.load(std::memory_order_relaxed), *cause, made};
  cause_thread_.store(cause ? std::this_thread::get_id() : std::thread::id{}, std::memory_order_relaxed);
}

Caller::Identity Caller::next_identity() {
  auto thread = cause_thread_.load(std::memory_order_relaxed);
  if (thread == std::thread::id{} || thread != std::this_thread::get_id()) return std::nullopt;
  ++cause_.number;
  return cause_;
}

Result<ActorId> Caller::pick(TargetId target, const Identity& identity) {
  if (target.pool) return pick_member(target.index, identity);
  if (!takes_new_mail(directory_.where(target.index))) return undeliverable(target.index);
  return target.index;
}

Result<ActorId> Caller::pick_member(std::uint32_t pool, const Identity& identity) {
  if (pool >= directory_.pool_count()) return Error{Errc::kNotDelivered, "there is no pool number " + std::to_string(pool)};
  const shm::PoolView entry = directory_.pool(pool);
  std::vector<Member> members;
  members.reserve(entry.size);
  for (ActorId id = entry.first; id < entry.first + entry.size; ++id) {
    auto where = directory_.where(id);
    members.push_back({where.state, outstanding_[id], where.flags});
  }
  if (identity && !members.empty()) {
    if (auto member = replayed_member(*identity, members)) return entry.first + *member;
  }
  random_ ^= random_ << 13;  // xorshift64, Marsaglia 2003
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  auto member = choose_member(static_cast<config::Routing>(entry.routing), members, turns_[pool], random_);
  if (member) return entry.first + *member;
  if (members.empty()) return Error{Errc::kNotDelivered, "pool \"" + std::string(entry.name) + "\" has no members"};
  Error why = undeliverable(entry.first);
  why.message = "no member of pool \"" + std::string(entry.name) + "\" takes calls: " + why.message;
  return why;
}

Result<std::shared_ptr<OpenCall>> Caller::open_call(TargetId target, const std::string& method, Deadline deadline, const Identity& identity,
                                                   CallId& id) {
  std::lock_guard lock(mutex_);
  if (abandoned_) return *abandoned_;
  if (calls_.size() >= limits::kMaxCallsInFlight)
    return Error{Errc::kOverloaded, std::to_string(calls_.size()) + " calls of this process are open already; wait for some answers"};
  ActorId actor = TV_TRY(pick(target, identity));
  id = next_id_.fetch_add(1, std::memory_order_relaxed);
  auto call = std::make_shared<OpenCall>(weak_from_this(), channel_->store(), id, actor,
                                         std::string(directory_.actor_name(actor)) + "." + method, deadline);
  calls_.emplace(id, call);
  deadlines_.emplace(deadline.ns, id);
  ++outstanding_[actor];
  return call;
}

std::shared_ptr<CallState> Caller::failed_call(const std::string& what, const Error& why) {
  auto call = std::make_shared<OpenCall>(std::weak_ptr<Caller>{}, channel_->store(), CallId{0}, kNoActor, what, Deadline{0});
  call->fail(why);
  return call;
}

// Who looks at the directory, is held up, and then sends, may send to one that has been drained meanwhile, after its worker has looked for
// its last message: such a message is taken back, and sent to another member. One that cannot be taken back is being handled.
bool Caller::came_too_late(ActorId actor, const Result<Sent>& sent) {
  if (!sent || (directory_.where(actor).flags & shm::kActorDrained) == 0) return false;
  return channel_->withdraw(*sent) == shm::Withdrawal::kWithdrawn;
}

std::shared_ptr<CallState> Caller::start(TargetId target, const std::string& method, const WriteArguments& write,
                                         const CallOptions& options) {
  Deadline deadline = deadline_of(options);
  auto identity = next_identity();
  for (;;) {
    CallId id = 0;
    auto opened = open_call(target, method, deadline, identity, id);
    if (!opened) return failed_call(name_of(target) + "." + method, opened.error());
    auto call = *opened;
    // An actor that failed before the call was noted has been passed by check(): look once more.
    auto sent = takes_mail(directory_.where(call->actor()).state)
                    ? send_request(call->actor(), id, identity, method, write, options, deadline, false)
                    : Result<Sent>(undeliverable(call->actor()));
    // A call that has ended already has been answered, or its end was told: both only once.
    if (came_too_late(call->actor(), sent) && take(id)) continue;
    if (!sent) {
      take(id);
      call->fail(sent.error());
      return call;
    }
    call->note_sent(*sent);
    if (deadline.ns < receiver_sleeps_until_.load(std::memory_order_relaxed)) {
      channel_->wake();
    }
    return call;
  }
}

Result<void> Caller::send_one_way(TargetId target, const std::string& method, const WriteArguments& write, const CallOptions& options) {
  auto identity = next_identity();
  for (;;) {
    ActorId actor;
    {
      std::lock_guard lock(mutex_);
      if (abandoned_) return *abandoned_;
      actor = TV_TRY(pick(target, identity));
    }
    auto id = next_id_.fetch_add(1, std::memory_order_relaxed);
    auto sent = send_request(actor, id, identity, method, write, options, deadline_of(options), true);
    if (came_too_late(actor, sent)) continue;
    return sent ? Result<void>{} : Result<void>{sent.error()};
  }
}

Result<Sent> Caller::send_request(ActorId actor, CallId id, const Identity& identity, const std::string& method,
                                  const WriteArguments& write, const CallOptions& options, Deadline deadline, bool one_way) {
  std::string what = std::string(directory_.actor_name(actor)) + "." + method;
  try {
    auto build = [&](wire::Envelope::Builder envelope, Encoder& encoder) {
      envelope.setTarget(actor);
      envelope.setCallId(id);
      envelope.setDeadline(deadline.ns);
      envelope.setSource(source_.load(std::memory_order_relaxed));
      if (identity) write_cause(*identity, envelope.initCause());
      auto request = envelope.initRequest();
      request.setMethod(method);
      request.setOneWay(one_way);
      write(request.initArgs(), encoder);
    };
    // Control messages wait for room whatever the caller says of ordinary mail: they are not to be lost.
    bool wait = options.wait_when_full || options.priority;
    auto sent = channel_->send(directory_.where(actor).participant, build, wait ? deadline : Deadline{0},
                               options.priority ? shm::Lane::kPriority : shm::Lane::kMail);
    if (sent) return sent;
    return Error{not_sent(sent.error().code), what + " was not delivered: " + sent.error().message};
  } catch (const std::exception& e) {
    return Error{Errc::kInvalidArgument, "the arguments of " + what + " cannot be written: " + e.what()};
  }
}

std::shared_ptr<OpenCall> Caller::take(CallId id) {
  std::lock_guard lock(mutex_);
  return take_locked(id);
}

std::shared_ptr<OpenCall> Caller::take_locked(CallId id) {
  auto found = calls_.find(id);
  if (found == calls_.end()) return nullptr;
  auto call = std::move(found->second);
  calls_.erase(found);
  deadlines_.erase({call->deadline().ns, id});
  --outstanding_[call->actor()];
  return call;
}

bool Caller::complete(const Mail& mail) {
  bool not_executed = false;
  auto id = guard([&]() -> std::optional<CallId> {
    auto envelope = mail.envelope();
    if (envelope.isRequest()) return std::nullopt;
    not_executed = envelope.isFailure() && envelope.getFailure().getCode() == static_cast<std::uint16_t>(Errc::kNotDelivered);
    return envelope.getCallId();
  });
  auto call = id && *id ? take(**id) : nullptr;
  if (!call) {
    // A receiver says so of every call that it finds withdrawn or expired, for those whose callers do not know it already.
    if (!not_executed) ++unmatched_;
    return false;
  }
  call->complete(mail);
  return true;
}

void Caller::check() {
  for (const auto& call : take_expired()) call->expire();
  for (const auto& call : take_lost()) {
    Error why = undeliverable(call->actor());
    call->end(why.message, {Errc::kOutcomeUnknown, "no answer will come, and whether the call took effect is unknown: " + why.message});
  }
}

std::vector<std::shared_ptr<OpenCall>> Caller::take_expired() {
  std::vector<std::shared_ptr<OpenCall>> expired;
  auto now = monotonic_ns();
  std::lock_guard lock(mutex_);
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) expired.push_back(take_locked(deadlines_.begin()->second));
  return expired;
}

std::vector<std::shared_ptr<OpenCall>> Caller::take_lost() {
  std::vector<std::shared_ptr<OpenCall>> lost;
  std::lock_guard lock(mutex_);
  auto version = directory_.version();
  if (version == checked_version_) return lost;
  checked_version_ = version;
  std::vector<CallId> ids;
  for (const auto& [id, call] : calls_)
    if (!takes_mail(directory_.where(call->actor()).state)) ids.push_back(id);
  for (auto id : ids) lost.push_back(take_locked(id));
  return lost;
}

Deadline Caller::next_deadline() const {
  std::lock_guard lock(mutex_);
  auto until = Deadline::in(kMaxSleep).ns;
  if (!deadlines_.empty()) until = std::min(until, deadlines_.begin()->first);
  receiver_sleeps_until_.store(until, std::memory_order_relaxed);
  return Deadline{until};
}

void Caller::abandon(const Error& why) {
  std::unordered_map<CallId, std::shared_ptr<OpenCall>> calls;
  {
    std::lock_guard lock(mutex_);
    if (!abandoned_) abandoned_ = why;
    calls.swap(calls_);
    deadlines_.clear();
    std::fill(outstanding_.begin(), outstanding_.end(), 0);
  }
  for (const auto& [id, call] : calls) call->fail(why);
}

std::size_t Caller::open() const {
  std::lock_guard lock(mutex_);
  return calls_.size();
}

}  // namespace tv::ipc
