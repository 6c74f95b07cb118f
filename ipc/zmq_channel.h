// ZeroMQ sockets over ipc://, bounded: message size, queue length, linger. What the supervisor answers on, and what asks it.
//
// One thread a socket. Everything that comes in is bytes from a stranger; see message.h.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/clock.h"
#include "config/fd.h"
#include "config/result.h"

namespace tv::ipc {

// Owns the library's context (and so its I/O thread): one a process, made after any fork. Outlives its sockets: its destructor waits
// for them.
class ZmqContext {
 public:
  ZmqContext();
  ~ZmqContext();
  ZmqContext(const ZmqContext&) = delete;
  ZmqContext& operator=(const ZmqContext&) = delete;
  void* get() const { return context_; }

 private:
  void* context_;
};

class ZmqSocket {
 public:
  // Edge-triggered as ZeroMQ's are: after it became readable, and after each send, receive until nothing comes.
  int fd() const;

 protected:
  struct Closer {
    void operator()(void* socket) const;
  };
  using Handle = std::unique_ptr<void, Closer>;

  // A socket that tells of `events` (ZMQ_EVENT_...) of another.
  static Result<Handle> watch(ZmqContext& context, void* socket, int events);

  explicit ZmqSocket(Handle socket) : socket_(std::move(socket)) {}
  void* raw() const { return socket_.get(); }

  Handle socket_;
};

// The side with many peers. A peer's identity is opaque bytes that answer to it.
class Router : public ZmqSocket {
 public:
  struct Packet {
    std::string peer;
    std::vector<std::byte> payload;
    std::string known;  // of its sender, by the gate; empty: there is none
  };
  struct Options {
    std::string domain = {};  // at whose gate (gate.h) connections are asked for; empty: whoever may open the socket's file may connect
    unsigned mode = 0600;     // of the socket's file
  };
  // Binds ipc://`path`. A file that is there already is replaced: whoever binds has made sure, by a lock of its own, that nobody listens on it.
  // REQUIRES, with a domain: the context has a gate, from before until after the socket lives. Without one ZeroMQ lets everybody in, and believes
  // what they say of themselves.
  static Result<Router> bind(ZmqContext& context, const std::string& path, std::size_t max_message_bytes, const Options& options);
  static Result<Router> bind(ZmqContext& context, const std::string& path, std::size_t max_message_bytes) {
    return bind(context, path, max_message_bytes, Options());
  }
  // The same on a socket that listens on `path` already. Whoever made it decides about the file's mode, and removes it.
  static Result<Router> adopt(ZmqContext& context, const std::string& path, Fd listener, std::size_t max_message_bytes, const std::string& domain = {});
  // Nothing when no message waits. A message of other than identity and payload is dropped and counted.
  std::optional<Packet> receive();
  // False when the peer is gone or its queue is full: the message is dropped.
  bool send(const std::string& peer, std::span<const std::byte> payload);
  // Messages dropped for their form, and connections whose handshake was nonsense (from the socket's monitor). Not among them, since
  // ZeroMQ reports it like any hang-up: a connection that it dropped because a message was larger than allowed.
  std::uint64_t malformed();

 private:
  Router(Handle socket, Handle monitor) : ZmqSocket(std::move(socket)), monitor_(std::move(monitor)) {}
  static Result<Router> make(ZmqContext& context, std::size_t max_message_bytes, const std::string& domain);
  void drain_monitor();

  Handle monitor_;
  std::uint64_t malformed_ = 0;
};

// The side with one peer.
class Dealer : public ZmqSocket {
 public:
  // Does not wait for the other side: whether it is there shows when something is sent.
  static Result<Dealer> connect(ZmqContext& context, const std::string& path, std::size_t max_message_bytes);
  // kDeadlineExceeded when nobody is behind the socket or its queue stays full; kPermission when the gate there does not let us in.
  Result<void> send(std::span<const std::byte> payload, Deadline deadline);
  // kDeadlineExceeded when nothing came.
  Result<std::vector<std::byte>> receive(Deadline deadline);
  std::optional<std::vector<std::byte>> try_receive();
  // Something waits to be received, or, where something is `to_send`, may be sent. To be asked before waiting for fd(): what has become so since the
  // last try may have been noticed by ZeroMQ already, and then the descriptor does not tell of it.
  bool has_news(bool to_send);

 private:
  Dealer(Handle socket, Handle monitor) : ZmqSocket(std::move(socket)), monitor_(std::move(monitor)) {}
  // False: not by the deadline, or we were refused.
  bool wait_for(short events, Deadline deadline);

  Handle monitor_;
  bool refused_ = false;
};

}  // namespace tv::ipc
