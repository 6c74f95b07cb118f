// HostedActor: one actor of a worker, from its assignment to its last commit. Only the worker's loop touches it.
#pragma once

#include <capnp/message.h>

#include <deque>
#include <memory>
#include <string>

#include "config/config.h"
#include "ipc/ring_channel.h"
#include "ipc/spawn.capnp.h"
#include "shm/at_hand.h"
#include "shm/running.h"
#include "worker/actor_state.h"
#include "worker/context.h"
#include "worker/dispatch.h"
#include "worker/fault.h"
#include "worker/health_checks.h"
#include "worker/request.h"

namespace tv::worker {

// What the supervisor wants hosted: ActorSpec of spawn.capnp as a value.
struct ActorPlan {
  // REQUIRES: inside guard().
  static ActorPlan from(wire::ActorSpec::Reader spec);
  Arguments arguments() const;

  ActorId id = kNoActor;
  std::string name;
  std::string type;
  std::string plugin;  // empty for a built-in type
  Incarnation incarnation = 1;
  std::uint64_t every_messages = 1;                                                                     // 0: not for this reason
  Nanoseconds interval{0};                                                                              // 0: not for this reason
  config::Delivery delivery;
  config::HealthCheck health;
  bool held = false;    // not started before an order says so
  std::string failure;  // of one that is held because it was given up; empty otherwise
  ParticipantId mailbox = 0;  // in which its mail is; 0: its worker's own
  std::shared_ptr<capnp::MallocMessageBuilder> args = std::make_shared<capnp::MallocMessageBuilder>();  // a wire::Value
};

class HostedActor {
 public:
  enum class Phase { kStopped, kRunning, kFailed };

  // `after_commit` is called with the outcome of each commit of an effectively_once actor, in the middle of a method, too.
  using AfterCommit = std::function<void(HostedActor&, const Result<void>&)>;
  HostedActor(ActorPlan plan, const Services& services, AfterCommit after_commit = nullptr);

  const ActorPlan& plan() const { return plan_; }
  Phase phase() const { return phase_; }
  const Error& failure() const { return failure_; }  // REQUIRES kFailed
  // What its last start, if that failed, said of its device (tv::DeviceError).
  const std::optional<std::string>& device_error() const { return device_error_; }

  // Makes it, restores the last commit, runs on_start. True when there was a commit to restore.
  Result<bool> start(const ActorType* type);
  void fail(Error why);
  // on_stop and a commit, if it ever handled a message. What on_stop throws is logged. Held mail that could not be committed waits.
  void stop();

  // While code of the actor runs, its cell says so: a death meanwhile is its doing.
  class Running {
   public:
    explicit Running(const HostedActor& actor, shm::Doing doing = shm::Doing::kMethod, Deadline until = Deadline{0})
        : word_(actor.cell().running) {
      word_.store(pack(shm::Running{doing, until.ns}), std::memory_order_relaxed);
    }
    ~Running() { word_.store(0, std::memory_order_relaxed); }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

   private:
    shm::Word& word_;
  };

  // Its words in the arena.
  shm::ActorCell& cell() const { return services_.store->arena()->cell(plan_.id); }

  // The try at this message that is stored: in its cell, or, when other messages have been begun since its start, as it was then. Else the
  // count of a message that kills would begin anew with each incarnation that finds another one before it.
  shm::AtHand at_hand_before(const ipc::MessagePlace& place) const;
  // Before the message is begun: it is at hand, and what else has killed stays known (ActorCell::suspect).
  void note_at_hand(shm::AtHand at);

  // Its next messages fail as ordered.
  void inject(const Fault& fault);
  // REQUIRES kRunning. The result of the method is written; counts the message, commits nothing.
  Outcome handle(std::string_view method, wire::Value::Reader arguments, wire::Value::Builder result, ipc::Encoder& encoder);
  // Adds one to handled (and failed) in the actor's cell. After the answer: a message that is not counted is done again.
  void count(bool failed);

  // Commits if so many messages have been handled, or so much time has passed, as the plan says.
  // A failure is noted in the cell and logged, and the supervisor is told, once for all that follow each other.
  Result<void> commit_if_due();
  Result<void> commit();
  // When commit_if_due() has something to do by the clock; never() when it has not.
  Deadline next_commit() const;

  // When it is to be asked how it is; never() when it is not.
  Deadline next_check() const { return phase_ == Phase::kRunning ? checks_.due() : Deadline::never(); }
  // Asks it. REQUIRES kRunning. What is news.
  std::optional<Health> check_health();

  // Mail that came while the actor did not run.
  std::deque<std::unique_ptr<ipc::Mail>> waiting;

  // Of an effectively_once actor.
  bool once() const { return plan_.delivery.mode == config::DeliveryMode::kEffectivelyOnce; }
  Progress& progress() { return progress_; }
  // Messages whose method has returned, and whose answers wait for the commit; their cursors have not moved.
  struct Held {
    std::unique_ptr<ipc::Mail> mail;
    Request request;
    std::shared_ptr<const GivenAnswer> answer;
    bool failed;
    bool repeated;  // of a call that was executed before: not counted again
    bool told;      // that its commit failed: its caller waits no more
  };
  std::deque<Held> held;
  // Since when no commit has succeeded; 0 if the last one did.
  Nanoseconds uncommitted_for() const;
  // Commits if anything is held, unless it failed just now.
  void commit_held();
  // A method waits for another actor. From then on nothing is held while a method runs: callers that hold up what it waits for would never
  // get their answers.
  void note_wait() { waits_ = true; }
  bool waits() const { return waits_; }
  // Messages whose methods had returned have been put back unread at a stop, because no commit succeeded.
  bool put_back() const { return put_back_; }
  // The message whose method is on the stack.
  std::optional<ipc::MessagePlace> handling;

 private:
  Result<bool> restore();
  void inherit(std::uint64_t word);
  bool is_unread(shm::AtHand at) const;
  Progress no_progress() const;
  bool too_early_to_retry() const;
  void note_commit(const Result<void>& committed);

  ActorPlan plan_;
  const Services& services_;
  Arguments arguments_;
  const ActorType* type_ = nullptr;
  ActorContext context_;
  ActorState state_;
  AfterCommit after_commit_;
  Progress progress_;
  bool waits_ = false;
  bool put_back_ = false;
  std::vector<shm::AtHand> inherited_;  // at hand when earlier processes ended, until they are begun again; two at most
  std::unique_ptr<Actor> actor_;
  Phase phase_ = Phase::kStopped;
  Error failure_;
  std::optional<std::string> device_error_;
  bool ever_handled_ = false;
  std::uint64_t uncommitted_ = 0;  // messages since the last commit
  Deadline last_commit_;
  std::optional<Errc> commit_failure_;  // of the last commit, if it failed
  HealthChecks checks_;
  ActorFaults faults_;
};

}  // namespace tv::worker
