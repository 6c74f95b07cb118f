#include "ipc/zmq_channel.h"

#include <sys/stat.h>
#include <zmq.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "config/limits.h"

namespace tv::ipc {
namespace {

constexpr int kQueueLength = 1000;  // messages from a peer: a burst, not a backlog
// Messages to a peer. What finds no room is lost: so there is room for several orders about each actor that a worker can have.
constexpr int kSendQueueLength = 4 * static_cast<int>(limits::kMaxActors);
constexpr int kDealerLingerMs = 1000;     // what is still to be sent when the socket closes; the router drops it
constexpr int kHandshakeMs = 5000;        // a connection that says nothing is dropped
constexpr int kReconnectMs = 10;
constexpr int kMaxReconnectMs = 1000;
constexpr int kHandshakeFailures =
    ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;

Error zmq_error(const std::string& what, int err) { return Error{Errc::kSystem, what + ": " + zmq_strerror(err)}; }

template <class T>
Result<void> set(void* socket, int option, T value) {
  if (zmq_setsockopt(socket, option, &value, sizeof value) != 0) return zmq_error("cannot set a ZeroMQ socket option", zmq_errno());
  return {};
}

Result<void> bound(void* socket, std::size_t max_message_bytes, int linger_ms) {
  TV_TRY(set(socket, ZMQ_MAXMSGSIZE, static_cast<std::int64_t>(max_message_bytes)));
  TV_TRY(set(socket, ZMQ_LINGER, linger_ms));
  TV_TRY(set(socket, ZMQ_SNDHWM, kSendQueueLength));
  TV_TRY(set(socket, ZMQ_RCVHWM, kQueueLength));
  TV_TRY(set(socket, ZMQ_HANDSHAKE_IVL, kHandshakeMs));
  return {};
}

// One received frame.
class Frame {
 public:
  Frame() { zmq_msg_init(&message_); }
  ~Frame() { zmq_msg_close(&message_); }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  // False when nothing waits.
  bool receive(void* socket) {
    int n;
    do {
      n = zmq_msg_recv(&message_, socket, ZMQ_DONTWAIT);
    } while (n < 0 && zmq_errno() == EINTR);
    return n >= 0;
  }
  bool more() { return zmq_msg_more(&message_) != 0; }
  // What the gate has said of the sender.
  std::string known() {
    const char* text = zmq_msg_gets(&message_, "User-Id");
    return text != nullptr ? text : "";
  }
  std::span<const std::byte> bytes() {
    return {static_cast<const std::byte*>(zmq_msg_data(&message_)), zmq_msg_size(&message_)};
  }

 private:
  zmq_msg_t message_;
};

bool send_frame(void* socket, const void* data, std::size_t size, int flags) {
  int n;
  do {
    n = zmq_send(socket, data, size, ZMQ_DONTWAIT | flags);
  } while (n < 0 && zmq_errno() == EINTR);
  return n >= 0;
}

// Drops the frames that are left of a message; ZeroMQ delivers messages whole, so they are there.
void drop_rest(void* socket) {
  for (Frame frame; frame.receive(socket) && frame.more();) {
  }
}

std::vector<std::byte> copy(std::span<const std::byte> bytes) { return {bytes.begin(), bytes.end()}; }

std::string endpoint(const std::string& path) { return "ipc://" + path; }

struct Event {
  std::uint16_t number;
  std::uint32_t value;
};

// The next event of a socket's monitor. It is two frames: number (16 bits) and value (32 bits, unaligned), then the endpoint.
std::optional<Event> next_event(void* monitor) {
  for (;;) {
    Frame frame;
    if (!frame.receive(monitor)) return std::nullopt;
    if (frame.more()) drop_rest(monitor);
    auto bytes = frame.bytes();
    Event event{};
    if (bytes.size() < sizeof event.number + sizeof event.value) continue;
    std::memcpy(&event.number, bytes.data(), sizeof event.number);
    std::memcpy(&event.value, bytes.data() + sizeof event.number, sizeof event.value);
    return event;
  }
}

}  // namespace

ZmqContext::ZmqContext() : context_(zmq_ctx_new()) { TV_ASSERT(context_ != nullptr); }

ZmqContext::~ZmqContext() {
  while (zmq_ctx_term(context_) != 0 && zmq_errno() == EINTR) {
  }
}

void ZmqSocket::Closer::operator()(void* socket) const { zmq_close(socket); }

int ZmqSocket::fd() const {
  int fd = -1;
  std::size_t size = sizeof fd;
  TV_ASSERT(zmq_getsockopt(raw(), ZMQ_FD, &fd, &size) == 0);
  return fd;
}

Result<ZmqSocket::Handle> ZmqSocket::watch(ZmqContext& context, void* socket, int events) {
  static std::atomic<unsigned> monitors{0};
  std::string name = "inproc://tensorvisor-monitor-" + std::to_string(monitors++);
  if (zmq_socket_monitor(socket, name.c_str(), events) != 0) return zmq_error("cannot watch a ZeroMQ socket", zmq_errno());
  Handle monitor(zmq_socket(context.get(), ZMQ_PAIR));
  if (!monitor) return zmq_error("cannot make a ZeroMQ socket", zmq_errno());
  TV_TRY(set(monitor.get(), ZMQ_LINGER, 0));
  // The I/O thread would wait for room in a bounded queue, and with it every connection.
  TV_TRY(set(monitor.get(), ZMQ_RCVHWM, 0));
  if (zmq_connect(monitor.get(), name.c_str()) != 0) return zmq_error("cannot watch a ZeroMQ socket", zmq_errno());
  return monitor;
}

Result<Router> Router::make(ZmqContext& context, std::size_t max_message_bytes, const std::string& domain) {
  Handle socket(zmq_socket(context.get(), ZMQ_ROUTER));
  if (!socket) return zmq_error("cannot make a ZeroMQ socket", zmq_errno());
  TV_TRY(bound(socket.get(), max_message_bytes, 0));
  TV_TRY(set(socket.get(), ZMQ_ROUTER_MANDATORY, 1));
  if (!domain.empty() && zmq_setsockopt(socket.get(), ZMQ_ZAP_DOMAIN, domain.data(), domain.size()) != 0)
    return zmq_error("cannot set a ZeroMQ socket option", zmq_errno());
  Handle monitor = TV_TRY(watch(context, socket.get(), kHandshakeFailures));
  return Router(std::move(socket), std::move(monitor));
}

Result<Router> Router::bind(ZmqContext& context, const std::string& path, std::size_t max_message_bytes, const Options& options) {
  Router router = TV_TRY(make(context, max_message_bytes, options.domain));
  if (zmq_bind(router.raw(), endpoint(path).c_str()) != 0) return zmq_error("cannot bind socket " + path, zmq_errno());
  if (::chmod(path.c_str(), options.mode) != 0) return system_error("cannot restrict socket " + path, errno);
  return router;
}

Result<Router> Router::adopt(ZmqContext& context, const std::string& path, Fd listener, std::size_t max_message_bytes, const std::string& domain) {
  Router router = TV_TRY(make(context, max_message_bytes, domain));
  TV_TRY(set(router.raw(), ZMQ_USE_FD, listener.get()));
  if (zmq_bind(router.raw(), endpoint(path).c_str()) != 0) return zmq_error("cannot listen on the socket passed for " + path, zmq_errno());
  (void)listener.release();  // ZeroMQ closes it
  return router;
}

std::optional<Router::Packet> Router::receive() {
  drain_monitor();
  for (;;) {
    Frame identity;
    if (!identity.receive(raw())) return std::nullopt;
    Frame payload;
    if (!identity.more() || !payload.receive(raw())) {
      ++malformed_;
      continue;
    }
    if (payload.more()) {
      drop_rest(raw());
      ++malformed_;
      continue;
    }
    auto peer = identity.bytes();
    return Packet{std::string(reinterpret_cast<const char*>(peer.data()), peer.size()), copy(payload.bytes()), payload.known()};
  }
}

bool Router::send(const std::string& peer, std::span<const std::byte> payload) {
  // With ZMQ_ROUTER_MANDATORY the identity is refused when nobody answers to it or its queue is full.
  return send_frame(raw(), peer.data(), peer.size(), ZMQ_SNDMORE) && send_frame(raw(), payload.data(), payload.size(), 0);
}

std::uint64_t Router::malformed() {
  drain_monitor();
  return malformed_;
}

void Router::drain_monitor() {
  while (auto event = next_event(monitor_.get())) {
    // Somebody looked whether we are there, and hung up without a word (AdminClient does). Whom the gate has refused it has counted.
    bool hung_up = event->number == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL && (event->value == EPIPE || event->value == ECONNRESET);
    if (!hung_up && event->number != ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) ++malformed_;
  }
}

Result<Dealer> Dealer::connect(ZmqContext& context, const std::string& path, std::size_t max_message_bytes) {
  Handle socket(zmq_socket(context.get(), ZMQ_DEALER));
  if (!socket) return zmq_error("cannot make a ZeroMQ socket", zmq_errno());
  TV_TRY(bound(socket.get(), max_message_bytes, kDealerLingerMs));
  // Queue for a connection that stands, not for one that may never come: then sending tells whether somebody is there.
  TV_TRY(set(socket.get(), ZMQ_IMMEDIATE, 1));
  TV_TRY(set(socket.get(), ZMQ_RECONNECT_IVL, kReconnectMs));
  TV_TRY(set(socket.get(), ZMQ_RECONNECT_IVL_MAX, kMaxReconnectMs));
  Handle monitor = TV_TRY(watch(context, socket.get(), ZMQ_EVENT_HANDSHAKE_FAILED_AUTH));
  if (zmq_connect(socket.get(), endpoint(path).c_str()) != 0) return zmq_error("cannot connect to socket " + path, zmq_errno());
  return Dealer(std::move(socket), std::move(monitor));
}

bool Dealer::wait_for(short events, Deadline deadline) {
  zmq_pollitem_t items[] = {{raw(), 0, events, 0}, {monitor_.get(), 0, ZMQ_POLLIN, 0}};
  for (;;) {
    int n = zmq_poll(items, 2, deadline.left_ms());
    if (n > 0 && items[0].revents != 0) return true;
    if (n > 0 && items[1].revents != 0) {
      refused_ = next_event(monitor_.get()).has_value() || refused_;
      if (refused_) return false;
    }
    if (n < 0 && zmq_errno() != EINTR) return false;
    if (deadline.passed()) return false;
  }
}

Result<void> Dealer::send(std::span<const std::byte> payload, Deadline deadline) {
  if (payload.size() > limits::kMaxControlMessageBytes)
    return Error{Errc::kLimit, "a message of " + std::to_string(payload.size()) + " bytes, where the supervisor takes at most " +
                                   std::to_string(limits::kMaxControlMessageBytes)};
  while (!send_frame(raw(), payload.data(), payload.size(), 0)) {
    if (zmq_errno() != EAGAIN) return zmq_error("cannot send a message", zmq_errno());
    if (wait_for(ZMQ_POLLOUT, deadline)) continue;
    if (refused_) return Error{Errc::kPermission, "the supervisor does not let this user in; [access] in its configuration says whom it does"};
    return Error{Errc::kDeadlineExceeded, "the supervisor does not take messages"};
  }
  return {};
}

bool Dealer::has_news(bool to_send) {
  int events = 0;
  std::size_t size = sizeof events;
  if (zmq_getsockopt(raw(), ZMQ_EVENTS, &events, &size) != 0) return false;
  return (events & (ZMQ_POLLIN | (to_send ? ZMQ_POLLOUT : 0))) != 0;
}

Result<std::vector<std::byte>> Dealer::receive(Deadline deadline) {
  for (;;) {
    if (auto message = try_receive()) return std::move(*message);
    if (!wait_for(ZMQ_POLLIN, deadline)) return Error{Errc::kDeadlineExceeded, "the supervisor is there but did not answer in time"};
  }
}

std::optional<std::vector<std::byte>> Dealer::try_receive() {
  for (;;) {
    Frame frame;
    if (!frame.receive(raw())) return std::nullopt;
    if (!frame.more()) return copy(frame.bytes());
    drop_rest(raw());  // no supervisor sends several frames
  }
}

}  // namespace tv::ipc
