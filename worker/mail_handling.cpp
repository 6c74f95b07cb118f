// What the loop does with one message. Part of Runtime.
#include <algorithm>

#include "config/log.h"
#include "ipc/routing.h"
#include "shm/directory.h"
#include "shm/origin.h"
#include "worker/runtime.h"

namespace tv::worker {
namespace {

// Word of what was not executed is not worth waiting: its caller has given up, or will at its deadline.
constexpr Nanoseconds kNow{0};
constexpr Nanoseconds kRateLogInterval = 10s;
// Method names come from the caller, texts of exceptions from anywhere: this always fits the smallest ring.
constexpr std::size_t kMaxFailureText = 4096;

// One that was begun before came back after a crash: its first try may have taken effect.
Errc undone(bool begun_before) { return begun_before ? Errc::kOutcomeUnknown : Errc::kNotDelivered; }

Error expired(const std::string& what, std::int64_t deadline_ns, bool begun_before) {
  auto late_ms = std::to_string((monotonic_ns() - deadline_ns) / 1'000'000);
  return Error{undone(begun_before), what + ": its deadline had passed " + late_ms + " ms before it was read; it was not executed" +
                                         (begun_before ? " again" : "")};
}

}  // namespace

void Runtime::handle(std::unique_ptr<ipc::Mail> mail) {
  if (take_answer(*mail)) return channel_->done(std::move(mail));
  auto request = ipc::guard([&] {
    auto envelope = mail->envelope();
    auto fields = envelope.getRequest();
    auto method = fields.getMethod();
    return Request{mail->from(),
                   mail->lane(),
                   envelope.getTarget(),
                   envelope.getCallId(),
                   envelope.getDeadline(),
                   fields.getOneWay(),
                   std::string(method.begin(), method.size())};
  });
  if (request && comes_too_often(*mail, *request)) return channel_->done(std::move(mail));
  if (request) return handle_request(std::move(mail), *request);
  log::warning("malformed message dropped", {{"from", mail->from()}, {"cause", request.error().message}});
  channel_->done(std::move(mail));
}

// True: it has been refused. What a predecessor has begun was counted by that one.
bool Runtime::comes_too_often(const ipc::Mail& mail, const Request& request) {
  std::int64_t now = monotonic_ns();
  if (options_.client_calls.per_second == 0 || channel_->was_begun(mail) || client_rates_.take(request.from, now)) return false;
  std::string most = std::to_string(options_.client_calls.per_second);
  if (now >= next_rate_log_ns_) {
    next_rate_log_ns_ = now + kRateLogInterval.count();
    log::warning("client calls too often", {{"participant", request.from}, {"method", request.method}, {"cause", "more than " + most + " calls a second ([clients] calls_per_second)"}});
  }
  refuse(request,
         Error{Errc::kOverloaded, request.method + " was not executed: this client sends more than the " + most +
                                      " calls a second that [clients] calls_per_second allows to one worker; call less often, or wait for answers"},
         kNow);
  return true;
}

// True when the mail was an answer to us, or malformed enough not to be anything else.
bool Runtime::take_answer(const ipc::Mail& mail) {
  auto is_request = ipc::guard([&] { return mail.envelope().isRequest(); });
  if (is_request && *is_request) return false;
  ipc::Caller::WithoutCause continuations(*caller_);
  // In a mailbox that was taken up lie answers to calls of a process that is gone; numbers of its calls may be those of ours.
  if (mail.mailbox() != services_.store->self() || !caller_->complete(mail)) log::debug("answer to no open call", {{"from", mail.from()}});
  notify_waiters();
  return true;
}

void Runtime::handle_request(std::unique_ptr<ipc::Mail> mail, Request& request) {
  HostedActor* actor = find(request.target);
  if (actor && actor->once()) {
    if (auto read = read_identity(*actor, *mail, request); !read) {
      refuse(request, read.error(), kNow);
      return channel_->done(std::move(mail));
    }
    if (recall(*actor, mail, request)) return;
  }
  if (actor && !request.redo && mail->withdrawn()) {
    bool begun_before = channel_->was_begun(*mail);
    return drop_withdrawn(*actor, std::move(mail), request, begun_before);
  }
  if (auto why = unable(*mail, request, actor)) {
    refuse(request, *why, kNow);
    channel_->done(std::move(mail));
    return;
  }
  if (actor->phase() != HostedActor::Phase::kRunning) {
    actor->waiting.push_back(std::move(mail));
    return;
  }
  if (take_up(*actor, mail, request)) execute(*actor, std::move(mail), request);
}

// Of one that could not be started: not given up by the supervisor, or not yet.
bool Runtime::may_come_back(const HostedActor& actor) const {
  return ipc::takes_mail(shm::Directory(services_.store->arena()).where(actor.plan().id).state);
}

// Why the request will not be executed, now or later. Counts it.
std::optional<Error> Runtime::unable(const ipc::Mail& mail, const Request& request, HostedActor* actor) {
  if (!actor)
    return Error{Errc::kNotFound, "no actor with number " + std::to_string(request.target) + " on worker \"" + options_.worker + "\""};
  std::string what = actor->plan().name + "." + request.method;
  if (!request.redo && Deadline::at(request.deadline_ns).passed()) {
    actor->cell().expired.fetch_add(1, std::memory_order_relaxed);
    return expired(what, request.deadline_ns, channel_->was_begun(mail));
  }
  if (actor->phase() == HostedActor::Phase::kFailed && !may_come_back(*actor)) {
    actor->count(true);
    return Error{undone(channel_->was_begun(mail)), what + ": the actor could not be started: " + actor->failure().message};
  }
  return std::nullopt;
}

// Its caller mostly knows already that it will not be executed. But one that looked when we had begun this message, or one behind it, waits
// for a word.
void Runtime::drop_withdrawn(HostedActor& actor, std::unique_ptr<ipc::Mail> mail, const Request& request, bool begun_before) {
  std::string what = actor.plan().name + "." + request.method;
  refuse(request,
         Error{undone(begun_before), what + (begun_before ? ": withdrawn before it was tried again; whether it took effect is unknown"
                                                          : " was withdrawn before it was begun")},
         kNow);
  channel_->done(std::move(mail));
  actor.cell().cancelled.fetch_add(1, std::memory_order_relaxed);
}

void Runtime::execute(HostedActor& actor, std::unique_ptr<ipc::Mail> mail, const Request& request) {
  bool begun_before = channel_->was_begun(*mail);
  if (!channel_->begin(*mail) && !request.redo) return drop_withdrawn(actor, std::move(mail), request, begun_before);
  if (actor.once()) {
    if (!has_room_to_remember(actor, mail, request)) return;
    reached(Step::kBegun);
    if (actor.waits()) actor.commit_held();
  }
  capnp::MallocMessageBuilder message;
  auto result = message.initRoot<wire::Value>();
  ipc::Encoder encoder;
  std::optional<HostedActor::Running> running(actor);
  running_ = &actor;
  // What has to be gone through with is not cancelled any more.
  at_hand_ = {request.redo ? nullptr : mail.get(), Deadline::at(request.deadline_ns)};
  caller_->set_source(actor.plan().id);
  if (actor.once()) {
    actor.handling = {mail->from(), mail->lane(), mail->end()};
    caller_->set_cause(actor.handling, actor.progress().calls_made(*actor.handling), mail->mailbox());
  }
  auto arguments = ipc::guard([&] { return mail->envelope().getRequest().getArgs(); });
  shm::OriginScope origin({actor.plan().id, request.method});
  auto outcome =
      arguments ? actor.handle(request.method, *arguments, result, encoder) : Outcome{Verdict::kFailed, false, arguments.error()};
  if (actor.once()) {
    actor.handling.reset();
    caller_->set_cause(std::nullopt);
  }
  caller_->set_source(kNoActor);
  bool cancelled = at_hand_.cancelled();
  at_hand_ = {};
  running_ = nullptr;

  if (outcome.verdict == Verdict::kInterrupted) {
    if (orders_.stop_requested(actor.plan().id)) {
      leave_unread(actor);
      // Unread for the next incarnation: nothing after it may be handled in this one.
      if (orders_.stopping()) return;
      actor.waiting.push_front(std::move(mail));
      return;
    }
    std::string what = actor.plan().name + "." + request.method;
    outcome = {Verdict::kFailed, true,
               cancelled ? Error{Errc::kCancelled, what + ": gave up because nobody waits for it any more"}
                         : Error{Errc::kActorError, what + ": interrupted, though neither a stop nor its caller asked for it"}};
  }
  if (outcome.threw && device_is_lost(outcome.device_error)) return;
  if (actor.once()) {
    if (outcome.verdict == Verdict::kFailed) return hold_failure(actor, std::move(mail), request, outcome.failure);
    return hold_reply(actor, std::move(mail), request, result.asReader(), encoder);
  }
  auto committed = actor.commit_if_due();
  running.reset();
  bool failed = outcome.verdict == Verdict::kFailed || !committed;
  if (outcome.verdict == Verdict::kFailed) {
    refuse(request, outcome.failure);
  } else if (!committed) {
    refuse(request,
           Error{Errc::kOutcomeUnknown, actor.plan().name + "." + request.method +
                                            ": it ran, and its effect stands in the living actor, but its state could not be committed: "
                                            "a crash before the next commit would lose the effect: " +
                                            committed.error().message});
  } else {
    answer(request, result.asReader(), encoder);
  }
  channel_->done(std::move(mail));
  actor.count(failed);
}

// The message stays unread: a fresh process with a fresh context does it again.
bool Runtime::device_is_lost(const std::optional<std::string>& said) {
  auto error = said ? said : devices_.fatal_error();
  if (!error) return false;
  log::error("device lost", {{"device", options_.device}, {"cause", *error}});
  exit_code_ = kExitDeviceError;
  return true;
}

void Runtime::answer(const Request& request, wire::Value::Reader value, const ipc::Encoder& encoder) {
  send(
      request,
      [&](wire::Envelope::Builder envelope, ipc::Encoder& out) {
        envelope.setReply(value);
        out = encoder;
      },
      kAnswerPatience);
}

void Runtime::refuse(const Request& request, const Error& why, Nanoseconds patience) {
  if (request.one_way) log::warning("one-way message failed", {{"from", request.from}, {"cause", why.message.substr(0, kMaxFailureText)}});
  send(
      request,
      [&](wire::Envelope::Builder envelope, ipc::Encoder&) {
        auto failure = envelope.initFailure();
        failure.setCode(static_cast<std::uint16_t>(why.code));
        failure.setMessage(why.message.substr(0, kMaxFailureText));
      },
      patience);
}

// By the lane of the request; large answers to control messages by that of ordinary mail.
Result<void> Runtime::try_to_send(const Request& request, const ipc::RingChannel::Build& build, Deadline deadline) {
  auto sent = channel_->send(request.from, build, deadline, request.lane);
  if (!sent && sent.error().code == Errc::kLimit && request.lane == shm::Lane::kPriority)
    sent = channel_->send(request.from, build, deadline);
  return sent ? Result<void>{} : Result<void>{sent.error()};
}

void Runtime::send(const Request& request, const ipc::RingChannel::Build& build, Nanoseconds patience) {
  if (request.one_way) return;
  auto sent = try_to_send(
      request,
      [&](wire::Envelope::Builder envelope, ipc::Encoder& encoder) {
        envelope.setTarget(kNoActor);
        envelope.setSource(request.target);
        envelope.setCallId(request.call);
        envelope.setDeadline(request.deadline_ns);
        build(envelope, encoder);
      },
      Deadline::in(patience));
  if (sent) return;
  if (sent.error().code == Errc::kUnavailable) {
    log::debug("caller gone, answer dropped", {{"to", request.from}, {"method", request.method}});
  } else if (sent.error().code == Errc::kLimit || sent.error().code == Errc::kInvalidArgument) {
    refuse(request, Error{sent.error().code, request.method + ": its answer cannot be sent: " + sent.error().message});
  } else {
    log::warning("answer dropped", {{"to", request.from}, {"method", request.method}, {"cause", sent.error().message}});
  }
}

// Mail of actors that do not run: the caller is not kept waiting beyond its deadline, nor for one that has been given up, and what it has
// taken back makes room.
void Runtime::expire_waiting_mail() {
  for (auto& actor : actors_) {
    if (actor->waiting.empty()) continue;
    bool in_vain = actor->phase() == HostedActor::Phase::kFailed && !may_come_back(*actor);
    auto still = std::exchange(actor->waiting, {});
    for (auto& mail : still) {
      auto deadline = ipc::guard([&] { return mail->envelope().getDeadline(); });
      if (!in_vain && deadline && !Deadline::at(*deadline).passed() && !mail->withdrawn()) {
        actor->waiting.push_back(std::move(mail));
      } else {
        handle(std::move(mail));
      }
    }
  }
}

}  // namespace tv::worker
