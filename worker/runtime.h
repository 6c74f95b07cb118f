// Runtime: the loop of a worker. Receives mail, runs actors' methods one after the other on this thread, commits, answers.
//
// For each request, in this order: note it as at hand, run the method, commit if due, send the answer, move the mailbox's cursor, count. A
// death in between replays the message; an effect whose answer went out is in a commit (with checkpoint every_messages = 1). Everything
// runs on one thread, the loop's, but for futures that other threads wait for. Orders and the control port bring what other threads have to
// say.
#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "ipc/caller.h"
#include "ipc/ring_channel.h"
#include "shm/heartbeat.h"
#include "shm/mailbox.h"
#include "worker/call_rates.h"
#include "worker/device.h"
#include "worker/exit_codes.h"
#include "worker/hosted_actor.h"
#include "worker/plugin.h"
#include "worker/request.h"

namespace tv::worker {

class ArenaCursors final : public RingCursorView {
 public:
  explicit ArenaCursors(std::shared_ptr<shm::Arena> arena) : arena_(std::move(arena)) {}
  shm::RingPosition head(ParticipantId from, ParticipantId to, shm::Lane lane) const override {
    return arena_->ring(from, to, lane).head.load(std::memory_order_seq_cst);
  }
  shm::RingPosition tail(ParticipantId from, ParticipantId to, shm::Lane lane) const override {
    return arena_->ring(from, to, lane).tail.load(std::memory_order_seq_cst);
  }
  std::uint64_t readers(ParticipantId mailbox) const override { return shm::readers_of(*arena_, mailbox); }

 private:
  std::shared_ptr<shm::Arena> arena_;
};

class Runtime {
 public:
  struct Options {
    std::string worker;  // its name
    Incarnation incarnation = 1;
    std::string device = "cpu";
    int threads = 1;
    std::string last_death;  // how the worker's last process ended; empty: there was none
    ClientCalls client_calls = {};
    // How long the loop spins for the next mail before it sleeps. Nothing: what the channel has learnt (shm/spin.h).
    std::optional<Nanoseconds> spin = std::nullopt;
    StepWatcher* steps = nullptr;  // tests only; outlives the runtime
  };
  // The thread that makes it is the loop's.
  Runtime(Options options, std::shared_ptr<ipc::RingChannel> channel, ControlPort& control, Orders& orders, Devices& devices);
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // For built-in types, before start().
  Registry& registry() { return registry_; }
  // For plug-ins that are known to be broken, before start().
  Plugins& plugins() { return plugins_; }
  // Loads plug-ins, makes, restores and starts actors in this order, and tells the supervisor of each. One that cannot start does not
  // keep the others from it. Then tells that the worker is ready.
  void start(std::vector<ActorPlan> plans);
  // Until an order to stop or to finish, the loss of the supervisor or a fatal device error. Returns the exit code.
  int run();
  // One turn: orders, one message or a sleep until `latest` at most. True if it did anything.
  bool turn(Deadline latest);

  const std::shared_ptr<ipc::Caller>& caller() const { return caller_; }

 private:
  void host(std::vector<ActorPlan> plans);
  void start_actor(HostedActor& actor);
  void finish_mail();
  void stop_actors();
  void follow_orders();
  void resume_mail(HostedActor& actor);

  // settle.cpp
  struct Settling {
    ActorId actor;
    std::uint64_t token;
    ParticipantId mailbox;
    std::array<std::array<shm::RingPosition, limits::kMaxParticipants>, shm::kLanes> marks;  // ends of the rings when it was ordered
  };
  void begin_to_settle(ActorId actor, std::uint64_t token);
  void tell_settled();
  bool has_settled(const Settling& settling);

  std::unique_ptr<ipc::Mail> next_mail();
  std::deque<std::unique_ptr<ipc::Mail>>& deferred(shm::Lane lane) { return deferred_[static_cast<std::size_t>(lane)]; }
  void handle(std::unique_ptr<ipc::Mail> mail);
  bool take_answer(const ipc::Mail& mail);
  bool comes_too_often(const ipc::Mail& mail, const Request& request);
  void handle_request(std::unique_ptr<ipc::Mail> mail, Request& request);
  bool take_up(HostedActor& actor, std::unique_ptr<ipc::Mail>& mail, const Request& request);
  void leave_unread(HostedActor& actor);
  std::optional<Error> give_up(HostedActor& actor, const ipc::Mail& mail, const Request& request, std::uint32_t deaths);
  Result<std::uint64_t> report_dead_letter(const HostedActor& actor, const ipc::Mail& mail, const Request& request, std::uint32_t deaths);
  std::string last_death() const;
  void execute(HostedActor& actor, std::unique_ptr<ipc::Mail> mail, const Request& request);
  void drop_withdrawn(HostedActor& actor, std::unique_ptr<ipc::Mail> mail, const Request& request, bool begun_before);
  std::optional<Error> unable(const ipc::Mail& mail, const Request& request, HostedActor* actor);
  bool device_is_lost(const std::optional<std::string>& said);
  bool may_come_back(const HostedActor& actor) const;
  void answer(const Request& request, wire::Value::Reader value, const ipc::Encoder& encoder);
  // How long an answer waits for room in its caller's ring. A caller that reads nothing for so long has other troubles.
  static constexpr Nanoseconds kAnswerPatience = 5s;
  void refuse(const Request& request, const Error& why, Nanoseconds patience = kAnswerPatience);
  void send(const Request& request, const ipc::RingChannel::Build& build, Nanoseconds patience);
  Result<void> try_to_send(const Request& request, const ipc::RingChannel::Build& build, Deadline deadline);

  // once.cpp
  Result<void> read_identity(const HostedActor& actor, const ipc::Mail& mail, Request& request);
  bool recall(HostedActor& actor, std::unique_ptr<ipc::Mail>& mail, Request& request);
  void refuse_other_call(HostedActor& actor, const ipc::Mail& mail, const Request& request);
  bool has_room_to_remember(HostedActor& actor, std::unique_ptr<ipc::Mail>& mail, const Request& request);
  void hold_reply(HostedActor& actor, std::unique_ptr<ipc::Mail> mail, const Request& request, wire::Value::Reader value,
                  const ipc::Encoder& encoder);
  void hold_failure(HostedActor& actor, std::unique_ptr<ipc::Mail> mail, const Request& request, const Error& why);
  void hold(HostedActor& actor, std::unique_ptr<ipc::Mail> mail, const Request& request, GivenAnswer answer, bool failed);
  void after_commit(HostedActor& actor, const Result<void>& committed);
  void tell_uncommitted(HostedActor& actor, const Error& why);
  void let_go(HostedActor& actor, const Error& why);
  void give(const Request& request, const GivenAnswer& answer);
  void commit_held(const HostedActor* except);
  void reached(Step step);

  void commit_due();
  void expire_waiting_mail();
  void check_calls(std::uint64_t rung);
  void check_health();
  Deadline next_wake() const;
  void sleep(Deadline latest);

  // How Future::get waits: receiving on the loop's thread, on a condition elsewhere.
  Result<void> wait_for(const std::function<bool()>& ready, Deadline deadline);
  Result<void> pump_until(const std::function<bool()>& ready, Deadline deadline);
  Result<void> check_wait(ActorId target) const;
  void notify_waiters();

  HostedActor* find(ActorId id) const;

  const Options options_;
  const std::thread::id loop_thread_;
  const std::shared_ptr<ipc::RingChannel> channel_;
  ControlPort& control_;
  Orders& orders_;
  Devices& devices_;
  Registry registry_;
  Plugins plugins_;
  std::shared_ptr<ipc::Caller> caller_;
  MessageAtHand at_hand_;
  const ArenaCursors cursors_;
  const shm::Heartbeat heartbeat_;
  Services services_;
  std::vector<std::unique_ptr<HostedActor>> actors_;  // in the order of their start

  // By lane: requests that came while a method waited for an answer, or while their actor was stopped.
  std::array<std::deque<std::unique_ptr<ipc::Mail>>, shm::kLanes> deferred_;
  std::vector<Settling> settling_;
  CallRates client_rates_;
  std::int64_t next_rate_log_ns_ = 0;
  HostedActor* running_ = nullptr;  // whose method is on the stack
  std::int64_t next_check_ns_ = 0;        // of the caller's deadlines
  std::int64_t next_health_ns_ = Deadline::never().ns;
  std::optional<std::int64_t> trim_at_ns_;  // give back memory that is kept and unused, if there is no mail until then
  std::optional<int> exit_code_;

  std::mutex waiters_mutex_;  // for those who wait on threads of their own
  std::condition_variable waiters_;
};

}  // namespace tv::worker
