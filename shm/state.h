// Actor state in the arena: a commit is a manifest object that names the state's tensors, made current by one store.
//
// The worker puts the tensors and the manifest, then stores the manifest's handle in the actor's cell: dead before the store, the old
// commit stands; dead after it, the new one does. Objects of the other one are nobody's and freed by the clean-up.
#pragma once

#include <span>
#include <vector>

#include "shm/store.h"

namespace tv::shm {

struct State {
  std::vector<Tensor> tensors;
  std::vector<std::byte> opaque;  // what names them, and everything that is no tensor: the actor runtime's business
  // Committed with the state and no part of it: what a worker needs to go on where another stopped. Means nothing in another arena, and
  // so belongs in no copy on disk.
  std::vector<Hold> kept;           // objects of answers; may be unsealed
  std::vector<std::byte> progress;  // empty for an actor that is not effectively_once
};

// A manifest object: handles in front, opaque bytes and progress behind (shm/README.md has the bytes).
Result<Tensor> put_manifest(Store& store, const State& state, ActorId actor);
// Handles that a manifest names, of `tensors` and then of `kept`; kCorrupt if it is none, or of another version.
Result<std::vector<Handle>> manifest_handles(const Tensor& manifest);
// The whole commit, every tensor held.
Result<State> open_manifest(Store& store, const Tensor& manifest);

// Makes `manifest` the actor's commit and returns the one that it replaces (0: none).
Handle commit(const Arena& arena, ActorId actor, Handle manifest, std::uint64_t state_bytes);
Handle committed(const Arena& arena, ActorId actor);
// Makes `manifest`, a copy of the actor's commit, its commit: nothing is counted, for nothing has changed but where it lies.
void move_commit(const Arena& arena, ActorId actor, Handle manifest);

}  // namespace tv::shm
