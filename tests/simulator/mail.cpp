#include "tests/simulator/mail.h"

#include <algorithm>

namespace tv::simulator {

using namespace supervisor;
using shm::Doing;

namespace {

constexpr std::size_t kRing = 64;  // messages
constexpr int kMostAtHand = 3;     // then it is a dead letter

}  // namespace

void Mail::send(NodeId actor) {
  if (!in_.takes_mail(actor) || queues_[actor].size() >= kRing) return;
  Message message{++accepted_};
  ++in_.stage.outcome.messages;
  auto what = in_.stage.below(100);
  if (what < 6 && in_.stage.fault())
    message.kind = Kind::kLong;
  else if (what < 9 && in_.stage.fault())
    message.kind = Kind::kCrashes;
  else if (what < 12 && in_.stage.fault())
    message.kind = Kind::kHangs;
  queues_[actor].push_back(message);
  auto worker = in_.reader(actor);
  in_.stage.at(Nanoseconds{1us} * in_.stage.below(100), [this, worker] { ring(worker); });
}

void Mail::ring(std::size_t worker) {
  in_.loops.turn(worker, [this, worker] { read(worker); });
}

void Mail::process_ended(std::size_t worker) {
  for (auto& settle : settles_)
    if (settle.worker == worker) settle = {};
}

void Mail::read(std::size_t worker) {
  if (!in_.stage.well() || !in_.loops.free(worker)) return;
  auto served = in_.served_by(worker);
  std::erase_if(served, [this](NodeId actor) { return queues_[actor].empty(); });
  if (!served.empty()) return handle(worker, in_.stage.one_of(served));
  check_settles(worker);
}

void Mail::handle(std::size_t worker, NodeId actor) {
  Message& message = queues_[actor].front();
  if (in_.reader(actor) != worker) return in_.stage.complain("worker " + std::to_string(worker) + " reads mail that another one reads");
  if (++message.at_hand > kMostAtHand) {
    ++dead_;
    queues_[actor].pop_front();
    return ring(worker);
  }
  if (message.kind == Kind::kCrashes) return in_.crash(worker, actor);
  if (message.kind == Kind::kHangs && in_.loops.has_watchdog(worker)) {
    in_.stage.note("a method of a" + std::to_string(actor) + " never returns");
    auto until = in_.stage.chance(30) ? in_.stage.now() + static_cast<std::int64_t>(in_.stage.below(40'000'000'000)) : 0;
    return in_.loops.hang(worker, Doing::kMethod, actor, until);
  }
  auto patience = in_.loops.patience(worker);
  auto takes = Nanoseconds{
      static_cast<std::int64_t>(in_.stage.below(static_cast<std::uint64_t>(patience.count() / (in_.stage.chance(90) ? 100 : 1))))};
  std::int64_t until = 0;
  if (message.kind == Kind::kLong) {
    // It announces more than it takes.
    takes = Nanoseconds{static_cast<std::int64_t>(in_.stage.below(30'000'000'000))};
    until = in_.stage.now() + takes.count() + static_cast<std::int64_t>(in_.stage.below(60'000'000'000));
    in_.stage.note("a method of a" + std::to_string(actor) + " computes for " + std::to_string(takes.count() / 1'000'000) + " ms");
  }
  in_.loops.run(worker, Doing::kMethod, actor, takes, until, [this, worker, actor, number = message.number] {
    auto& queue = queues_[actor];
    if (queue.empty() || queue.front().number != number) return;  // its sender has been told meanwhile
    queue.pop_front();
    ++answered_;
    in_.handled(actor);
    check_settles(worker);
    ring(worker);
  });
}

void Mail::settle(std::size_t worker, NodeId actor, std::uint64_t token) {
  settles_[actor] = {token, queues_[actor].empty() ? 0 : queues_[actor].back().number, worker};
  check_settles(worker);
}

void Mail::check_settles(std::size_t worker) {
  for (NodeId actor = 0; actor < settles_.size(); ++actor) {
    auto& settle = settles_[actor];
    if (settle.token == 0 || settle.worker != worker) continue;
    if (!queues_[actor].empty() && queues_[actor].front().number <= settle.up_to) continue;
    auto token = std::exchange(settle, {}).token;
    in_.stage.at(Nanoseconds{1us} * in_.stage.below(20'000), [this, actor, token] { in_.settled(actor, token); });
  }
}

void Mail::tell_callers() {
  for (NodeId actor = 0; actor < queues_.size(); ++actor) {
    if (queues_[actor].empty() || !in_.gone(actor)) continue;
    told_ += queues_[actor].size();
    queues_[actor].clear();
  }
}

void Mail::check() const {
  std::uint64_t in_mailboxes = 0;
  for (const auto& queue : queues_) in_mailboxes += queue.size();
  if (accepted_ != answered_ + told_ + dead_ + in_mailboxes) in_.stage.complain("a message is lost, or there twice");
}

}  // namespace tv::simulator
