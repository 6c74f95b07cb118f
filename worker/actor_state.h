// ActorState: what an actor has committed to the arena, held by this process as long as it is the newest commit. One thread.
#pragma once

#include <memory>
#include <vector>

#include "shm/state.h"
#include "worker/actor.h"
#include "worker/progress.h"
#include "worker/steps.h"

namespace tv::worker {

class ActorState {
 public:
  ActorState(std::shared_ptr<shm::Store> store, ActorId id, StepWatcher* steps = nullptr) : store_(std::move(store)), id_(id), steps_(steps) {}
  // The commit stays held in the arena: the supervisor takes it over when it cleans up after this process.
  ~ActorState();
  ActorState(const ActorState&) = delete;
  ActorState& operator=(const ActorState&) = delete;

  // load() with the last commit, and `progress` as it was then, if it is not null and the commit has one of the same home. False when there
  // is no commit. Errors: kCorrupt or kStaleHandle when the commit cannot be read;
  // kActorError when load() throws.
  Result<bool> restore(Actor& actor, Progress* progress = nullptr);
  // save(), then the commit. The old commit stands when anything fails.
  // With `progress`, if it is not null, in the same store.
  Result<void> commit(const Actor& actor, const Progress* progress = nullptr);

 private:
  std::shared_ptr<shm::Store> store_;
  ActorId id_;
  shm::Tensor manifest_;
  std::vector<shm::Tensor> tensors_;
  std::vector<shm::Hold> kept_;
  StepWatcher* steps_;
};

}  // namespace tv::worker
