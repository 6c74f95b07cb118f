// What the loop does with one message. Part of Runtime.
#include <algorithm>

#include "config/log.h"
#include "worker/runtime.h"

namespace tv::worker {
namespace {

// How long an answer waits for room in its caller's ring. A caller that reads nothing for so long has other troubles.
constexpr Nanoseconds kAnswerPatience = 5s;
// Method names come from the caller, texts of exceptions from anywhere: this always fits the smallest ring.
constexpr std::size_t kMaxFailureText = 4096;

Error deadline_passed(const std::string& actor, const std::string& method) {
  return Error{Errc::kDeadlineExceeded, actor + "." + method + ": its deadline had passed before it was read; it was not executed"};
}

}  // namespace

void Runtime::handle(std::unique_ptr<ipc::Mail> mail) {
  if (take_answer(*mail)) return channel_->done(std::move(mail));
  auto request = ipc::guard([&] {
    auto envelope = mail->envelope();
    auto fields = envelope.getRequest();
    auto method = fields.getMethod();
    return Request{mail->from(),           envelope.getTarget(), envelope.getCallId(),
                   envelope.getDeadline(), fields.getOneWay(),   std::string(method.begin(), method.size())};
  });
  if (request) return handle_request(std::move(mail), *request);
  log::warning("malformed message dropped", {{"from", mail->from()}, {"cause", request.error().message}});
  channel_->done(std::move(mail));
}

// True when the mail was an answer to us, or malformed enough not to be anything else.
bool Runtime::take_answer(const ipc::Mail& mail) {
  auto is_request = ipc::guard([&] { return mail.envelope().isRequest(); });
  if (is_request && *is_request) return false;
  if (!caller_->complete(mail)) log::debug("answer to no open call", {{"from", mail.from()}});
  notify_waiters();
  return true;
}

void Runtime::handle_request(std::unique_ptr<ipc::Mail> mail, const Request& request) {
  HostedActor* actor = find(request.target);
  if (auto why = unable(request, actor)) {
    refuse(request, *why);
    channel_->done(std::move(mail));
    if (actor) actor->count(true);
    return;
  }
  if (actor->phase() == HostedActor::Phase::kStopped) {
    actor->waiting.push_back(std::move(mail));
    return;
  }
  execute(*actor, std::move(mail), request);
}

// Why the request will not be executed, now or later.
std::optional<Error> Runtime::unable(const Request& request, HostedActor* actor) const {
  if (!actor)
    return Error{Errc::kNotFound, "no actor with number " + std::to_string(request.target) + " on worker \"" + options_.worker + "\""};
  if (actor->phase() == HostedActor::Phase::kFailed)
    return Error{Errc::kUnavailable,
                 actor->plan().name + "." + request.method + ": the actor could not be started: " + actor->failure().message};
  if (Deadline::at(request.deadline_ns).passed()) return deadline_passed(actor->plan().name, request.method);
  return std::nullopt;
}

void Runtime::execute(HostedActor& actor, std::unique_ptr<ipc::Mail> mail, const Request& request) {
  capnp::MallocMessageBuilder message;
  auto result = message.initRoot<wire::Value>();
  ipc::Encoder encoder;
  running_ = &actor;
  caller_->set_source(actor.plan().id);
  auto arguments = ipc::guard([&] { return mail->envelope().getRequest().getArgs(); });
  auto outcome =
      arguments ? actor.handle(request.method, *arguments, result, encoder) : Outcome{Verdict::kFailed, false, arguments.error()};
  caller_->set_source(kNoActor);
  running_ = nullptr;

  if (outcome.verdict == Verdict::kInterrupted) {
    if (orders_.stop_requested(actor.plan().id)) {
      // Unread for the next incarnation: nothing after it may be handled in this one.
      if (orders_.stopping()) return;
      actor.waiting.push_front(std::move(mail));
      return;
    }
    outcome = {Verdict::kFailed, true,
               Error{Errc::kActorError, actor.plan().name + "." + request.method + ": interrupted without a stop request"}};
  }
  if (outcome.threw && device_is_lost()) return;
  auto committed = actor.commit_if_due();
  bool failed = outcome.verdict == Verdict::kFailed || !committed;
  if (outcome.verdict == Verdict::kFailed) {
    refuse(request, outcome.failure);
  } else if (!committed) {
    refuse(request,
           Error{Errc::kOutcomeUnknown, actor.plan().name + "." + request.method +
                                            ": it ran, but its effect would not outlive the worker: " + committed.error().message});
  } else {
    answer(request, result.asReader(), encoder);
  }
  channel_->done(std::move(mail));
  actor.count(failed);
}

// The message stays unread: a fresh process with a fresh context does it again.
bool Runtime::device_is_lost() {
  auto error = devices_.fatal_error();
  if (!error) return false;
  log::error("device lost", {{"device", options_.device}, {"cause", *error}});
  exit_code_ = kExitDeviceError;
  return true;
}

void Runtime::answer(const Request& request, wire::Value::Reader value, const ipc::Encoder& encoder) {
  send(request, [&](wire::Envelope::Builder envelope, ipc::Encoder& out) {
    envelope.setReply(value);
    out = encoder;
  });
}

void Runtime::refuse(const Request& request, const Error& why) {
  if (request.one_way) log::warning("one-way message failed", {{"from", request.from}, {"cause", why.message.substr(0, kMaxFailureText)}});
  send(request, [&](wire::Envelope::Builder envelope, ipc::Encoder&) {
    auto failure = envelope.initFailure();
    failure.setCode(static_cast<std::uint16_t>(why.code));
    failure.setMessage(why.message.substr(0, kMaxFailureText));
  });
}

void Runtime::send(const Request& request, const ipc::RingChannel::Build& build) {
  if (request.one_way) return;
  auto sent = channel_->send(
      request.from,
      [&](wire::Envelope::Builder envelope, ipc::Encoder& encoder) {
        envelope.setTarget(kNoActor);
        envelope.setSource(request.target);
        envelope.setCallId(request.call);
        envelope.setDeadline(request.deadline_ns);
        build(envelope, encoder);
      },
      Deadline::in(kAnswerPatience));
  if (sent) return;
  if (sent.error().code == Errc::kUnavailable) {
    log::debug("caller gone, answer dropped", {{"to", request.from}, {"method", request.method}});
  } else if (sent.error().code == Errc::kLimit || sent.error().code == Errc::kInvalidArgument) {
    refuse(request, Error{sent.error().code, request.method + ": its answer cannot be sent: " + sent.error().message});
  } else {
    log::warning("answer dropped", {{"to", request.from}, {"method", request.method}, {"cause", sent.error().message}});
  }
}

// Mail of stopped actors: the caller is not kept waiting beyond its deadline.
void Runtime::expire_waiting_mail() {
  for (auto& actor : actors_) {
    auto still = std::exchange(actor->waiting, {});
    for (auto& mail : still) {
      auto deadline = ipc::guard([&] { return mail->envelope().getDeadline(); });
      if (deadline && !Deadline::at(*deadline).passed()) {
        actor->waiting.push_back(std::move(mail));
      } else {
        handle(std::move(mail));
      }
    }
  }
}

}  // namespace tv::worker
