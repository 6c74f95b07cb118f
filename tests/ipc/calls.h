// A caller and actors that answer it, all in one thread: what is sent, answered and waited for happens in the order that a test says.
#pragma once

#include <functional>

#include "ipc/caller.h"
#include "tests/ipc/support.h"

namespace tv::test {

struct Calculator {
  static constexpr const char* kType = "test.calculator";
  static constexpr Method<Calculator, std::int64_t(std::int64_t, std::int64_t)> add{"add"};
  static constexpr Method<Calculator, std::string(std::string)> echo{"echo"};
  static constexpr Method<Calculator, void()> fail{"fail"};
  static constexpr Method<Calculator, shm::Tensor(std::int64_t)> fill{"fill"};
};

// The participant that hosts actors: answers requests as they come.
class Responder {
 public:
  explicit Responder(std::shared_ptr<shm::Store> store) : store_(std::move(store)), channel_(open_channel(store_)) {}

  // Deals with one request, if there is one: every method of Calculator; `answers` times.
  bool step(int answers = 1) {
    auto mail = channel_->receive();
    if (!mail) return false;
    if (channel_->begin(**mail)) {
      auto served = ipc::guard([&] { serve((*mail)->from(), (*mail)->envelope(), answers); });
      if (!served) FAIL(served.error().message);
    } else {
      ++withdrawn;
    }
    channel_->done(std::move(*mail));
    return true;
  }

  std::vector<ActorId> targets;  // of the requests, in order
  int withdrawn = 0;             // requests that were not handled
  ipc::RingChannel& channel() { return *channel_; }

 private:
  void serve(ParticipantId from, wire::Envelope::Reader request, int answers) {
    targets.push_back(request.getTarget());
    if (request.getRequest().getOneWay()) return;
    for (int i = 0; i < answers; ++i) {
      auto sent = channel_->send(
          from,
          [&](wire::Envelope::Builder answer, ipc::Encoder& encoder) {
            answer.setCallId(request.getCallId());
            run(request.getRequest(), answer, encoder);
          },
          patience());
      if (!sent) FAIL(sent.error().message);
    }
  }

  void run(wire::Envelope::Request::Reader request, wire::Envelope::Builder answer, ipc::Encoder& encoder) {
    std::string method = request.getMethod();
    ipc::Decoder decoder{store_.get()};
    if (method == "add") {
      auto [a, b] = ipc::Codec<std::tuple<std::int64_t, std::int64_t>>::read(request.getArgs(), decoder);
      ipc::Codec<std::int64_t>::write(answer.initReply(), a + b, encoder);
    } else if (method == "echo") {
      answer.setReply(request.getArgs().getList()[0]);
    } else if (method == "fill") {
      auto [value] = ipc::Codec<std::tuple<std::int64_t>>::read(request.getArgs(), decoder);
      ipc::Codec<shm::Tensor>::write(answer.initReply(), make_tensor(*store_, 64, static_cast<std::uint8_t>(value)), encoder);
    } else {
      auto failure = answer.initFailure();
      failure.setCode(static_cast<std::uint16_t>(Errc::kActorError));
      failure.setMessage("calculator." + method + ": it was asked to");
    }
  }

  std::shared_ptr<shm::Store> store_;
  std::shared_ptr<ipc::RingChannel> channel_;
};

// Actor "calculator" at participant 1; the caller is participant 2.
struct CallFixture {
  CallFixture() {
    calculator = add_actor("calculator", 1);
    caller_store = arena.attach(2);
    channel = open_channel(caller_store);
    caller = std::make_shared<ipc::Caller>(channel, 1, [this](const auto& ready, Deadline deadline) { return pump(ready, deadline); });
  }

  ActorId add_actor(const std::string& name, ParticipantId at, std::uint32_t pool = 0xffff'ffff) {
    auto id = arena.directory->add_actor(name, Calculator::kType, at, pool);
    if (!id) FAIL(id.error().message);
    set(*id, shm::ActorState::kReady);
    return *id;
  }
  void set(ActorId id, shm::ActorState state, std::string_view message = {}, std::uint16_t flags = 0) {
    auto at = arena.arena->actor(id).where.load().participant;
    arena.directory->set_actor(id, {at, state, flags, 1}, message);
  }
  Ref<Calculator> ref(const std::string& name = "calculator") {
    auto target = caller->resolve(name, Calculator::kType);
    if (!target) FAIL(target.error().message);
    return Ref<Calculator>(caller, *target);
  }
  // Everything that can happen now happens.
  void receive_answers() {
    while (auto mail = channel->receive()) {
      matched += caller->complete(**mail) ? 1 : 0;
      channel->done(std::move(*mail));
    }
  }
  Result<void> pump(const std::function<bool()>& ready, Deadline deadline) {
    for (;;) {
      while (responding && responder.step(answers)) {
      }
      receive_answers();
      caller->check();
      if (ready()) return {};
      if (deadline.passed()) return Error{Errc::kDeadlineExceeded, "late"};
      if (!responding) channel->wait(Deadline{std::min(deadline.ns, caller->next_deadline().ns)});
    }
  }

  ArenaFixture arena;
  Responder responder{arena.attach(1)};
  ActorId calculator = kNoActor;
  std::shared_ptr<shm::Store> caller_store;
  std::shared_ptr<ipc::RingChannel> channel;
  std::shared_ptr<ipc::Caller> caller;
  bool responding = true;
  int answers = 1;
  int matched = 0;
};

}  // namespace tv::test
