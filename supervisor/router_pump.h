// RouterPump: a ZeroMQ router in the event loop. ZeroMQ's descriptor tells of changes only, so everything that waits must be taken each
// time, and looked for again after each send; the pump does both, a bounded number of messages a turn.
#pragma once

#include <functional>

#include "ipc/zmq_channel.h"
#include "supervisor/event_loop.h"

namespace tv::supervisor {

class RouterPump {
 public:
  using Handler = std::function<void(const ipc::Router::Packet& packet)>;

  RouterPump(EventLoop& loop, ipc::Router router) : loop_(loop), router_(std::move(router)) {}

  Result<void> start(Handler handler);
  // False when the peer is gone or does not read: the message is dropped.
  bool send(const std::string& peer, std::span<const std::byte> bytes);
  std::uint64_t malformed() { return router_.malformed(); }

 private:
  void drain();
  void drain_later();

  EventLoop& loop_;
  ipc::Router router_;
  Handler handler_;
  Source readable_;
  bool draining_soon_ = false;
};

}  // namespace tv::supervisor
