// What administrators see, written into admin.capnp's structs.
#pragma once

#include <string>

#include "ipc/admin.capnp.h"
#include "shm/cache.h"
#include "supervisor/attach_server.h"
#include "supervisor/checkpoints.h"
#include "supervisor/dead_letters.h"
#include "supervisor/log_ring.h"
#include "supervisor/memory_keeper.h"
#include "supervisor/reload_plan.h"
#include "supervisor/upgrade.h"
#include "supervisor/upkeep.h"
#include "supervisor/workers.h"

namespace tv::supervisor {

// What the answers are made of. All of it outlives the admin server.
struct DaemonView {
  const config::Config& config;
  const Workers& workers;
  const Actors& actors;
  const Supervision& supervision;
  const AttachServer& clients;
  Recovery& recovery;
  const MemoryKeeper& memory;
  const shm::Arena& arena;
  const shm::Directory& directory;
  const DeadLetters& dead_letters;
  const shm::Cache& cache;
  const std::int64_t& started_ns;  // CLOCK_REALTIME
  std::function<std::string()> health;
  std::function<std::uint64_t()> malformed;
  const Checkpoints* checkpoints;  // null: the configuration wants none
  const Upkeep& upkeep;
  const Upgrade& upgrade;
  const std::uint32_t& takeovers;
  const Denials& denials;
  const ReloadStatus& reload;
  const LogRing* log;  // null: nothing is kept
};

// Actors whose last commit failed. Some of it may be over by the time of the look.
std::vector<ActorId> failing_commits(const Actors& actors, const shm::Arena& arena);

void write_status(const DaemonView& view, wire::Status::Builder out);
void write_workers(const DaemonView& view, capnp::List<wire::WorkerInfo>::Builder out);
void write_actors(const DaemonView& view, capnp::List<wire::ActorInfo>::Builder out);
void write_pools(const DaemonView& view, capnp::List<wire::PoolInfo>::Builder out);
void write_groups(const DaemonView& view, capnp::List<wire::GroupInfo>::Builder out);
void write_objects(const DaemonView& view, std::uint32_t limit, bool named, wire::ObjectList::Builder out);
// A tensor as objects are listed: names and versions left out.
void write_tensor(const DaemonView& view, const shm::Tensor& tensor, wire::ObjectInfo::Builder out);
void write_dead_letters(const DaemonView& view, wire::DeadLetterList::Builder out);
// With its arguments. REQUIRES: inside guard().
void write_dead_letter(const DaemonView& view, const DeadLetter& letter, wire::DeadLetterInfo::Builder out);
void write_cache(const DaemonView& view, std::uint32_t limit, wire::CacheInfo::Builder out);
// Names of the participants whose bits are set.
std::vector<std::string> holders_of(const DaemonView& view, std::uint64_t bits);
// An object by handle or name; kNotFound.
Result<void> write_who(const DaemonView& view, const std::string& who, wire::AdminReply::Builder reply);
void write_leaks(const DaemonView& view, std::int64_t older_than_ns, wire::LeakReport::Builder out);
void write_top(const DaemonView& view, std::uint32_t limit, wire::ArenaTop::Builder out);
void write_arena(const DaemonView& view, wire::ArenaInfo::Builder out);
void write_fsck(const DaemonView& view, wire::FsckInfo::Builder out);
// Of all actors whose commits go to disk, or of `actors`.
void write_checkpoints(const DaemonView& view, const std::vector<ActorId>* actors, wire::CheckpointList::Builder out);
void write_checkpoint_summary(const DaemonView& view, wire::CheckpointSummary::Builder out);
void write_checkpoint(const DaemonView& view, ActorId id, wire::CheckpointInfo::Builder out);
// kUnsupported where nothing is kept, kNotFound for a name that neither the configuration nor the log has, kInvalidArgument.
Result<void> write_log(const DaemonView& view, wire::LogQuery::Reader query, wire::AdminReply::Builder reply);
void write_participants(const DaemonView& view, wire::AdminReply::Builder reply);

}  // namespace tv::supervisor
