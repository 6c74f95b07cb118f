// ControlServer: the supervisor's end of control.capnp. Believes nobody: a message counts if it is of our version, of the participant's
// present incarnation, and of the peer that said hello with its process's number.
#pragma once

#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ipc/control.capnp.h"
#include "ipc/message.h"
#include "supervisor/dead_letters.h"
#include "supervisor/names.h"
#include "supervisor/router_pump.h"
#include "supervisor/worker_orders.h"
#include "supervisor/workers.h"

namespace tv::supervisor {

class ControlServer final : public WorkerOrders {
 public:
  ControlServer(EventLoop& loop, ipc::Router router, Names& names, DeadLetters& dead_letters, Recovery& recovery)
      : pump_(loop, std::move(router)), names_(names), dead_letters_(dead_letters), recovery_(recovery) {}

  // Begins to listen; the workers outlive this.
  Result<void> start(Workers& workers, const Actors& actors);

  // Called before a worker is told that a message is a dead letter, which it then forgets.
  void on_dead_letter(std::function<void()> taken) { dead_letter_taken_ = std::move(taken); }

  void stop(ParticipantId worker) override;
  void stop_actor(ParticipantId worker, ActorId actor) override;
  void start_actor(ParticipantId worker, ActorId actor) override;
  void settle_actor(ParticipantId worker, ActorId actor, std::uint64_t token) override;
  void commit_actor(ParticipantId worker, ActorId actor) override;
  void inject(ParticipantId worker, ActorId actor, const Fault& fault) override;
  void host(ParticipantId worker, const std::vector<AssignedActor>& actors) override;
  void forget(ParticipantId worker) override { peers_[worker] = {}; }

  std::uint64_t malformed() { return malformed_ + pump_.malformed(); }

 private:
  using Fill = std::function<void(wire::ToWorker::Builder)>;
  struct Peer {
    std::string identity;  // empty: has not said hello
    bool stop_wanted = false;
    std::vector<Fill> early;  // orders from before its hello
  };

  void take(const ipc::Router::Packet& packet);
  Result<void> handle(const ipc::Router::Packet& packet, wire::ToSupervisor::Reader message);
  Result<void> hello(const ipc::Router::Packet& packet, wire::ToSupervisor::Reader message);
  void meet_again(std::size_t worker, wire::ToSupervisor::Reader message);
  Result<void> check_sender(const std::string& identity, wire::ToSupervisor::Reader message) const;
  Result<void> obey(const std::string& identity, std::size_t worker, wire::ToSupervisor::Reader message);
  void names(const std::string& identity, wire::NameRequest::Reader request);
  void take_dead_letter(const std::string& identity, std::size_t worker, wire::ToSupervisor::DeadLetter::Reader request);
  void refuse_letter(const std::string& identity, std::uint64_t request, const Error& why);
  void refuse(const std::string& identity, const Error& why);
  void send(const std::string& identity, const Fill& fill);
  void order(ParticipantId worker, const Fill& fill);
  void order_soon(ParticipantId worker, Fill fill);  // with its welcome, when it has not said hello yet

  RouterPump pump_;
  Names& names_;
  DeadLetters& dead_letters_;
  Recovery& recovery_;
  Workers* workers_ = nullptr;
  const Actors* actors_ = nullptr;
  std::array<Peer, limits::kMaxParticipants> peers_;
  std::function<void()> dead_letter_taken_ = [] {};
  std::uint64_t malformed_ = 0;
};

}  // namespace tv::supervisor
