#include "supervisor/admin_server.h"

#include <capnp/message.h>
#include <capnp/schema.h>
#include <malloc.h>

#include "config/log.h"
#include "config/show.h"
#include "ipc/message.h"
#include "supervisor/access_table.h"
#include "supervisor/text.h"

namespace tv::supervisor {
namespace {

// The wire's kinds are ours, in the same order.
static_assert(static_cast<int>(wire::FaultOrder::Kind::CRASH) == static_cast<int>(FaultKind::kCrash) &&
              static_cast<int>(wire::FaultOrder::Kind::HANG) == static_cast<int>(FaultKind::kHang) &&
              static_cast<int>(wire::FaultOrder::Kind::DELAY) == static_cast<int>(FaultKind::kDelay));

constexpr std::size_t kLargeAnswer = std::size_t{256} << 10;
constexpr std::size_t kMostPath = 4096;  // bytes

void begin(wire::AdminReply::Builder reply, std::uint64_t id) {
  reply.setVersion(wire::ADMIN_VERSION);
  reply.setId(id);
}

std::vector<std::byte> failure(std::uint64_t id, const Error& why) {
  capnp::MallocMessageBuilder message;
  auto reply = message.initRoot<wire::AdminReply>();
  begin(reply, id);
  write_failure(why, reply.initFailure());
  return ipc::serialize(message);
}

// As the schema calls it.
std::string request_name(wire::AdminRequest::Which request) {
  for (auto field : capnp::Schema::from<wire::AdminRequest>().getUnionFields())
    if (field.getProto().getDiscriminantValue() == static_cast<std::uint16_t>(request)) return field.getProto().getName().cStr();
  return "a request of unknown kind";
}

// The names in it are for people's eyes and for look-ups: longer ones than any that exist are not worth their bytes.
std::string name_of(capnp::Text::Reader reader) { return printable(text(reader), 2 * limits::kMaxName); }

}  // namespace

Result<void> AdminServer::start(DaemonView view, Operations& operations, Orders orders) {
  view_.emplace(std::move(view));
  operations_ = &operations;
  orders_ = std::move(orders);
  return pump_.start([this](const ipc::Router::Packet& packet) { take(packet); });
}

void AdminServer::take(const ipc::Router::Packet& packet) {
  auto message = ipc::Message::parse(packet.payload, limits::kMaxControlMessageBytes);
  Result<void> answered =
      message ? ipc::guard([&] { return answer(packet, message->root<wire::AdminRequest>()); }) : Result<void>(message.error());
  if (answered) return;
  ++malformed_;
  log::debug("admin message dropped", {{"cause", answered.error().message}});
}

// Told with what the asker may do and what it would need; the request's name is the schema's.
Result<void> AdminServer::check_allowed(const Peer& peer, wire::AdminRequest::Which request) {
  Role has = access_->role_of(peer), needs = role_needed(request);
  if (has >= needs) return {};
  std::string name = request_name(request);
  denials_->note(peer, name + " needs " + std::string(to_string(needs)) + ", and this user may " + std::string(to_string(has)));
  return Error{Errc::kPermission, "user " + std::to_string(peer.uid) + " may " + std::string(to_string(has)) + ", and " + name + " needs \"" +
                                      std::string(to_string(needs)) + "\": [access] in the daemon's configuration says who may do what"};
}

Result<void> AdminServer::answer(const ipc::Router::Packet& packet, wire::AdminRequest::Reader request) {
  const std::string& peer = packet.peer;
  std::uint64_t id = request.getId();
  auto who = decode_peer(packet.known);
  if (!who) return Error{Errc::kPermission, "from a peer that the gate does not know"};
  if (request.getVersion() != wire::ADMIN_VERSION) {
    pump_.send(peer, failure(id, {Errc::kProtocol, "admin protocol " + std::to_string(request.getVersion()) + ", this daemon speaks " +
                                                       std::to_string(wire::ADMIN_VERSION) + ": use the tensorctl of the same release"}));
    return {};
  }
  if (auto allowed = check_allowed(*who, request.which()); !allowed) {
    pump_.send(peer, failure(id, allowed.error()));
    return {};
  }
  auto bytes = answer_to(request);
  if (bytes.size() > limits::kMaxAdminReplyBytes)
    bytes = failure(id, {Errc::kLimit, "the answer has " + std::to_string(bytes.size()) + " bytes, at most " +
                                           std::to_string(limits::kMaxAdminReplyBytes) + " are sent; ask for fewer"});
  if (!pump_.send(peer, bytes)) log::debug("admin answer not delivered");
  // The heap keeps what it was given: a large answer is rare, and the supervisor is to stay small.
  if (bytes.size() > kLargeAnswer) {
    bytes = {};
    ::malloc_trim(0);
  }
  return {};
}

std::vector<std::byte> AdminServer::answer_to(wire::AdminRequest::Reader request) {
  capnp::MallocMessageBuilder message;
  auto reply = message.initRoot<wire::AdminReply>();
  begin(reply, request.getId());
  dispatch(request, reply);
  return ipc::serialize(message);
}

void AdminServer::dispatch(wire::AdminRequest::Reader request, wire::AdminReply::Builder reply) {
  const DaemonView& view = *view_;
  auto size = [](const auto& list) { return static_cast<unsigned>(list.size()); };
  switch (request.which()) {
    case wire::AdminRequest::STATUS:
      return write_status(view, reply.initStatus());
    case wire::AdminRequest::LIST_WORKERS:
      return write_workers(view, reply.initWorkers(size(view.workers.all())));
    case wire::AdminRequest::LIST_ACTORS:
      return write_actors(view, reply.initActors(static_cast<unsigned>(view.actors.present_count())));
    case wire::AdminRequest::LIST_POOLS:
      return write_pools(view, reply.initPools(size(view.config.pools)));
    case wire::AdminRequest::LIST_OBJECTS:
      return write_objects(view, request.getListObjects().getLimit(), request.getListObjects().getNamed(), reply.initObjects());
    case wire::AdminRequest::ARENA_STATS:
      return write_arena(view, reply.initArena());
    case wire::AdminRequest::ARENA_FSCK:
      return write_fsck(view, reply.initFsck());
    case wire::AdminRequest::ARENA_WHO: {
      auto found = write_who(view, printable(text(request.getArenaWho()), limits::kMaxObjectName), reply);
      return found ? void() : write_failure(found.error(), reply.initFailure());
    }
    case wire::AdminRequest::ARENA_LEAKS:
      return write_leaks(view, request.getArenaLeaks().getOlderThanNs(), reply.initLeaks());
    case wire::AdminRequest::ARENA_TOP:
      return write_top(view, request.getArenaTop(), reply.initTop());
    case wire::AdminRequest::LIST_PARTICIPANTS:
      return write_participants(view, reply);
    case wire::AdminRequest::LIST_DEAD_LETTERS:
      return write_dead_letters(view, reply.initDeadLetters());
    case wire::AdminRequest::SHOW_DEAD_LETTER:
      return show_dead_letter(request.getShowDeadLetter(), reply);
    case wire::AdminRequest::REPLAY_DEAD_LETTER:
      return done(operations_->replay_dead_letter(request.getReplayDeadLetter()), reply);
    case wire::AdminRequest::PURGE_DEAD_LETTERS:
      return done(operations_->purge_dead_letters(request.getPurgeDeadLetters()), reply);
    case wire::AdminRequest::LIST_CACHE:
      return write_cache(view, request.getListCache(), reply.initCache());
    // As they are: with something else in the place of a control character they might be another's name.
    case wire::AdminRequest::PIN_NAME:
      return done(operations_->pin_name(text(request.getPinName())), reply);
    case wire::AdminRequest::UNPIN_NAME:
      return done(operations_->unpin_name(text(request.getUnpinName())), reply);
    case wire::AdminRequest::REMOVE_NAME:
      return done(operations_->remove_name(text(request.getRemoveName())), reply);
    case wire::AdminRequest::CHECKPOINT: {
      auto actors = operations_->checkpoint(name_of(request.getCheckpoint()));
      return actors ? write_checkpoints(view, &*actors, reply.initCheckpoints()) : write_failure(actors.error(), reply.initFailure());
    }
    case wire::AdminRequest::LIST_CHECKPOINTS:
      return write_checkpoints(view, nullptr, reply.initCheckpoints());
    case wire::AdminRequest::RESTORE_CHECKPOINT: {
      auto order = request.getRestoreCheckpoint();
      return done(operations_->restore_checkpoint(name_of(order.getActor()), order.getGeneration()), reply);
    }
    case wire::AdminRequest::KILL:
      return done(operations_->kill(name_of(request.getKill().getWorker()), request.getKill().getSignal()), reply);
    case wire::AdminRequest::RESTART:
      return done(operations_->restart(name_of(request.getRestart())), reply);
    case wire::AdminRequest::START:
      return done(operations_->start(name_of(request.getStart())), reply);
    case wire::AdminRequest::STOP:
      return done(operations_->stop(name_of(request.getStop())), reply);
    case wire::AdminRequest::LIST_GROUPS:
      return write_groups(view, reply.initGroups(size(view.config.groups)));
    case wire::AdminRequest::RESET_FAILED:
      return done(operations_->reset_failed(name_of(request.getResetFailed())), reply);
    case wire::AdminRequest::BEGIN:
      return begin_chore(request.getBegin(), reply);
    case wire::AdminRequest::SHOW_CHORE:
      return show_chore(request.getShowChore(), reply);
    case wire::AdminRequest::INJECT: {
      auto order = request.getInject();
      return done(inject(order), reply);
    }
    case wire::AdminRequest::READ_LOG: {
      auto written = write_log(view, request.getReadLog(), reply);
      return written ? void() : write_failure(written.error(), reply.initFailure());
    }
    case wire::AdminRequest::UPGRADE: {
      auto begun = orders_.upgrade(text(request.getUpgrade()));
      return begun ? reply.setDone("the new program is being asked whether it can go on") : write_failure(begun.error(), reply.initFailure());
    }
    case wire::AdminRequest::CONFIG_SHOW: {
      auto shown = config::to_toml(view.config);
      return reply.setConfigText({shown.c_str(), shown.size()});
    }
    case wire::AdminRequest::CONFIG_DIFF: {
      auto other = request.getConfigDiff();
      return show_changes(orders_.diff(text(other.getText()), printable(text(other.getName()), kMostPath), printable(text(other.getDirectory()), kMostPath)), reply);
    }
    case wire::AdminRequest::CONFIG_RELOAD:
      return show_changes(orders_.reload(), reply);
    case wire::AdminRequest::SHUTDOWN:
      orders_.shutdown();
      return reply.setDone("stopping");
  }
  ++malformed_;
  write_failure({Errc::kUnsupported, "a request of unknown kind " + std::to_string(static_cast<int>(request.which())) +
                                         "; this daemon is older than the program that asks"},
                reply.initFailure());
}

void AdminServer::show_dead_letter(std::uint64_t id, wire::AdminReply::Builder reply) {
  auto letter = view_->dead_letters.find(id);
  if (!letter) return write_failure(letter.error(), reply.initFailure());
  auto written = ipc::guard([&] { write_dead_letter(*view_, **letter, reply.initDeadLetter()); });
  if (!written)
    write_failure({Errc::kCorrupt, "dead letter " + std::to_string(id) + " cannot be read: " + written.error().message},
                  reply.initFailure());
}

void AdminServer::begin_chore(wire::ChoreOrder::Reader order, wire::AdminReply::Builder reply) {
  auto name = name_of(order.getName());
  auto begun = [&]() -> Result<ChoreId> {
    switch (order.getKind()) {
      case wire::ChoreOrder::Kind::DRAIN: return operations_->begin(Chore::kDrain, name);
      case wire::ChoreOrder::Kind::ROLL: return operations_->begin(Chore::kRoll, name);
      case wire::ChoreOrder::Kind::SUSPEND: return operations_->begin(Chore::kSuspend, name);
      case wire::ChoreOrder::Kind::RESUME: return operations_->begin(Chore::kResume, name);
      case wire::ChoreOrder::Kind::SCALE: return operations_->scale(name, order.getReplicas());
      case wire::ChoreOrder::Kind::UNDRAIN: break;
    }
    return Error{Errc::kUnsupported, "an order of unknown kind; this daemon is older than the program that asks"};
  };
  if (order.getKind() == wire::ChoreOrder::Kind::UNDRAIN) return done(operations_->undrain(name), reply);
  auto id = begun();
  if (!id) return write_failure(id.error(), reply.initFailure());
  show_chore(*id, reply);
}

Result<std::string> AdminServer::inject(wire::FaultOrder::Reader order) {
  constexpr auto kLast = static_cast<std::uint16_t>(wire::FaultOrder::Kind::DELAY);
  auto kind = static_cast<std::uint16_t>(order.getKind());
  if (kind > kLast) return Error{Errc::kUnsupported, "a fault of unknown kind; this daemon is older than the program that asks"};
  Fault fault{.kind = static_cast<FaultKind>(kind), .code = order.getCode(), .count = order.getCount() == 0 ? 1 : order.getCount(), .delay = Nanoseconds{order.getDelayNs()}};
  return operations_->inject(name_of(order.getName()), fault);
}

void AdminServer::show_chore(ChoreId id, wire::AdminReply::Builder reply) {
  const auto* task = operations_->chore(id);
  if (!task) return write_failure({Errc::kNotFound, "no chore has the number " + std::to_string(id) + ", or it has long ended"}, reply.initFailure());
  static constexpr const char* kStates[] = {"going", "done", "failed", "cancelled"};
  auto out = reply.initChore();
  out.setId(id);
  out.setKind(std::string(chore_name(task->chore)));
  out.setName(task->name);
  out.setState(kStates[static_cast<std::size_t>(task->state)]);
  out.setDone(static_cast<std::uint32_t>(task->done()));
  out.setOf(static_cast<std::uint32_t>(task->units.size()));
  if (const auto* at = task->at()) out.setAt(at->name);
  out.setMessage(task->why);
}

void AdminServer::show_changes(const Result<ReloadPlan>& plan, wire::AdminReply::Builder reply) {
  if (!plan) return write_failure(plan.error(), reply.initFailure());
  auto put = [](const std::string& value) { return capnp::Text::Reader(value.c_str(), value.size()); };
  auto out = reply.initConfigChanges();
  out.setFile(view_->config.path);
  out.setNeedsRestart(plan->needs_restart());
  out.setInTheWay(put(plan->in_the_way));
  auto changes = out.initChanges(static_cast<unsigned>(plan->changes.size()));
  for (unsigned i = 0; i < changes.size(); ++i) {
    const Change& change = plan->changes[i];
    changes[i].setWhat(put(change.what));
    changes[i].setKey(put(change.key));
    changes[i].setBefore(put(change.before));
    changes[i].setAfter(put(change.after));
    changes[i].setMeans(std::string(means_text(change.means)));
    changes[i].setNote(put(change.note));
  }
}

void AdminServer::done(const Result<std::string>& outcome, wire::AdminReply::Builder reply) {
  if (!outcome) return write_failure(outcome.error(), reply.initFailure());
  reply.setDone({outcome->c_str(), outcome->size()});
}

}  // namespace tv::supervisor
