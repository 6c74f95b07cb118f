// When an actor has dealt with all that lay in its mailbox: what a drain waits for. Part of Runtime.
//
// Rings belong to mailboxes of workers, not to actors. So where each ring of its mailbox ends is noted when the order comes; the actor has settled when all up to there
// has been received and nothing for it is put aside, at hand or held until a commit. What comes later is not waited for.
#include <algorithm>

#include "worker/runtime.h"

namespace tv::worker {
namespace {

bool is_for(const ipc::Mail& mail, ActorId actor) {
  auto target = ipc::guard([&] { return mail.envelope().getTarget(); });
  return target && *target == actor;
}

}  // namespace

void Runtime::begin_to_settle(ActorId actor, std::uint64_t token) {
  const HostedActor* hosted = find(actor);
  Settling settling{actor, token, hosted ? hosted->plan().mailbox : channel_->store()->self(), {}};
  for (auto lane : shm::kEveryLane)
    for (ParticipantId from = 0; from < limits::kMaxParticipants; ++from)
      settling.marks[static_cast<std::size_t>(lane)][from] = cursors_.tail(from, settling.mailbox, lane);
  std::erase_if(settling_, [actor](const Settling& other) { return other.actor == actor; });
  settling_.push_back(settling);
}

bool Runtime::has_settled(const Settling& settling) {
  HostedActor* actor = find(settling.actor);
  if (!actor || actor->phase() != HostedActor::Phase::kRunning) return true;  // its mail waits for its start, or is refused
  for (auto lane : shm::kEveryLane) {
    const auto& aside = deferred(lane);
    if (std::any_of(aside.begin(), aside.end(), [&](const auto& mail) { return is_for(*mail, settling.actor); })) return false;
    for (ParticipantId from = 0; from < limits::kMaxParticipants; ++from) {
      auto end = settling.marks[static_cast<std::size_t>(lane)][from];
      if (end != 0 && !channel_->has_received(settling.mailbox, from, lane, end)) return false;
    }
  }
  actor->commit_held();
  return actor->waiting.empty() && actor->held.empty();
}

void Runtime::tell_settled() {
  std::erase_if(settling_, [this](const Settling& settling) {
    if (!has_settled(settling)) return false;
    control_.actor_settled(settling.actor, settling.token);
    return true;
  });
}

}  // namespace tv::worker
