// Runtime: the loop of a worker. Receives mail, runs actors' methods one after the other on this thread, commits, answers.
//
// For each request, in this order: run the method, commit if due, send the answer, move the mailbox's cursor, count. A death in between
// replays the message; an effect whose answer went out is in a commit (with checkpoint every_messages = 1).
// Everything runs on one thread, the loop's, but for futures that other threads wait for. Orders and the control port bring what other
// threads have to say.
#pragma once

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
#include "worker/device.h"
#include "worker/exit_codes.h"
#include "worker/hosted_actor.h"
#include "worker/plugin.h"

namespace tv::worker {

class Runtime {
 public:
  struct Options {
    std::string worker;  // its name
    Incarnation incarnation = 1;
    std::string device = "cpu";
    int threads = 1;
    // How long the loop spins for the next mail before it sleeps. Nothing: a little, and only after mail.
    std::optional<Nanoseconds> spin = std::nullopt;
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
  // Until an order to stop, the loss of the supervisor or a fatal device error. Returns the exit code.
  int run();
  // One turn: orders, one message or a sleep until `latest` at most. True if it did anything.
  bool turn(Deadline latest);

  const std::shared_ptr<ipc::Caller>& caller() const { return caller_; }

 private:
  struct Request {
    ParticipantId from;
    ActorId target;
    CallId call;
    std::int64_t deadline_ns;
    bool one_way;
    std::string method;
  };

  void start_actor(HostedActor& actor);
  void stop_actors();
  void follow_orders();
  void resume_mail(HostedActor& actor);

  std::unique_ptr<ipc::Mail> next_mail();
  void handle(std::unique_ptr<ipc::Mail> mail);
  bool take_answer(const ipc::Mail& mail);
  void handle_request(std::unique_ptr<ipc::Mail> mail, const Request& request);
  void execute(HostedActor& actor, std::unique_ptr<ipc::Mail> mail, const Request& request);
  std::optional<Error> unable(const Request& request, HostedActor* actor) const;
  bool device_is_lost();
  void answer(const Request& request, wire::Value::Reader value, const ipc::Encoder& encoder);
  void refuse(const Request& request, const Error& why);
  void send(const Request& request, const ipc::RingChannel::Build& build);

  void commit_due();
  void expire_waiting_mail();
  void check_calls(std::uint64_t rung);
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
  Services services_;
  std::vector<std::unique_ptr<HostedActor>> actors_;  // in the order of their start

  std::deque<std::unique_ptr<ipc::Mail>> deferred_;  // requests that came while a method waited for an answer
  const HostedActor* running_ = nullptr;             // whose method is on the stack
  std::int64_t busy_until_ns_ = 0;                   // spin rather than sleep until then
  std::int64_t next_check_ns_ = 0;                   // of the caller's deadlines
  std::optional<int> exit_code_;

  std::mutex waiters_mutex_;  // for those who wait on threads of their own
  std::condition_variable waiters_;
};

}  // namespace tv::worker
