#include "ipc/client.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "config/load.h"
#include "ipc/admin_client.h"
#include "ipc/caller.h"
#include "ipc/ring_channel.h"
#include "ipc/seqpacket.h"
#include "ipc/supervisor_link.h"
#include "ipc/spawn.capnp.h"
#include "shm/fault_note.h"

namespace tv {
namespace {

using namespace ipc;

// Where threads wait for answers. Shared with the caller's futures, which may outlive the client.
class Waiters {
 public:
  void set_receiver(std::thread::id receiver) { receiver_.store(receiver); }

  Result<void> wait(const std::function<bool()>& ready, Deadline deadline) {
    if (std::this_thread::get_id() == receiver_.load())
      return Error{Errc::kInvalidArgument,
                   "a continuation runs on the thread that receives answers: waiting there for one would never end; "
                   "use then()"};
    std::unique_lock lock(mutex_);
    auto until = std::chrono::steady_clock::time_point(Nanoseconds(deadline.ns));
    if (changed_.wait_until(lock, until, ready)) return {};
    return Error{Errc::kDeadlineExceeded, "no answer in time"};
  }

  // Readiness is seen under the lock: nobody misses it between looking and sleeping.
  void notify() {
    { std::lock_guard lock(mutex_); }
    changed_.notify_all();
  }

 private:
  std::atomic<std::thread::id> receiver_{};
  std::mutex mutex_;
  std::condition_variable changed_;
};

struct Attachment {
  ParticipantId participant = kNoParticipant;
  Incarnation incarnation = 0;
  Fd socket;  // its end is how either side learns that the other is gone
  shm::ArenaFds arena;
  shm::Store::Limits limits;
};

Error failure_of(wire::Failure::Reader failure) {
  auto text = failure.getMessage();
  return Error{static_cast<Errc>(failure.getCode()),
               "the supervisor refuses to attach this process: " + std::string(text.begin(), text.size())};
}

Result<void> read_reply(const PacketIn& packet, Attachment& attachment) {
  return guard([&]() -> Result<void> {
    auto reply = packet.message.root<wire::AttachReply>();
    if (reply.isFailure()) return failure_of(reply.getFailure());
    if (reply.getVersion() != wire::SPAWN_VERSION)
      return Error{Errc::kProtocol, "the supervisor speaks version " + std::to_string(reply.getVersion()) +
                                        " of the attach protocol, this program " + std::to_string(wire::SPAWN_VERSION) +
                                        "; build it against the release of the daemon"};
    attachment.participant = reply.getAttached().getParticipant();
    attachment.incarnation = reply.getAttached().getIncarnation();
    attachment.limits = {reply.getAttached().getMostBlocks(), reply.getAttached().getMostObjects()};
    if (attachment.participant == kSupervisor || attachment.participant >= limits::kMaxParticipants)
      return Error{Errc::kProtocol, "the supervisor's answer to an attach request is nonsense"};
    return {};
  });
}

Result<Attachment> attach(const std::string& runtime_dir, const ClientOptions& options) {
  auto socket = seqpacket_connect(attach_socket(runtime_dir));
  if (!socket && socket.error().code == Errc::kUnavailable)
    return Error{Errc::kUnavailable, "no daemon is running in " + runtime_dir + " (nobody listens on " + attach_socket(runtime_dir) +
                                         "); start tensorvisord, or name another runtime directory"};
  if (!socket && socket.error().code == Errc::kPermission)
    return Error{Errc::kPermission, socket.error().message + ": to attach needs \"operate\", and [access] in the daemon's configuration says who may"};
  if (!socket) return socket.error();
  capnp::MallocMessageBuilder message;
  auto request = message.initRoot<wire::AttachRequest>();
  request.setVersion(wire::SPAWN_VERSION);
  request.setName(options.name.substr(0, limits::kMaxName));
  // Whoever is refused may be told so, and hung up on, before the request is out.
  if (auto sent = send_packet(socket->get(), message); !sent && sent.error().code != Errc::kUnavailable) return sent.error();
  PacketIn reply = TV_TRY(receive_packet(socket->get(), Deadline::in(options.connect_timeout)));
  Attachment attachment;
  TV_TRY(read_reply(reply, attachment));
  attachment.socket = std::move(*socket);
  attachment.arena = TV_TRY(shm::ArenaFds::from(std::move(reply.fds)));
  return attachment;
}

// The supervisor gives our number away once the socket closes. A tensor or future that outlives the client still uses the number: so the
// socket stays open for as long as anything uses the arena.
std::shared_ptr<shm::Arena> tie(std::shared_ptr<shm::Arena> arena, std::shared_ptr<Fd> socket) {
  auto* raw = arena.get();
  return std::shared_ptr<shm::Arena>(raw, [arena = std::move(arena), socket = std::move(socket)](shm::Arena*) mutable {
    if (arena) shm::forget_faults(*arena);
    arena.reset();
    socket.reset();
  });
}

class AttachedClient : public Client {
 public:
  AttachedClient(std::shared_ptr<Fd> socket, Fd stop, std::shared_ptr<shm::Store> store, std::shared_ptr<RingChannel> channel,
                 Incarnation incarnation)
      : socket_(std::move(socket)),
        stop_(std::move(stop)),
        store_(std::move(store)),
        channel_(std::move(channel)),
        waiters_(std::make_shared<Waiters>()),
        supervisor_(std::make_unique<SupervisorLink>(socket_)),
        named_(store_, *supervisor_),
        caller_(std::make_shared<Caller>(
            channel_, incarnation, [waiters = waiters_](const auto& ready, Deadline deadline) { return waiters->wait(ready, deadline); })) {
    receiver_ = std::thread([this] { receive(); });
    watcher_ = std::thread([this] { watch(); });
  }

  ~AttachedClient() override {
    TV_ASSERT(std::this_thread::get_id() != receiver_.get_id());  // a continuation must not destroy its client
    stopping_.store(true);
    channel_->wake();
    std::uint64_t one = 1;
    while (::write(stop_.get(), &one, sizeof one) < 0 && errno == EINTR) {
    }
    supervisor_->end();
    receiver_.join();
    watcher_.join();
  }

  std::shared_ptr<CallPort> port() override { return caller_; }
  const std::shared_ptr<shm::Store>& store() const override { return store_; }
  const shm::Directory& directory() const override { return caller_->directory(); }
  bool connected() const override { return !gone_.load(); }
  std::uint64_t unmatched_answers() const override { return caller_->unmatched(); }
  ParticipantId participant() const override { return store_->self(); }

  NamedTensors& named() override { return named_; }

 private:
  void receive() {
    waiters_->set_receiver(std::this_thread::get_id());
    while (!stopping_.load()) {
      receive_all();
      caller_->check();
      if (gone_.load()) caller_->abandon({Errc::kUnavailable, "the supervisor has gone away"});
      waiters_->notify();
      // Nobody rang for as long as that: what is kept for the next tensors is given back.
      if (channel_->wait(caller_->next_deadline()) == 0) store_->trim_idle();
    }
    caller_->abandon({Errc::kCancelled, "the client has been closed"});
    waiters_->notify();
  }

  void receive_all() {
    while (auto mail = channel_->receive()) {
      auto request = guard([&] { return (*mail)->envelope().isRequest(); });
      if (request && *request) {
        refuse(**mail);
      } else if (caller_->complete(**mail)) {
        waiters_->notify();
      }
      channel_->done(std::move(*mail));
    }
  }

  // A client has no actors: whoever calls one here is told so.
  void refuse(const Mail& mail) {
    struct Request {
      CallId id;
      bool one_way;
    };
    auto request = guard([&] {
      auto envelope = mail.envelope();
      return Request{envelope.getCallId(), envelope.getRequest().getOneWay()};
    });
    if (!request || request->one_way) return;
    auto answer = [&](wire::Envelope::Builder envelope, Encoder&) {
      envelope.setCallId(request->id);
      envelope.setSource(kNoActor);
      auto failure = envelope.initFailure();
      failure.setCode(static_cast<std::uint16_t>(Errc::kNotFound));
      failure.setMessage("this participant is a client and has no actors");
    };
    // Not waited for: a full ring there costs its owner an answer to a call that cannot be right.
    (void)channel_->send(mail.from(), answer, Deadline{0});
  }

  void watch() {
    pollfd items[] = {{socket_->get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    while (!stopping_.load()) {
      int n = ::poll(items, 2, -1);  // ended by the destructor's word or the supervisor's end
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 || (items[0].revents != 0 && !supervisor_->take())) break;
    }
    if (stopping_.load()) return;
    gone_.store(true);
    supervisor_->end();
    channel_->wake();
  }

  const std::shared_ptr<Fd> socket_;
  const Fd stop_;
  const std::shared_ptr<shm::Store> store_;
  const std::shared_ptr<RingChannel> channel_;
  const std::shared_ptr<Waiters> waiters_;
  const std::unique_ptr<SupervisorLink> supervisor_;
  NamedTensors named_;
  const std::shared_ptr<Caller> caller_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> gone_{false};
  std::thread receiver_;
  std::thread watcher_;
};

}  // namespace

Result<std::unique_ptr<Client>> Client::connect(const ClientOptions& options) {
  std::string runtime_dir = options.runtime_dir.empty() ? config::default_runtime_dir() : options.runtime_dir;
  Attachment attachment = TV_TRY(attach(runtime_dir, options));
  auto arena = TV_TRY(shm::Arena::attach(std::move(attachment.arena)));
  auto socket = std::make_shared<Fd>(std::move(attachment.socket));
  auto store = TV_TRY(shm::Store::open(tie(std::move(arena), socket), attachment.participant));
  store->limit(attachment.limits);
  std::shared_ptr<RingChannel> channel = TV_TRY(RingChannel::open(store));
  if (options.note_faults) shm::note_faults(*store->arena(), store->self(), shm::Handlers::kIfNone);
  Fd stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop) return system_error("cannot make an event descriptor", errno);
  return std::unique_ptr<Client>(
      new AttachedClient(std::move(socket), std::move(stop), std::move(store), std::move(channel), attachment.incarnation));
}

}  // namespace tv
