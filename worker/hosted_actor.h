// HostedActor: one actor of a worker, from its assignment to its last commit. Only the worker's loop touches it.
#pragma once

#include <capnp/message.h>

#include <deque>
#include <memory>
#include <string>

#include "config/config.h"
#include "ipc/ring_channel.h"
#include "ipc/spawn.capnp.h"
#include "worker/actor_state.h"
#include "worker/context.h"
#include "worker/dispatch.h"

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
  bool held = false;    // not started before an order says so
  std::string failure;  // of one that is held because it was given up; empty otherwise
  std::shared_ptr<capnp::MallocMessageBuilder> args = std::make_shared<capnp::MallocMessageBuilder>();  // a wire::Value
};

class HostedActor {
 public:
  enum class Phase { kStopped, kRunning, kFailed };

  HostedActor(ActorPlan plan, const Services& services);

  const ActorPlan& plan() const { return plan_; }
  Phase phase() const { return phase_; }
  const Error& failure() const { return failure_; }  // REQUIRES kFailed

  // Makes it, restores the last commit, runs on_start. True when there was a commit to restore.
  Result<bool> start(const ActorType* type);
  void fail(Error why);
  // on_stop and a commit, if it ever handled a message. What on_stop throws is logged.
  void stop();

  // While code of the actor runs, its cell says so: a death meanwhile is its doing.
  class Running {
   public:
    explicit Running(const HostedActor& actor) : word_(actor.cell().running) { word_.store(1, std::memory_order_relaxed); }
    ~Running() { word_.store(0, std::memory_order_relaxed); }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

   private:
    shm::Word& word_;
  };

  // Its words in the arena.
  shm::ActorCell& cell() const { return services_.store->arena()->cell(plan_.id); }

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

  // Mail that came while the actor was stopped.
  std::deque<std::unique_ptr<ipc::Mail>> waiting;

 private:
  Result<bool> restore();
  void note_commit(const Result<void>& committed);

  ActorPlan plan_;
  const Services& services_;
  Arguments arguments_;
  const ActorType* type_ = nullptr;
  ActorContext context_;
  ActorState state_;
  std::unique_ptr<Actor> actor_;
  Phase phase_ = Phase::kStopped;
  Error failure_;
  bool ever_handled_ = false;
  std::uint64_t uncommitted_ = 0;  // messages since the last commit
  Deadline last_commit_;
  std::optional<Errc> commit_failure_;  // of the last commit, if it failed
};

}  // namespace tv::worker
