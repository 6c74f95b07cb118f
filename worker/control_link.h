// ControlLink: a worker's line to its supervisor. A thread of its own speaks ZeroMQ (control.capnp), beats once a second (the process
// lives; the loop has a beat of its own), passes orders to the loop, and watches the socket of the assignment: its end is the supervisor's end.
//
// A supervisor that has taken over from one that died says so on that socket: the link connects anew and says hello with all that it has told
// before, and open requests are asked again. The loop notices nothing. What is said while no supervisor takes messages waits, however long that is.
//
// When the supervisor is gone the loop may finish the message at hand, or its mail; a process that has not closed the link when its time for that
// is over is ended from here with exit code 74.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "config/fd.h"
#include "ipc/control.capnp.h"
#include "ipc/zmq_channel.h"
#include "worker/control_port.h"
#include "worker/orders.h"

namespace tv::worker {

class ControlLink final : public ControlPort {
 public:
  struct Settings {
    std::string endpoint;  // path of the control socket
    ParticipantId participant = kNoParticipant;
    Incarnation incarnation = 0;
    int assignment_socket = -1;  // stays the caller's
    bool orphan_finishes = false;  // without a supervisor: its mail, else the message at hand
    Nanoseconds orphan_grace = 2s; // for that
    Nanoseconds welcome_timeout = 10s;
  };
  // Connects, says hello and waits for the welcome. kPermission when the supervisor refuses us; kUnavailable or kDeadlineExceeded when
  // nobody answers.
  static Result<std::unique_ptr<ControlLink>> open(const Settings& settings, Orders& orders);
  ~ControlLink() override;  // close()

  void actor_ready(ActorId actor, bool restored) override;
  void actor_failed(ActorId actor, const Error& why) override;
  void commit_failed(ActorId actor, const Error& why) override;
  void ready() override;
  void actor_stopped(ActorId actor) override;
  void actor_settled(ActorId actor, std::uint64_t token) override;
  void actor_committed(ActorId actor) override;
  void stopping() override;
  void health(ActorId actor, const Health& health) override;
  // The worker leaves with exit code 78, for this reason.
  void cannot_work(const Error& why);
  Result<std::uint64_t> ask(const ipc::NameOrder& order, Deadline deadline) override;
  Result<std::uint64_t> dead_letter(const DeadLetter& letter, Deadline deadline) override;

  // Sends what is queued and ends the thread. Requests fail from then on.
  void close();

 private:
  using Fill = std::function<void(wire::ToSupervisor::Builder)>;
  using Answer = Result<std::uint64_t>;

  ControlLink(const Settings& settings, Orders& orders, std::unique_ptr<ipc::ZmqContext> context, ipc::Dealer dealer, Fd wake);
  Result<void> greet();

  // What was told last of an actor, for a supervisor that has not heard it.
  struct Standing {
    wire::ActorStanding::State state = wire::ActorStanding::State::UNKNOWN;
    bool restored = false;
    Error failure;
    std::optional<Health> health;
  };
  struct Request {
    std::vector<std::byte> bytes;
    std::optional<Answer> answer;
  };

  std::vector<std::byte> encode(const Fill& fill) const;
  void post(const Fill& fill, const std::function<void()>& note = [] {});
  void queue(std::vector<std::byte> bytes);
  static void report_dropped(std::size_t count);
  Answer request(std::uint64_t number, const Fill& fill, const std::string& what, Deadline deadline);

  // The thread's.
  void run();
  void flush();
  void receive_all();
  void take(std::span<const std::byte> bytes);
  void settle_request(std::uint64_t request, Answer answer);
  void beat_if_due();
  void sleep();
  bool supervisor_is_gone();
  void meet_again();
  void write_standings(wire::ToSupervisor::Hello::Builder hello) const;
  void leave_without_supervisor();

  const Settings settings_;
  Orders& orders_;
  std::unique_ptr<ipc::ZmqContext> context_;
  ipc::Dealer dealer_;  // of whoever opens the link, then of the thread
  Fd wake_;             // eventfd: the queue has something, or we close
  Deadline next_beat_;  // the thread's
  bool renewed_ = false;  // the thread's: another supervisor has said that it is there
  bool refused_ = false;  // the thread's: and does not know us
  std::atomic<std::uint64_t> next_request_{1};

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<std::vector<std::byte>> outgoing_;
  std::size_t dropped_ = 0;  // that found no room there, since all was said last
  std::map<std::uint64_t, Request> requests_;
  std::map<ActorId, Standing> standings_;
  bool ready_ = false;
  bool closing_ = false;
  Deadline goodbye_{};  // from closing_ on: when nothing more is sent
  bool lost_ = false;

  std::thread thread_;
};

}  // namespace tv::worker
