// Orders: what the supervisor wants of the loop. Written by the control thread, read by the loop and by actors (stop_requested).
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "config/ids.h"
#include "config/limits.h"
#include "worker/fault.h"

namespace tv::worker {

struct ActorPlan;  // hosted_actor.h

struct Order {
  enum class Kind { kStopActor, kStartActor, kSettleActor, kHost, kCommitActor, kFault };
  Kind kind;
  ActorId actor = kNoActor;
  std::uint64_t token = 0;                                  // of kSettleActor
  std::shared_ptr<std::vector<ActorPlan>> plans = nullptr;  // of kHost
  Fault fault = {};                                         // of kFault; `actor` where it is one of an actor's
};

class Orders {
 public:
  // Called, from the thread that gives an order, after each. Set before anybody gives one.
  void on_order(std::function<void()> wake) { wake_ = std::move(wake); }

  void stop();             // finish the message at hand, stop actors, leave
  void lose_supervisor();  // leave after the message at hand, at once
  void finish();           // the supervisor is lost: deal with the mail that has come, stop actors, leave
  void stop_actor(ActorId actor);
  void start_actor(ActorId actor);
  void settle_actor(ActorId actor, std::uint64_t token);
  void commit_actor(ActorId actor);
  void inject(ActorId actor, const Fault& fault);
  void host(std::vector<ActorPlan> plans);  // more actors for this worker; or other plans for some that are here, held, and do not run

  bool stopping() const { return stopping_.load(std::memory_order_acquire); }
  bool finishing() const { return finishing_.load(std::memory_order_acquire); }
  bool supervisor_lost() const { return lost_.load(std::memory_order_acquire); }
  // Whether this actor's method should return early.
  bool stop_requested(ActorId actor) const;
  // In the order they came; each once.
  std::vector<Order> take();

 private:
  void add(Order order);

  std::function<void()> wake_ = [] {};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> lost_{false};
  std::atomic<bool> finishing_{false};
  std::array<std::atomic<bool>, limits::kMaxActors> actor_stopping_{};
  std::atomic<bool> waiting_{false};  // queue_ is not empty: spares the loop the lock
  std::mutex mutex_;                  // guards queue_
  std::vector<Order> queue_;
};

}  // namespace tv::worker
