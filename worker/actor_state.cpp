#include "worker/actor_state.h"

#include "worker/outcome.h"
#include "worker/state_codec.h"

namespace tv::worker {

ActorState::~ActorState() {
  if (!manifest_) return;
  // Counts without an owner: our bit outlives the Tensors.
  store_->hold_again(manifest_.handle());
  for (const auto& tensor : tensors_) store_->hold_again(tensor.handle());
  for (const auto& object : kept_) store_->hold_again(object.handle());
}

Result<bool> ActorState::restore(Actor& actor, Progress* progress) {
  auto handle = shm::committed(*store_->arena(), id_);
  if (!handle) return false;
  auto manifest = TV_TRY(store_->get(handle));
  auto state = TV_TRY(shm::open_manifest(*store_, manifest));
  auto saved = TV_TRY(SavedState::parse(state, store_));
  std::optional<Progress> past;
  if (progress && !state.progress.empty()) past = TV_TRY(Progress::read(progress->home(), state.progress, state.kept));
  if (auto loaded = run_user_code([&] { actor.load(*saved); }); !loaded) return Error{Errc::kActorError, "load: " + loaded.error().message};
  // A copy in memory of this process's own: else each dead incarnation would leave a block behind for as long as its last commit stands. Dead
  // before the store the old one stands, after it the copy does. Where there is no room, the old one does as well.
  if (auto copy = shm::put_manifest(*store_, state, id_)) {
    shm::move_commit(*store_->arena(), id_, copy->handle());
    manifest = std::move(*copy);
  }
  manifest_ = std::move(manifest);
  tensors_ = std::move(state.tensors);
  kept_ = std::move(state.kept);
  if (past) *progress = std::move(*past);
  return true;
}

Result<void> ActorState::commit(const Actor& actor, const Progress* progress) {
  StateBuffer buffer(store_);
  if (auto saved = run_user_code([&] { actor.save(buffer); }); !saved) return Error{Errc::kActorError, "save: " + saved.error().message};
  auto state = TV_TRY(buffer.finish());
  if (progress) {
    auto written = progress->write();
    state.kept = std::move(written.kept);
    state.progress = std::move(written.bytes);
  }
  auto manifest = TV_TRY(shm::put_manifest(*store_, state, id_));
  if (steps_) steps_->reached(Step::kManifestMade);
  std::uint64_t bytes = state.opaque.size();
  for (const auto& tensor : state.tensors) bytes += tensor.bytes();
  shm::commit(*store_->arena(), id_, manifest.handle(), bytes);
  // From here the new commit is the one that counts: the objects of the old one go.
  manifest_ = std::move(manifest);
  tensors_ = std::move(state.tensors);
  kept_ = std::move(state.kept);
  if (steps_) steps_->reached(Step::kCommitted);
  return {};
}

}  // namespace tv::worker
