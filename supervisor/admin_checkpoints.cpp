#include "supervisor/admin_info.h"

namespace tv::supervisor {
namespace {

kj::StringPtr text(const std::string& s) { return {s.c_str(), s.size()}; }

std::vector<ActorId> all_on_disk(const DaemonView& view) {
  std::vector<ActorId> actors;
  for (ActorId id = 0; view.checkpoints && id < view.actors.all().size(); ++id)
    if (view.checkpoints->on_disk(id) && view.actors[id].placed.present) actors.push_back(id);
  return actors;
}

}  // namespace

void write_checkpoint(const DaemonView& view, ActorId id, wire::CheckpointInfo::Builder out) {
  const auto& state = view.checkpoints->state(id);
  auto restores = view.checkpoints->restores(id);
  out.setActor(text(view.actors[id].placed.name));
  out.setCommits(view.arena.cell(id).commits.load(std::memory_order_relaxed));
  out.setPending(view.checkpoints->pending(id));
  out.setGeneration(state.generation);
  out.setCommit(state.commit);
  out.setTimeNs(state.time_ns);
  out.setBytes(state.bytes);
  out.setWritten(state.written);
  out.setSkipped(state.skipped);
  out.setFailures(state.failures);
  out.setError(text(state.error));
  out.setErrorNs(state.error_ns);
  out.setRestoring(restores.going_on);
  out.setRestores(restores.done);
  out.setRestoreFailures(restores.failed);
  out.setRestoreError(text(restores.error));
  out.setCommitting(view.checkpoints->expects(id));
}

void write_checkpoints(const DaemonView& view, const std::vector<ActorId>* actors, wire::CheckpointList::Builder out) {
  auto ids = actors ? *actors : all_on_disk(view);
  out.setDirectory(text(view.config.checkpoints.directory));
  out.setKeep(view.config.checkpoints.keep);
  if (view.checkpoints) {
    out.setWriterPid(view.checkpoints->writer().pid());
    out.setWriterRestarts(view.checkpoints->writer().restarts());
  }
  auto list = out.initActors(static_cast<unsigned>(ids.size()));
  for (unsigned i = 0; i < list.size(); ++i) write_checkpoint(view, ids[i], list[i]);
}

void write_checkpoint_summary(const DaemonView& view, wire::CheckpointSummary::Builder out) {
  std::uint32_t durable = 0, failing = 0;
  std::uint64_t written = 0, skipped = 0;
  auto ids = all_on_disk(view);
  for (ActorId id : ids) {
    const auto& state = view.checkpoints->state(id);
    durable += state.generation != 0;
    written += state.written;
    skipped += state.skipped;
    if (state.error.empty()) continue;
    ++failing;
    out.setError(text(state.error));
  }
  out.setDirectory(text(view.config.checkpoints.directory));
  out.setActors(static_cast<std::uint32_t>(ids.size()));
  out.setDurable(durable);
  out.setFailing(failing);
  out.setWritten(written);
  out.setSkipped(skipped);
}

}  // namespace tv::supervisor
