// Gate: says who may connect to the Router sockets of a ZeroMQ context, and what is to be known of them with each of their messages.
//
// ZeroMQ asks the handler at inproc://zeromq.zap.01 for each new connection to a socket that has a domain (ZAP, ZeroMQ's RFC 27). For ipc
// the address in the question ends in ":UID:GID:PID", the kernel's word (SO_PEERCRED) of who connected, taken by the I/O thread at once
// after accept. What the answer calls the user's id comes back as the property "User-Id" of each message of that connection; the other side
// cannot set it, nor connect by an older protocol that has no such question. So nothing has to be asked of a descriptor later, when it may
// be another's.
//
// The answers are given on a thread of its own, which may take its time (a user database on the network): connections wait meanwhile, five
// seconds at most, and nobody else. It knows what `admit` knows, blocks all signals, and ends with this object. Make it before the sockets
// are bound, and let it go before the context and after the sockets. One a context.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "config/fd.h"
#include "ipc/seqpacket.h"
#include "ipc/zmq_channel.h"

namespace tv::ipc {

class Gate {
 public:
  // Called on the gate's thread, for one connection after the other. What is to be known of a peer that may connect to a socket of
  // `domain`: the text comes back as Router::Packet::known, so it has no zero bytes. Nothing: it is refused, and told so (Dealer:
  // kPermission).
  using Admit = std::function<std::optional<std::string>(const std::string& domain, const PeerCredentials& peer)>;

  static Result<std::unique_ptr<Gate>> open(ZmqContext& context, Admit admit);
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

 private:
  class Questions;
  Gate() = default;

  Fd ending_;
  std::thread thread_;
};

// The kernel's word at the end of the address of an ipc peer ("localhost:1000:1000:4711"); nothing when there is none.
std::optional<PeerCredentials> credentials_in(std::string_view address);

}  // namespace tv::ipc
