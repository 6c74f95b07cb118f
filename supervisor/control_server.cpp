#include "supervisor/control_server.h"

#include <capnp/message.h>

#include "config/log.h"
#include "supervisor/access.h"
#include "supervisor/text.h"

namespace tv::supervisor {
namespace {

constexpr std::size_t kMaxReason = 4096;  // bytes of a worker's message that are kept

std::string reason(wire::Failure::Reader failure) { return printable(text(failure.getMessage()), kMaxReason); }

}  // namespace

Result<void> ControlServer::start(Workers& workers, const Actors& actors) {
  workers_ = &workers;
  actors_ = &actors;
  return pump_.start([this](const ipc::Router::Packet& packet) { take(packet); });
}

void ControlServer::take(const ipc::Router::Packet& packet) {
  auto message = ipc::Message::parse(packet.payload, limits::kMaxControlMessageBytes);
  Result<void> handled =
      message ? ipc::guard([&] { return handle(packet, message->root<wire::ToSupervisor>()); }) : Result<void>(message.error());
  if (handled) return;
  ++malformed_;
  log::debug("control message dropped", {{"cause", handled.error().message}});
}

Result<void> ControlServer::handle(const ipc::Router::Packet& packet, wire::ToSupervisor::Reader message) {
  if (message.getVersion() != wire::CONTROL_VERSION) {
    refuse(packet.peer, {Errc::kProtocol, "control protocol " + std::to_string(message.getVersion()) + ", this supervisor speaks " +
                                              std::to_string(wire::CONTROL_VERSION) + ": install both from one release"});
    return {};
  }
  if (message.isHello()) return hello(packet, message);
  TV_TRY(check_sender(packet.peer, message));
  return obey(packet.peer, message.getParticipant() - 1, message);
}

// The gate lets only processes of our own user in. Which process it is, the kernel says as well.
Result<void> ControlServer::hello(const ipc::Router::Packet& packet, wire::ToSupervisor::Reader message) {
  const std::string& identity = packet.peer;
  auto sender = decode_peer(packet.known);
  if (!sender) return Error{Errc::kPermission, "from a peer that the gate does not know"};
  ParticipantId participant = message.getParticipant();
  if (participant == kSupervisor || participant > workers_->all().size()) {
    refuse(identity, {Errc::kNotFound, "participant " + std::to_string(participant) + " is no worker of this supervisor"});
    return {};
  }
  const Worker& worker = workers_->all()[participant - 1];
  if (worker.incarnation != message.getIncarnation() || worker.pid() == 0 || worker.pid() != message.getHello().getPid() || worker.pid() != sender->pid) {
    refuse(identity, {Errc::kPermission, "worker \"" + worker.config->name + "\" is another process (pid " + std::to_string(worker.pid()) +
                                             ", incarnation " + std::to_string(worker.incarnation) + ")"});
    return {};
  }
  Peer& peer = peers_[participant];
  peer.identity = identity;
  send(identity, [](wire::ToWorker::Builder out) { out.setWelcome(); });
  for (const auto& fill : std::exchange(peer.early, {})) send(identity, fill);
  if (peer.stop_wanted) stop(participant);
  if (message.getHello().getRenewed()) meet_again(participant - 1, message);
  return {};
}

void ControlServer::meet_again(std::size_t worker, wire::ToSupervisor::Reader message) {
  workers_->met_again(worker, message.getHello().getReady());
  std::map<ActorId, wire::ActorStanding::Reader> told;
  for (auto standing : message.getHello().getActors()) told.emplace(standing.getActor(), standing);
  for (ActorId id : actors_->of_worker(worker)) {
    auto standing = told.find(id);
    if (standing == told.end()) {
      workers_->met_again(worker, id, ActorReport::kUnknown, false, {});
      continue;
    }
    auto reader = standing->second;
    auto report = reader.getState() == wire::ActorStanding::State::RUNNING   ? ActorReport::kRunning
                  : reader.getState() == wire::ActorStanding::State::STOPPED ? ActorReport::kStopped
                  : reader.getState() == wire::ActorStanding::State::FAILED  ? ActorReport::kFailed
                                                                             : ActorReport::kUnknown;
    workers_->met_again(worker, id, report, reader.getRestored(), reason(reader.getFailure()));
    if (reader.getAsked()) workers_->actor_health(id, reader.getHealthy(), printable(text(reader.getReason()), kMaxReason));
  }
}

Result<void> ControlServer::check_sender(const std::string& identity, wire::ToSupervisor::Reader message) const {
  ParticipantId participant = message.getParticipant();
  if (participant == kSupervisor || participant > workers_->all().size()) return Error{Errc::kProtocol, "from no worker"};
  if (peers_[participant].identity != identity) return Error{Errc::kProtocol, "from a peer that has not said hello"};
  if (workers_->all()[participant - 1].incarnation != message.getIncarnation()) return Error{Errc::kProtocol, "of an earlier life"};
  return {};
}

Result<void> ControlServer::obey(const std::string& identity, std::size_t worker, wire::ToSupervisor::Reader message) {
  switch (message.which()) {
    case wire::ToSupervisor::ACTOR_READY: {
      auto notice = message.getActorReady();
      if (!actors_->belongs(notice.getActor(), worker)) return Error{Errc::kProtocol, "about an actor of another worker"};
      workers_->actor_ready(worker, notice.getActor(), notice.getRestored());
      return {};
    }
    case wire::ToSupervisor::ACTOR_FAILED: {
      auto notice = message.getActorFailed();
      if (!actors_->belongs(notice.getActor(), worker)) return Error{Errc::kProtocol, "about an actor of another worker"};
      workers_->actor_failed(notice.getActor(), reason(notice.getFailure()));
      return {};
    }
    case wire::ToSupervisor::ACTOR_STOPPED:
      if (!actors_->belongs(message.getActorStopped(), worker)) return Error{Errc::kProtocol, "about an actor of another worker"};
      workers_->actor_stopped(message.getActorStopped());
      return {};
    case wire::ToSupervisor::ACTOR_SETTLED: {
      auto notice = message.getActorSettled();
      if (!actors_->belongs(notice.getActor(), worker)) return Error{Errc::kProtocol, "about an actor of another worker"};
      workers_->actor_settled(notice.getActor(), notice.getToken());
      return {};
    }
    case wire::ToSupervisor::ACTOR_COMMITTED:
      if (!actors_->belongs(message.getActorCommitted(), worker)) return Error{Errc::kProtocol, "about an actor of another worker"};
      workers_->actor_committed(message.getActorCommitted());
      return {};
    case wire::ToSupervisor::COMMIT_FAILED: {
      auto notice = message.getCommitFailed();
      if (!actors_->belongs(notice.getActor(), worker)) return Error{Errc::kProtocol, "about an actor of another worker"};
      workers_->commit_failed(notice.getActor(), reason(notice.getFailure()));
      return {};
    }
    case wire::ToSupervisor::HEALTH: {
      auto notice = message.getHealth();
      if (!actors_->belongs(notice.getActor(), worker)) return Error{Errc::kProtocol, "about an actor of another worker"};
      workers_->actor_health(notice.getActor(), notice.getHealthy(), printable(text(notice.getReason()), kMaxReason));
      return {};
    }
    case wire::ToSupervisor::READY:
      workers_->ready(worker);
      return {};
    case wire::ToSupervisor::BEAT:
      recovery_.collect();
      return {};
    case wire::ToSupervisor::NAMES:
      names(identity, message.getNames());
      return {};
    case wire::ToSupervisor::DEAD_LETTER: {
      auto request = message.getDeadLetter();
      if (!actors_->belongs(request.getLetter().getActor(), worker)) return Error{Errc::kProtocol, "about an actor of another worker"};
      take_dead_letter(identity, worker, request);
      return {};
    }
    case wire::ToSupervisor::STOPPING:
      log::debug("worker is stopping", {{"worker", workers_->all()[worker].config->name}});
      return {};
    case wire::ToSupervisor::CANNOT_WORK:
      workers_->cannot_work(worker, reason(message.getCannotWork()));
      return {};
    default:
      return Error{Errc::kProtocol, "of unknown kind " + std::to_string(static_cast<int>(message.which()))};
  }
}

void ControlServer::names(const std::string& identity, wire::NameRequest::Reader request) {
  auto reply = [this, identity, number = request.getRequest()](const Result<std::uint64_t>& version) {
    send(identity, [&](wire::ToWorker::Builder out) { write_name_reply(number, version, out.initNames()); });
  };
  names_.serve(request, reply);
  recovery_.collect();
}

void ControlServer::take_dead_letter(const std::string& identity, std::size_t worker, wire::ToSupervisor::DeadLetter::Reader request) {
  const std::string& actor = (*actors_)[request.getLetter().getActor()].placed.name;
  auto taken = dead_letters_.take(request.getLetter());
  if (!taken) {
    log::error("dead letter refused", {{"actor", actor}, {"cause", taken.error().message}});
    return refuse_letter(identity, request.getRequest(), taken.error());
  }
  const DeadLetter& letter = *taken->letter;
  if (taken->fresh)
    log::warning("dead letter taken", {{"id", letter.id},
                                       {"actor", actor},
                                       {"worker", workers_->all()[worker].config->name},
                                       {"method", letter.method},
                                       {"from", letter.from_name},
                                       {"tries", letter.tries},
                                       {"cause", letter.cause},
                                       {"next", "tensorctl dead-letters show " + std::to_string(letter.id)}});
  dead_letter_taken_();
  send(identity, [&](wire::ToWorker::Builder out) {
    auto answer = out.initDeadLetterTaken();
    answer.setRequest(request.getRequest());
    answer.setId(letter.id);
  });
}

void ControlServer::refuse_letter(const std::string& identity, std::uint64_t request, const Error& why) {
  send(identity, [&](wire::ToWorker::Builder out) {
    auto refused = out.initDeadLetterRefused();
    refused.setRequest(request);
    write_failure(why, refused.initFailure());
  });
}

void ControlServer::refuse(const std::string& identity, const Error& why) {
  ++malformed_;
  log::warning("worker refused", {{"cause", why.message}});
  send(identity, [&](wire::ToWorker::Builder out) { write_failure(why, out.initRefused()); });
}

void ControlServer::stop(ParticipantId worker) {
  peers_[worker].stop_wanted = true;
  order(worker, [](wire::ToWorker::Builder out) { out.setStop(); });
}

void ControlServer::stop_actor(ParticipantId worker, ActorId actor) {
  order_soon(worker, [actor](wire::ToWorker::Builder out) { out.setStopActor(actor); });
}

void ControlServer::start_actor(ParticipantId worker, ActorId actor) {
  order_soon(worker, [actor](wire::ToWorker::Builder out) { out.setStartActor(actor); });
}

void ControlServer::commit_actor(ParticipantId worker, ActorId actor) {
  order_soon(worker, [actor](wire::ToWorker::Builder out) { out.setCommitActor(actor); });
}

void ControlServer::inject(ParticipantId worker, ActorId actor, const Fault& fault) {
  order(worker, [=](wire::ToWorker::Builder out) {
    auto order = out.initFault();
    switch (fault.kind) {
      case FaultKind::kExit: order.setKind(wire::Fault::EXIT); break;
      case FaultKind::kThrow: order.setKind(wire::Fault::THROW); break;
      case FaultKind::kDelay: order.setKind(wire::Fault::DELAY); break;
      default: order.setKind(wire::Fault::HANG); break;
    }
    order.setActor(actor);
    order.setCount(fault.count);
    order.setDelayNs(fault.delay.count());
    order.setCode(fault.code);
  });
}

void ControlServer::host(ParticipantId worker, const std::vector<AssignedActor>& actors) {
  order_soon(worker, [actors](wire::ToWorker::Builder out) { write_actors(actors, out.initHost(static_cast<unsigned>(actors.size()))); });
}

void ControlServer::settle_actor(ParticipantId worker, ActorId actor, std::uint64_t token) {
  order_soon(worker, [=](wire::ToWorker::Builder out) {
    out.initSettleActor().setActor(actor);
    out.getSettleActor().setToken(token);
  });
}

void ControlServer::order(ParticipantId worker, const Fill& fill) {
  if (!peers_[worker].identity.empty()) send(peers_[worker].identity, fill);
}

void ControlServer::order_soon(ParticipantId worker, Fill fill) {
  if (peers_[worker].identity.empty()) return peers_[worker].early.push_back(std::move(fill));
  send(peers_[worker].identity, fill);
}

void ControlServer::send(const std::string& identity, const Fill& fill) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<wire::ToWorker>();
  root.setVersion(wire::CONTROL_VERSION);
  fill(root);
  // A peer that does not read is bounded elsewhere: by start_timeout, stop_grace, or the deadline of its own request.
  if (!pump_.send(identity, ipc::serialize(message))) log::debug("order not delivered");
}

}  // namespace tv::supervisor
