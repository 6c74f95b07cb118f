#include "ipc/gate.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <zmq.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>
#include <vector>

namespace tv::ipc {
namespace {

constexpr const char* kEndpoint = "inproc://zeromq.zap.01";
constexpr std::string_view kVersion = "1.0";
constexpr int kQuestions = 1000;  // that wait; then I/O waits, too

Error zmq_error(const std::string& what) { return Error{Errc::kSystem, what + ": " + zmq_strerror(zmq_errno())}; }

struct Closer {
  void operator()(void* socket) const { zmq_close(socket); }
};

template <class T>
bool number(std::string_view text, T& out) {
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), out);
  return failed == std::errc() && end == text.data() + text.size();
}

// Takes what stands behind the last colon off `text`.
std::string_view last_part(std::string_view& text) {
  auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return {};
  auto part = text.substr(colon + 1);
  text = text.substr(0, colon);
  return part;
}

class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

}  // namespace

std::optional<PeerCredentials> credentials_in(std::string_view address) {
  PeerCredentials peer{};
  if (!number(last_part(address), peer.pid) || !number(last_part(address), peer.gid) || !number(last_part(address), peer.uid))
    return std::nullopt;
  return peer;
}

// The socket on which ZeroMQ asks, and its dialogue. Of the gate's thread, but for its making.
class Gate::Questions {
 public:
  Questions(void* socket, Admit admit) : socket_(socket), admit_(std::move(admit)) {}

  // Until `ending` is readable.
  void serve(int ending) {
    for (;;) {
      zmq_pollitem_t items[] = {{socket_.get(), 0, ZMQ_POLLIN, 0}, {nullptr, ending, ZMQ_POLLIN, 0}};
      int n = zmq_poll(items, 2, -1);  // ended by the gate's end
      if (n < 0 && zmq_errno() != EINTR) return;
      if (n < 0) continue;
      if (items[1].revents != 0) return;
      if (items[0].revents != 0) answer();
    }
  }

 private:
  enum Part { kOfVersion, kOfRequest, kOfDomain, kOfAddress, kOfRoutingId, kOfMechanism, kParts };

  void answer() {
    std::vector<std::string> parts;
    for (bool more = true; more;) {
      zmq_msg_t frame;
      zmq_msg_init(&frame);
      bool received = zmq_msg_recv(&frame, socket_.get(), ZMQ_DONTWAIT) >= 0;
      if (received) parts.emplace_back(static_cast<const char*>(zmq_msg_data(&frame)), zmq_msg_size(&frame));
      more = received && zmq_msg_more(&frame) != 0;
      zmq_msg_close(&frame);
      if (!received) return;
    }
    std::optional<std::string> known;
    if (parts.size() >= kParts && parts[kOfVersion] == kVersion && parts[kOfMechanism] == "NULL")
      if (auto peer = credentials_in(parts[kOfAddress])) known = admit_(parts[kOfDomain], *peer);
    send(kVersion, true);
    send(parts.size() > kOfRequest ? parts[kOfRequest] : "", true);
    send(known ? "200" : "400", true);
    send(known ? "OK" : "not allowed", true);
    send(known.value_or(""), true);
    send("", false);  // metadata
  }

  void send(std::string_view part, bool more) {
    // What fails leaves its connection unanswered, which ends when the time for a handshake is over.
    while (zmq_send(socket_.get(), part.data(), part.size(), more ? ZMQ_SNDMORE : 0) < 0 && zmq_errno() == EINTR) {
    }
  }

  std::unique_ptr<void, Closer> socket_;
  const Admit admit_;
};

Result<std::unique_ptr<Gate>> Gate::open(ZmqContext& context, Admit admit) {
  std::unique_ptr<void, Closer> socket(zmq_socket(context.get(), ZMQ_REP));
  if (!socket) return zmq_error("cannot make a ZeroMQ socket");
  int none = 0, most = kQuestions;
  if (zmq_setsockopt(socket.get(), ZMQ_LINGER, &none, sizeof none) != 0 ||
      zmq_setsockopt(socket.get(), ZMQ_RCVHWM, &most, sizeof most) != 0)
    return zmq_error("cannot set a ZeroMQ socket option");
  if (zmq_bind(socket.get(), kEndpoint) != 0) return zmq_error("cannot answer who may connect");

  std::unique_ptr<Gate> gate(new Gate);
  gate->ending_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!gate->ending_) return system_error("cannot make an eventfd", errno);
  auto questions = std::make_shared<Questions>(socket.release(), std::move(admit));
  SignalsBlocked blocked;
  try {
    gate->thread_ = std::thread([questions = std::move(questions), ending = gate->ending_.get()]() mutable {
      questions->serve(ending);
      questions.reset();  // the socket is closed by the thread that has used it
    });
  } catch (const std::system_error& error) {
    return system_error("cannot start the thread that says who may connect", error.code().value());
  }
  return gate;
}

Gate::~Gate() {
  if (!thread_.joinable()) return;
  (void)::eventfd_write(ending_.get(), 1);
  thread_.join();
}

}  // namespace tv::ipc
