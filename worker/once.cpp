// What the loop does more for effectively_once actors: recognises what has been dealt with, and holds answers until their commit. Part of
// Runtime.
#include <algorithm>

#include "config/log.h"
#include "shm/directory.h"
#include "worker/request_hash.h"
#include "worker/runtime.h"

namespace tv::worker {
namespace {

constexpr std::size_t kMaxFailureText = 4096;
// How long mail stays unread while no commit succeeds.
constexpr Nanoseconds kHoldPatience = 10s;

ipc::MessagePlace place_of(const ipc::Mail& mail) { return {mail.from(), mail.lane(), mail.end()}; }

std::vector<std::byte> reply_envelope(wire::Value::Reader value) {
  capnp::MallocMessageBuilder message;
  message.initRoot<wire::Envelope>().setReply(value);
  return ipc::serialize(message);
}

std::vector<std::byte> failure_envelope(const Error& why) {
  capnp::MallocMessageBuilder message;
  auto failure = message.initRoot<wire::Envelope>().initFailure();
  failure.setCode(static_cast<std::uint16_t>(why.code));
  failure.setMessage(why.message.substr(0, kMaxFailureText));
  return ipc::serialize(message);
}

std::vector<shm::Hold> objects_of(const ipc::Encoder& encoder) {
  std::vector<shm::Hold> objects;
  for (const auto& tensor : encoder.tensors) objects.push_back(tensor.hold());
  for (const auto& pending : encoder.pending) objects.push_back(pending.hold());
  return objects;
}

}  // namespace

void Runtime::reached(Step step) {
  if (options_.steps) options_.steps->reached(step);
}

// What an effectively_once actor needs to know of a message besides what stands in every request. An Error: it cannot be.
Result<void> Runtime::read_identity(const HostedActor& actor, const ipc::Mail& mail, Request& request) {
  bool begun = actor.put_back() ? channel_->was_begun(mail) : channel_->was_begun_by_predecessor(mail);
  request.redo = begun && !mail.never_begun();
  const shm::Arena& arena = *services_.store->arena();
  // Clients are not replayed: what they say there means nothing.
  if (static_cast<shm::ParticipantKind>(arena.participant(mail.from()).kind.load(std::memory_order_acquire)) != shm::ParticipantKind::kWorker)
    return {};
  return ipc::guard([&]() -> Result<void> {
    auto envelope = mail.envelope();
    if (!envelope.hasCause()) return {};
    auto cause = envelope.getCause();
    ParticipantId worker = cause.getWorker() == 0 ? mail.from() : cause.getWorker();
    ipc::CallIdentity call{worker,
                           envelope.getSource(),
                           {cause.getFrom(), static_cast<shm::Lane>(cause.getLane()), cause.getEnd()},
                           cause.getNumber()};
    bool possible = worker < limits::kMaxParticipants && (shm::readers_of(arena, worker) & bit(mail.from())) != 0 && call.source < limits::kMaxActors && call.cause.from < limits::kMaxParticipants && cause.getLane() < shm::kLanes &&
                    call.number > 0 && call.cause.end > 0 && call.cause.end <= cursors_.tail(call.cause.from, call.worker, call.cause.lane);
    if (!possible) return Error{Errc::kProtocol, request.method + ": it says that it was caused by a message that cannot be"};
    request.identity = call;
    request.hash = request_hash(request.method, envelope.getRequest().getArgs());
    return {};
  });
}

// True: the message has been dealt with before, in this life or an earlier one, and so it is now.
bool Runtime::recall(HostedActor& actor, std::unique_ptr<ipc::Mail>& mail, Request& request) {
  if (actor.phase() != HostedActor::Phase::kRunning) return false;
  auto place = place_of(*mail);
  auto answer = request.identity ? actor.progress().answer_to(*request.identity) : nullptr;
  if (answer && answer->request_hash != request.hash) {
    refuse_other_call(actor, *mail, request);
    channel_->done(std::move(mail));
    return true;
  }
  if (!answer) {
    if (!actor.progress().includes(place)) return false;
    answer = actor.progress().answer_to(place);  // null: sent before the commit that is current
  }
  actor.cell().repeated.fetch_add(1, std::memory_order_relaxed);
  if (answer && !actor.progress().is_committed(*answer)) {
    actor.held.push_back({std::move(mail), request, std::move(answer), false, true, false});
    return true;
  }
  if (answer && !request.one_way) give(request, *answer);
  channel_->done(std::move(mail));
  return true;
}

void Runtime::refuse_other_call(HostedActor& actor, const ipc::Mail& mail, const Request& request) {
  std::string source(shm::Directory(services_.store->arena()).actor_name(request.identity->source));
  Error why{Errc::kActorError,
            "actor \"" + source + "\" was restarted in the middle of a message, and when it handled that again its call number " +
                std::to_string(request.identity->number) + " became another one: " + actor.plan().name + "." + request.method +
                ", or its arguments, are not those of the first time. The methods of effectively_once actors must do the same each time"};
  log::error("replay is not deterministic", {{"actor", source}, {"participant", mail.from()}, {"cause", why.message}});
  refuse(request, why);
}

// False: there is no room to remember its answer, and it has been refused.
bool Runtime::has_room_to_remember(HostedActor& actor, std::unique_ptr<ipc::Mail>& mail, const Request& request) {
  if (!request.identity || request.redo || !actor.progress().full()) return true;
  actor.progress().prune(cursors_);
  if (!actor.progress().full()) return true;
  refuse(request, Error{Errc::kOverloaded, actor.plan().name + "." + request.method + " was not executed: the actor keeps " +
                                               std::to_string(actor.progress().kept()) + " answers (" +
                                               std::to_string(actor.progress().kept_bytes()) +
                                               " bytes) for callers that have not finished the messages which they asked for; it keeps at most " +
                                               std::to_string(limits::kMaxKeptAnswers) + " and " + std::to_string(limits::kMaxKeptAnswerBytes) +
                                               " bytes: see what those callers wait for"});
  channel_->done(std::move(mail));
  return false;
}

void Runtime::hold_reply(HostedActor& actor, std::unique_ptr<ipc::Mail> mail, const Request& request, wire::Value::Reader value,
                         const ipc::Encoder& encoder) {
  GivenAnswer answer{place_of(*mail), request.identity, request.hash, request.one_way, {}, {}};
  if (!request.one_way) {
    answer.envelope = reply_envelope(value);
    answer.tensors = objects_of(encoder);
  }
  hold(actor, std::move(mail), request, std::move(answer), false);
}

void Runtime::hold_failure(HostedActor& actor, std::unique_ptr<ipc::Mail> mail, const Request& request, const Error& why) {
  if (request.one_way) log::warning("one-way message failed", {{"from", request.from}, {"cause", why.message.substr(0, kMaxFailureText)}});
  GivenAnswer answer{place_of(*mail), request.identity, request.hash, request.one_way, {}, {}};
  if (!request.one_way) answer.envelope = failure_envelope(why);
  hold(actor, std::move(mail), request, std::move(answer), true);
}

void Runtime::hold(HostedActor& actor, std::unique_ptr<ipc::Mail> mail, const Request& request, GivenAnswer answer, bool failed) {
  auto noted = actor.progress().note(std::move(answer));
  actor.held.push_back({std::move(mail), request, std::move(noted), failed, false, false});
  reached(Step::kHandled);
  // One by one through what a predecessor had begun: if one of these kills, it is the one at hand.
  if (request.redo) {
    (void)actor.commit();
  } else {
    (void)actor.commit_if_due();
  }
}

void Runtime::after_commit(HostedActor& actor, const Result<void>& committed) {
  if (!committed) {
    tell_uncommitted(actor, committed.error());
    if (actor.uncommitted_for() > kHoldPatience) let_go(actor, committed.error());
    return;
  }
  while (!actor.held.empty()) {
    auto held = std::move(actor.held.front());
    actor.held.pop_front();
    if (!held.told && !held.request.one_way) give(held.request, *held.answer);
    reached(Step::kAnswered);
    channel_->done(std::move(held.mail));
    if (!held.repeated) actor.count(held.failed);
    reached(Step::kCursorMoved);
  }
}

// Their mail stays unread until a commit succeeds; their callers need not wait for that.
void Runtime::tell_uncommitted(HostedActor& actor, const Error& why) {
  for (auto& held : actor.held) {
    if (std::exchange(held.told, true) || held.request.one_way) continue;
    refuse(held.request, Error{Errc::kOutcomeUnknown, actor.plan().name + "." + held.request.method +
                                                          ": it ran, but its state could not be committed yet, which will be tried again; after a "
                                                          "crash before that it runs again: " +
                                                          why.message});
  }
}

// What is unread stands in the way of all mail of its senders to this worker: an actor that cannot commit must not do that for ever.
void Runtime::let_go(HostedActor& actor, const Error& why) {
  log::error("messages let go without a commit",
             {{"actor", actor.plan().name},
              {"messages", actor.held.size()},
              {"cause", why.message},
              {"consequence", "their effect stands in the living actor, and is lost if its worker dies before a commit succeeds"}});
  for (; !actor.held.empty(); actor.held.pop_front()) {
    channel_->done(std::move(actor.held.front().mail));
    if (!actor.held.front().repeated) actor.count(true);
  }
}

void Runtime::give(const Request& request, const GivenAnswer& answer) {
  auto message = ipc::Message::parse(answer.envelope, answer.envelope.size());
  if (!message) return refuse(request, Error{Errc::kInternal, "an answer that was kept cannot be read: " + message.error().message});
  send(
      request,
      [&](wire::Envelope::Builder out, ipc::Encoder& encoder) {
        auto kept = message->root<wire::Envelope>();
        if (kept.isFailure()) {
          out.setFailure(kept.getFailure());
        } else {
          out.setReply(kept.getReply());
        }
        for (const auto& object : answer.tensors) encoder.pending.emplace_back(object);
      },
      kAnswerPatience);
}

// Before the loop goes idle: nobody is to wait for the traffic of others.
void Runtime::commit_held(const HostedActor* except) {
  for (auto& actor : actors_)
    if (actor.get() != except) actor->commit_held();
}

}  // namespace tv::worker
