// SupervisorLink: what a client asks of the supervisor on the socket on which it attached: requests about names, each with a deadline.
//
// Any thread may ask; one thread takes what comes. Owns neither thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "config/fd.h"
#include "ipc/named_tensors.h"

namespace tv::ipc {

class SupervisorLink final : public NamePort {
 public:
  explicit SupervisorLink(std::shared_ptr<Fd> socket) : socket_(std::move(socket)) {}

  Result<std::uint64_t> ask(const NameOrder& order, Deadline deadline) override;
  // Takes one packet, if there is one. False when the supervisor has closed the connection.
  bool take();
  // Every open request fails, and every later one.
  void end();

 private:
  using Answer = Result<std::uint64_t>;

  const std::shared_ptr<Fd> socket_;
  std::mutex sending_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  struct Request {
    std::function<void(wire::NameRequest::Builder)> write;  // valid until ask() returns
    std::optional<Answer> answer;
  };
  Result<void> send(const Request& request);
  void ask_again();

  std::map<std::uint64_t, Request> requests_;
  std::uint64_t next_ = 1;
  bool ended_ = false;
};

}  // namespace tv::ipc
