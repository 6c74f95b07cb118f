#include "worker/orders.h"

#include <utility>

#include "worker/hosted_actor.h"

namespace tv::worker {

void Orders::stop() {
  stopping_.store(true, std::memory_order_release);
  wake_();
}

void Orders::lose_supervisor() {
  lost_.store(true, std::memory_order_release);
  stop();
}

void Orders::finish() {
  finishing_.store(true, std::memory_order_release);
  wake_();
}

void Orders::stop_actor(ActorId actor) {
  if (actor < actor_stopping_.size()) actor_stopping_[actor].store(true, std::memory_order_release);
  add({Order::Kind::kStopActor, actor});
}

void Orders::start_actor(ActorId actor) { add({Order::Kind::kStartActor, actor}); }

void Orders::settle_actor(ActorId actor, std::uint64_t token) { add({Order::Kind::kSettleActor, actor, token}); }

bool Orders::stop_requested(ActorId actor) const {
  return stopping() || (actor < actor_stopping_.size() && actor_stopping_[actor].load(std::memory_order_acquire));
}

void Orders::commit_actor(ActorId actor) { add({Order::Kind::kCommitActor, actor}); }

void Orders::inject(ActorId actor, const Fault& fault) { add({Order::Kind::kFault, actor, 0, nullptr, fault}); }

void Orders::host(std::vector<ActorPlan> plans) {
  add({Order::Kind::kHost, kNoActor, 0, std::make_shared<std::vector<ActorPlan>>(std::move(plans))});
}

std::vector<Order> Orders::take() {
  if (!waiting_.load(std::memory_order_acquire)) return {};
  std::lock_guard lock(mutex_);
  waiting_.store(false, std::memory_order_release);
  auto orders = std::exchange(queue_, {});
  for (const auto& order : orders) {
    if (order.kind != Order::Kind::kStopActor && order.kind != Order::Kind::kStartActor) continue;
    if (order.actor < actor_stopping_.size()) actor_stopping_[order.actor].store(false, std::memory_order_release);
  }
  return orders;
}

void Orders::add(Order order) {
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(order);
    waiting_.store(true, std::memory_order_release);
  }
  wake_();
}

}  // namespace tv::worker
