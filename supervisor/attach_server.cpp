#include "supervisor/attach_server.h"

#include <capnp/message.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

#include "config/log.h"
#include "ipc/spawn.capnp.h"
#include "supervisor/access_table.h"
#include "supervisor/fault_report.h"
#include "supervisor/text.h"

namespace tv::supervisor {
namespace {

constexpr std::size_t kMaxUnfinished = 128;
constexpr Nanoseconds kPatience = 5s;
constexpr int kAcceptsPerTurn = 64;
constexpr Nanoseconds kShedLogInterval = 10s;
constexpr Nanoseconds kLimitsInterval = 1s;  // a look at who has what costs a look at every object

// The kernel resets a connection that is closed with packets unread, and the other side would see that instead of our answer.
void discard_unread(int socket) {
  ::shutdown(socket, SHUT_RD);  // no more come in, so that this ends; one that is closed already needs nothing
  char byte;
  while (::recv(socket, &byte, sizeof byte, MSG_DONTWAIT) > 0) {
  }
}

bool has_hung_up(int socket) {
  pollfd item{socket, 0, 0};
  return ::poll(&item, 1, 0) == 1 && (item.revents & (POLLHUP | POLLERR)) != 0;
}

Fd spare_descriptor() { return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

}  // namespace

Result<void> AttachServer::start() {
  reserve_ = spare_descriptor();
  acceptable_ = TV_TRY(loop_.watch(listener_.get(), EPOLLIN, [this] { accept_all(); }));
  recovery_.on_tick([this] { return settle(); });
  if (most_blocks_ != 0 || most_objects_ != 0) limits_timer_ = loop_.after(kLimitsInterval, [this] { look_at_limits(); });
  return {};
}

// The arena cannot keep a program of its own making from taking more than it may: it is seen afterwards. What it had is free for others then.
void AttachServer::look_at_limits() {
  if (!clients_.empty()) {
    auto use = shm::use_by_participant(arena_);
    std::map<ParticipantId, std::string> over;
    for (const auto& [id, client] : clients_)
      if (auto why = over_limit(use[id]); !why.empty()) over.emplace(id, why);
    for (const auto& [id, why] : over) {
      log::warning("client over its limits", {{"client", clients_.at(id).name}, {"pid", clients_.at(id).pid}, {"cause", why}, {"next", "it is detached"}});
      send_away(id, why);
    }
  }
  limits_timer_ = loop_.after(kLimitsInterval, [this] { look_at_limits(); });
}

void AttachServer::send_away(ParticipantId id, const std::string& why) {
  // Also where the service manager still has a copy of the descriptor.
  ::shutdown(clients_.at(id).socket.get(), SHUT_RDWR);
  detach(id, why);
}

std::string AttachServer::over_limit(const shm::ParticipantUse& use) const {
  if (most_blocks_ != 0 && use.blocks_leased > most_blocks_)
    return "it has leased " + std::to_string(use.blocks_leased) + " blocks of the arena, and [clients] bytes allows " + std::to_string(most_blocks_);
  if (most_objects_ != 0 && use.objects_held > most_objects_)
    return "it holds " + std::to_string(use.objects_held) + " objects, and [clients] objects allows " + std::to_string(most_objects_);
  return "";
}

std::string AttachServer::store_name(ParticipantId participant, Incarnation incarnation) {
  return "client-" + std::to_string(participant) + "." + std::to_string(incarnation);
}

void AttachServer::go_on(systemd::Estate& estate) {
  for (ParticipantId id = first_; id < limits::kMaxParticipants; ++id) {
    const auto& slot = arena_.participant(id);
    bool used = slot.kind.load(std::memory_order_acquire) == static_cast<std::uint32_t>(shm::ParticipantKind::kClient);
    Incarnation incarnation = slot.incarnation.load(std::memory_order_relaxed);
    numbers_.go_on(id, incarnation, used);
    if (!used) continue;
    Client& client = clients_[id];
    client.name = directory_view_.participant_name(id);
    client.pid = slot.pid;
    client.incarnation = incarnation;
    client.socket = systemd::take(estate, store_name(id, incarnation));
    // One that got no answer yet, or has gone: nobody uses the number.
    if (!client.socket) {
      detach(id);
      continue;
    }
    store_.note(store_name(id, incarnation), client.socket.get());
    // A reload may have changed [access] since it came.
    if (auto allowed = check_allowed(client.socket.get()); !allowed) {
      log::warning("client may not stay", {{"client", client.name}, {"pid", client.pid}, {"cause", allowed.error().message}, {"next", "it is detached"}});
      send_away(id, allowed.error().message);
      continue;
    }
    auto watched = watch_client(id, EPOLLIN);
    if (!watched) {
      log::error("client not taken over", {{"client", client.name}, {"cause", watched.error().message}});
      detach(id);
      continue;
    }
    client.watched = std::move(*watched);
    // What it had asked the one before, and got no answer to, it asks again.
    capnp::MallocMessageBuilder out;
    out.initRoot<wire::NameReply>().setAgain(true);
    (void)ipc::send_packet(client.socket.get(), out);
  }
  // Connections of numbers that are not used any more.
  std::vector<std::string> left;
  for (const auto& [name, fd] : estate)
    if (name.starts_with("client-")) left.push_back(name);
  for (const auto& name : left) {
    estate.erase(name);
    store_.drop(name);
  }
}

void AttachServer::close() {
  acceptable_.reset();
  listener_.reset();
  unfinished_.clear();
}

void AttachServer::accept_all() {
  for (int i = 0; i < kAcceptsPerTurn && accept_one(); ++i) {
  }
}

bool AttachServer::accept_one() {
  Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (socket) {
    greet(std::move(socket));
    return true;
  }
  if (errno == EINTR || errno == ECONNABORTED) return true;
  if (errno == EMFILE || errno == ENFILE) {
    shed();
  } else if (errno != EAGAIN && errno != EWOULDBLOCK) {
    log::warning("connection not accepted", {{"cause", system_error("accept", errno).message}});
  }
  return false;
}

// No descriptor is left: one connection is taken with the reserve and closed at once, so that the client learns of it.
void AttachServer::shed() {
  reserve_.reset();
  Fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  reserve_ = spare_descriptor();
  std::int64_t now = monotonic_ns();
  if (shed_logged_ns_ != 0 && now - shed_logged_ns_ < kShedLogInterval.count()) return;
  shed_logged_ns_ = now;
  log::error("client turned away", {{"cause", "no file descriptor is left; raise the limit of open files (ulimit -n, LimitNOFILE=)"}});
}

Result<void> AttachServer::check_allowed(int socket) {
  auto peer = TV_TRY(peer_of(socket));
  Role has = access_->role_of(peer);
  if (has >= kAttachRole) return {};
  denials_->note(peer, "to attach as a client needs " + std::string(to_string(kAttachRole)) + ", and this user may " + std::string(to_string(has)));
  return Error{Errc::kPermission, "user " + std::to_string(peer.uid) + " may " + std::string(to_string(has)) + ", and to attach needs \"" +
                                      std::string(to_string(kAttachRole)) + "\": [access] in the daemon's configuration says who may do what"};
}

// Whoever may not attach takes up none of the places for those who may.
void AttachServer::greet(Fd socket) {
  if (auto allowed = check_allowed(socket.get()); !allowed) {
    send_refusal(socket.get(), allowed.error());
    discard_unread(socket.get());
    return;
  }
  if (unfinished_.size() >= kMaxUnfinished) {
    refuse(socket.get(), {Errc::kOverloaded, "more than " + std::to_string(kMaxUnfinished) + " connections are being made; try again"});
    discard_unread(socket.get());
    return;
  }
  auto place = unfinished_.emplace(unfinished_.end());
  place->socket = std::move(socket);
  auto readable = loop_.watch(place->socket.get(), EPOLLIN, [this, place] { receive(place); });
  if (!readable) return drop(place, readable.error().message);
  place->readable = std::move(*readable);
  place->timer = loop_.after(kPatience, [this, place] {
    ++malformed_;
    drop(place, "it said nothing for " + std::to_string(kPatience / 1s) + " s");
  });
}

void AttachServer::drop(Place place, const std::string& why) {
  log::debug("connection dropped", {{"cause", why}});
  unfinished_.erase(place);
}

void AttachServer::receive(Place place) {
  auto packet = ipc::receive_packet(place->socket.get(), Deadline::at(0));
  if (!packet && packet.error().code == Errc::kDeadlineExceeded) return;
  auto taken = packet ? ipc::guard([&] { return take(place, packet->message); }) : Result<void>(packet.error());
  if (taken) return;
  if (taken.error().code != Errc::kUnavailable) ++malformed_;
  drop(place, taken.error().message);
}

Result<void> AttachServer::take(Place place, const ipc::Message& message) {
  auto request = message.root<wire::AttachRequest>();
  if (request.getVersion() != wire::SPAWN_VERSION) {
    Error why{Errc::kProtocol, "attach protocol " + std::to_string(request.getVersion()) + ", this supervisor speaks " +
                                   std::to_string(wire::SPAWN_VERSION) + ": install both from one release"};
    refuse(place->socket.get(), why);
    return why;
  }
  std::string name = printable(text(request.getName()), limits::kMaxName);
  Fd socket = std::move(place->socket);
  unfinished_.erase(place);  // stops watching before the descriptor gets another source
  attach(std::move(socket), name.empty() ? "client" : name);
  return {};
}

void AttachServer::attach(Fd socket, std::string name) {
  settle();
  auto peer = ipc::peer_credentials(socket.get());
  auto number = peer ? numbers_.take() : std::nullopt;
  if (!number) return refuse(socket.get(), peer ? no_number() : peer.error());
  auto id = number->participant;
  recovery_.discard_inbox(id);  // what was still sent to whoever had the number before
  auto& client = clients_[id];
  client = Client{name, peer->pid, number->incarnation, std::move(socket), {}};
  directory_.set_participant(id, shm::ParticipantKind::kClient, client.pid, client.incarnation, name);

  auto watched = watch_client(id, EPOLLIN);
  // Before it is answered: whoever has been let in is found by the next supervisor.
  store_.keep(store_name(id, client.incarnation), client.socket.get());
  capnp::MallocMessageBuilder message;
  auto reply = message.initRoot<wire::AttachReply>();
  reply.setVersion(wire::SPAWN_VERSION);
  auto attached = reply.initAttached();
  attached.setParticipant(id);
  attached.setIncarnation(client.incarnation);
  attached.setMostBlocks(most_blocks_);
  attached.setMostObjects(most_objects_);
  auto arena = arena_.share(shm::Arena::Access::kClient);
  Result<void> sent = !watched ? Result<void>(watched.error())
                      : !arena ? Result<void>(arena.error())
                               : ipc::send_packet(client.socket.get(), message, arena->numbers());
  if (watched) client.watched = std::move(*watched);
  log::info("client attached", {{"client", name}, {"pid", client.pid}, {"participant", id}});
  if (!sent) detach(id);
}

// Without EPOLLIN: only the end of the connection.
Result<Source> AttachServer::watch_client(ParticipantId id, std::uint32_t events) {
  return loop_.watch(clients_.at(id).socket.get(), events, [this, id] { listen(id); });
}

// One packet a turn, so that nobody who asks much keeps others waiting.
void AttachServer::listen(ParticipantId id) {
  auto& client = clients_.at(id);
  auto packet = ipc::receive_packet(client.socket.get(), Deadline::at(0));
  if (packet) return answer(id, packet->message);
  if (packet.error().code == Errc::kDeadlineExceeded) return;
  if (has_hung_up(client.socket.get())) return detach(id);
  // An attached process that talks nonsense stays attached: its number is in use for as long as it lives.
  ++malformed_;
  log::debug("client's message dropped", {{"client", client.name}, {"cause", packet.error().message}});
  if (packet.error().code == Errc::kProtocol) return;
  // It has closed its side, or the socket is broken: nothing more is to be read.
  client.watched.reset();
  auto watched = watch_client(id, 0);
  if (watched) client.watched = std::move(*watched);
}

void AttachServer::answer(ParticipantId id, const ipc::Message& message) {
  auto answered = ipc::guard([&] {
    auto request = message.root<wire::NameRequest>();
    auto reply = [this, id, incarnation = clients_.at(id).incarnation,
                  number = request.getRequest()](const Result<std::uint64_t>& version) {
      auto client = clients_.find(id);
      if (client == clients_.end() || client->second.incarnation != incarnation) return;
      capnp::MallocMessageBuilder out;
      write_name_reply(number, version, out.initRoot<wire::NameReply>());
      // One that does not read has its own deadline to tell it.
      (void)ipc::send_packet(client->second.socket.get(), out);
    };
    names_.serve(request, reply);
  });
  recovery_.collect();
  if (answered) return;
  ++malformed_;
  log::debug("client's message dropped", {{"client", clients_.at(id).name}, {"cause", answered.error().message}});
}

void AttachServer::detach(ParticipantId participant, std::string cause) {
  auto client = clients_.find(participant);
  if (client == clients_.end()) return;
  log::info("client detached", {{"client", client->second.name}, {"pid", client->second.pid}, {"participant", participant}});
  std::string name = client->second.name;
  if (cause.empty()) cause = "its process ended or it detached";
  if (auto fault = take_fault_report(directory_view_, participant); !fault.empty()) {
    log::warning("client died", {{"client", name}, {"pid", client->second.pid}, {"cause", fault}});
    cause = fault;
  }
  store_.drop(store_name(participant, client->second.incarnation));
  clients_.erase(client);
  recovery_.clean_up(participant, {}, name, cause);
  recovery_.discard_inbox(participant);
  numbers_.leave(participant);
  if (settle()) recovery_.start_ticking();
}

Result<void> AttachServer::reserve(std::size_t count) {
  settle();
  auto taken = numbers_.reserve(count);
  if (!taken) return {};
  auto client = clients_.find(*taken);
  std::string who = client == clients_.end() ? "mail of a client that has gone" : "client \"" + client->second.name + "\" (pid " + std::to_string(client->second.pid) + ")";
  return Error{Errc::kUnavailable, "a new worker would be participant " + std::to_string(*taken) + ", which is in use by " + who + "; try again when it is not any more"};
}

bool AttachServer::settle() {
  for (auto id : numbers_.draining()) {
    recovery_.discard_inbox(id);
    if (!recovery_.outbox_empty(id)) continue;
    recovery_.release_rings(id);
    directory_.set_participant(id, shm::ParticipantKind::kNone, 0, numbers_.incarnation(id), "");
    numbers_.release(id);
  }
  return !numbers_.draining().empty();
}

void AttachServer::refuse(int socket, const Error& why) {
  send_refusal(socket, why);
  log::warning("client refused", {{"cause", why.message}});
}

void AttachServer::send_refusal(int socket, const Error& why) {
  capnp::MallocMessageBuilder message;
  auto reply = message.initRoot<wire::AttachReply>();
  reply.setVersion(wire::SPAWN_VERSION);
  write_failure(why, reply.initFailure());
  (void)ipc::send_packet(socket, message);  // it learns it by the end of the connection as well
}

Error AttachServer::no_number() const {
  constexpr auto kMost = limits::kMaxParticipants - 1;
  return Error{Errc::kLimit,
               "all " + std::to_string(kMost) + " participants of the arena are taken (" + std::to_string(clients_.size()) + " clients, " +
                   std::to_string(numbers_.draining().size()) +
                   " earlier ones whose mail is unread, the rest workers); detach a client, or have fewer workers ([[worker]] count)"};
}

}  // namespace tv::supervisor
