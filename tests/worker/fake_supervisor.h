// The supervisor's end of a control link, on a thread of its own: welcomes whoever says hello, notes what it is told, answers publishes.
#pragma once

#include <poll.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "ipc/control.capnp.h"
#include "ipc/message.h"
#include "ipc/zmq_channel.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

namespace tv::test {

class FakeSupervisor {
 public:
  explicit FakeSupervisor(std::string refusal = "") : refusal_(std::move(refusal)) {
    auto router = ipc::Router::bind(context_, endpoint(), limits::kMaxControlMessageBytes);
    if (!router) FAIL(router.error().message);
    router_.emplace(std::move(*router));
    thread_ = std::thread([this] { serve(); });
  }
  // On a socket that listens on `path` already, as a supervisor that takes over has it.
  FakeSupervisor(std::string path, Fd listener) : path_(std::move(path)) {
    auto router = ipc::Router::adopt(context_, path_, std::move(listener), limits::kMaxControlMessageBytes);
    if (!router) FAIL(router.error().message);
    router_.emplace(std::move(*router));
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeSupervisor() { end(); }
  // Nobody is behind the socket from now on.
  void end() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
    router_.reset();
  }

  std::string endpoint() const { return path_; }

  // What it was told, a word a message: "hello", "hello renewed, actorStopped 3", "actorReady 3 restored", "actorFailed 1 <why>", "ready", "publish x", ...
  bool told(const std::string& what) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), [&] {
      return std::any_of(told_.begin(), told_.end(), [&](const auto& t) { return t.find(what) != std::string::npos; });
    });
  }
  void order(std::function<void(wire::ToWorker::Builder)> fill) {
    std::lock_guard lock(mutex_);
    orders_.push_back(std::move(fill));
  }
  std::atomic<bool> answers_requests{true};

 private:
  void serve() {
    while (!stop_) {
      while (auto packet = router_->receive()) take(*packet);
      give_orders();
      pollfd readable{router_->fd(), POLLIN, 0};
      ::poll(&readable, 1, 10);
    }
  }

  void give_orders() {
    std::vector<std::function<void(wire::ToWorker::Builder)>> orders;
    {
      std::lock_guard lock(mutex_);
      if (peer_.empty()) return;
      orders.swap(orders_);
    }
    for (const auto& fill : orders) reply(fill);
  }

  void reply(const std::function<void(wire::ToWorker::Builder)>& fill) {
    capnp::MallocMessageBuilder message;
    auto root = message.initRoot<wire::ToWorker>();
    root.setVersion(wire::CONTROL_VERSION);
    fill(root);
    router_->send(peer_, ipc::serialize(message));
  }

  void take(const ipc::Router::Packet& packet) {
    auto message = ipc::Message::parse(packet.payload, limits::kMaxControlMessageBytes);
    if (!message) return;
    auto root = message->root<wire::ToSupervisor>();
    {
      std::lock_guard lock(mutex_);
      peer_ = packet.peer;
    }
    note(describe(root));
  }

  std::string describe(wire::ToSupervisor::Reader root) {
    switch (root.which()) {
      case wire::ToSupervisor::HELLO:
        reply([this](wire::ToWorker::Builder out) {
          if (refusal_.empty()) return out.setWelcome();
          out.initRefused().setMessage(refusal_);
        });
        return root.getHello().getRenewed() ? "hello renewed" + standings(root.getHello()) : "hello";
      case wire::ToSupervisor::ACTOR_READY:
        return "actorReady " + std::to_string(root.getActorReady().getActor()) + (root.getActorReady().getRestored() ? " restored" : "");
      case wire::ToSupervisor::ACTOR_FAILED:
        return "actorFailed " + std::to_string(root.getActorFailed().getActor()) + " " +
               std::string(root.getActorFailed().getFailure().getMessage());
      case wire::ToSupervisor::ACTOR_STOPPED:
        return "actorStopped " + std::to_string(root.getActorStopped());
      case wire::ToSupervisor::ACTOR_SETTLED:
        return "actorSettled " + std::to_string(root.getActorSettled().getActor());
      case wire::ToSupervisor::ACTOR_COMMITTED:
        return "actorCommitted " + std::to_string(root.getActorCommitted());
      case wire::ToSupervisor::COMMIT_FAILED:
        return "commitFailed " + std::to_string(root.getCommitFailed().getActor()) + " " +
               std::string(root.getCommitFailed().getFailure().getMessage());
      case wire::ToSupervisor::HEALTH:
        return "health " + std::to_string(root.getHealth().getActor()) + (root.getHealth().getHealthy() ? " healthy" : " ") +
               std::string(root.getHealth().getReason());
      case wire::ToSupervisor::READY:
        return "ready";
      case wire::ToSupervisor::BEAT:
        return "beat";
      case wire::ToSupervisor::STOPPING:
        return "stopping";
      case wire::ToSupervisor::CANNOT_WORK:
        return "cannotWork " + std::string(root.getCannotWork().getMessage());
      case wire::ToSupervisor::DEAD_LETTER:
        return answer_dead_letter(root.getDeadLetter());
      case wire::ToSupervisor::NAMES:
        return answer_names(root.getNames());
    }
    return "?";
  }

  static std::string standings(wire::ToSupervisor::Hello::Reader hello) {
    std::string all;
    for (auto actor : hello.getActors()) {
      auto state = actor.getState();
      all += state == wire::ActorStanding::State::RUNNING ? ", actorReady " : state == wire::ActorStanding::State::STOPPED ? ", actorStopped " : ", other ";
      all += std::to_string(actor.getActor());
    }
    return all;
  }

  // A put gets version 9, everything else is not there.
  std::string answer_names(wire::NameRequest::Reader request) {
    std::string what = (request.isPut() ? "put " : "other ") + std::string(request.getName());
    if (!answers_requests) return what;
    reply([&](wire::ToWorker::Builder out) {
      auto names = out.initNames();
      names.setRequest(request.getRequest());
      if (request.isPut()) return names.setVersion(9);
      names.initFailure().setCode(static_cast<std::uint16_t>(Errc::kNotFound));
      names.getFailure().setMessage("nothing has that name");
    });
    return what;
  }

  std::string answer_dead_letter(wire::ToSupervisor::DeadLetter::Reader request) {
    auto letter = request.getLetter();
    reply([&](wire::ToWorker::Builder out) {
      out.initDeadLetterTaken().setRequest(request.getRequest());
      out.getDeadLetterTaken().setId(17);
    });
    std::string what = "deadLetter " + std::to_string(letter.getActor()) + " " + letter.getMethod().cStr() + " from " +
                       std::to_string(letter.getFrom()) + " " + letter.getFromName().cStr() + " at " +
                       std::to_string(letter.getPosition()) + " tries " + std::to_string(letter.getTries()) + " " +
                       letter.getCause().cStr() + " tensors";
    for (auto handle : letter.getTensors()) what += " " + std::to_string(handle);
    return what + " envelope " + std::to_string(letter.getEnvelope());
  }

  void note(std::string what) {
    std::lock_guard lock(mutex_);
    told_.push_back(std::move(what));
    changed_.notify_all();
  }

  TempDir dir_;
  const std::string path_ = dir_.path() + "/control.sock";
  std::string refusal_;
  ipc::ZmqContext context_;
  std::optional<ipc::Router> router_;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> told_;
  std::string peer_;
  std::vector<std::function<void(wire::ToWorker::Builder)>> orders_;
  std::thread thread_;
};

}  // namespace tv::test
