// ActorState: what an actor has committed to the arena, held by this process as long as it is the newest commit. One thread.
#pragma once

#include <memory>

#include "shm/state.h"
#include "worker/actor.h"

namespace tv::worker {

class ActorState {
 public:
  ActorState(std::shared_ptr<shm::Store> store, ActorId id) : store_(std::move(store)), id_(id) {}
  // The commit stays held in the arena: the supervisor takes it over when it cleans up after this process.
  ~ActorState();
  ActorState(const ActorState&) = delete;
  ActorState& operator=(const ActorState&) = delete;

  // load() with the last commit. False when there is none. Errors: kCorrupt or kStaleHandle when the commit cannot be read;
  // kActorError when load() throws.
  Result<bool> restore(Actor& actor);
  // save(), then the commit. The old commit stands when anything fails.
  Result<void> commit(const Actor& actor);

 private:
  std::shared_ptr<shm::Store> store_;
  ActorId id_;
  shm::Tensor manifest_;
  std::vector<shm::Tensor> tensors_;
};

}  // namespace tv::worker
