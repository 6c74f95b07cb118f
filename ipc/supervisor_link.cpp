#include "ipc/supervisor_link.h"

#include "ipc/seqpacket.h"

namespace tv::ipc {

Result<std::uint64_t> SupervisorLink::ask(const NameOrder& order, Deadline deadline) {
  std::unique_lock lock(mutex_);
  if (ended_) return Error{Errc::kUnavailable, "\"" + order.name + "\": the supervisor has gone away"};
  auto number = next_++;
  auto open = requests_.emplace(number, Request{[&order, number](wire::NameRequest::Builder out) { order.write(number, out); }, std::nullopt}).first;
  lock.unlock();
  Result<void> sent = send(open->second);
  lock.lock();
  if (sent) {
    auto until = std::chrono::steady_clock::time_point(Nanoseconds{deadline.ns});
    changed_.wait_until(lock, until, [&] { return open->second.answer || ended_; });
  }
  auto answer = std::move(open->second.answer);
  requests_.erase(open);
  if (answer) return *std::move(answer);
  if (!sent) return sent.error();
  if (ended_) return Error{Errc::kUnavailable, "\"" + order.name + "\": the supervisor has gone away; whether it took effect is unknown"};
  return Error{Errc::kDeadlineExceeded, "\"" + order.name + "\": the supervisor has not answered; whether it took effect is unknown"};
}

Result<void> SupervisorLink::send(const Request& request) {
  capnp::MallocMessageBuilder message;
  request.write(message.initRoot<wire::NameRequest>());
  std::lock_guard one(sending_);
  return send_packet(socket_->get(), message);
}

// Another supervisor has taken over. What cannot be sent has its asker's deadline to tell it.
void SupervisorLink::ask_again() {
  std::lock_guard lock(mutex_);
  for (const auto& [number, request] : requests_)
    if (!request.answer) (void)send(request);
}

bool SupervisorLink::take() {
  auto packet = receive_packet(socket_->get(), Deadline{0});
  if (!packet) return packet.error().code == Errc::kDeadlineExceeded || packet.error().code == Errc::kProtocol;
  (void)guard([&] {
    auto reply = packet->message.root<wire::NameReply>();
    if (reply.getAgain()) return ask_again();
    std::lock_guard lock(mutex_);
    auto open = requests_.find(reply.getRequest());
    if (open == requests_.end()) return;  // given up
    if (reply.isFailure()) {
      auto text = reply.getFailure().getMessage();
      open->second.answer = Answer(Error{static_cast<Errc>(reply.getFailure().getCode()), {text.begin(), text.size()}});
    } else {
      open->second.answer = Answer(reply.getVersion());
    }
    changed_.notify_all();
  });
  return true;
}

void SupervisorLink::end() {
  std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

}  // namespace tv::ipc
