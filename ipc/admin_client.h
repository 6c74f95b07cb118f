// AdminClient: asks the supervisor over the admin socket. One thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "config/clock.h"
#include "ipc/admin.capnp.h"
#include "ipc/message.h"
#include "ipc/zmq_channel.h"

namespace tv::ipc {

class AdminClient {
 public:
  AdminClient(AdminClient&&) noexcept = default;  // not assignable: a context must outlive its socket

  // kUnavailable when no daemon listens there (no socket, or nobody behind it).
  static Result<AdminClient> connect(const std::string& runtime_dir);

  // The reply, checked for version and id. A `failure` reply is returned as that Error. kDeadlineExceeded when none came. A question that changes
  // nothing is asked again now and then until the deadline: another supervisor may have taken over, which has not heard it.
  Result<Message> request(const std::function<void(wire::AdminRequest::Builder)>& fill, Nanoseconds timeout);

 private:
  AdminClient(std::unique_ptr<ZmqContext> context, Dealer dealer);
  std::unique_ptr<ZmqContext> context_;
  Dealer dealer_;
  std::uint64_t next_id_ = 1;
};

// Names of the sockets in a runtime directory.
std::string admin_socket(const std::string& runtime_dir);    // ZeroMQ, admin.capnp
std::string control_socket(const std::string& runtime_dir);  // ZeroMQ, control.capnp
std::string attach_socket(const std::string& runtime_dir);   // seqpacket, spawn.capnp

}  // namespace tv::ipc
