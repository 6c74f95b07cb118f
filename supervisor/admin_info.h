// What administrators see, written into admin.capnp's structs.
#pragma once

#include <string>

#include "ipc/admin.capnp.h"
#include "supervisor/attach_server.h"
#include "supervisor/workers.h"

namespace tv::supervisor {

// What the answers are made of. All of it outlives the admin server.
struct DaemonView {
  const config::Config& config;
  const Workers& workers;
  const Actors& actors;
  const AttachServer& clients;
  Recovery& recovery;
  const shm::Arena& arena;
  const shm::Directory& directory;
  std::int64_t started_ns;  // CLOCK_REALTIME
  std::function<std::string()> health;
  std::function<std::uint64_t()> malformed;
};

void write_status(const DaemonView& view, wire::Status::Builder out);
void write_workers(const DaemonView& view, capnp::List<wire::WorkerInfo>::Builder out);
void write_actors(const DaemonView& view, capnp::List<wire::ActorInfo>::Builder out);
void write_pools(const DaemonView& view, capnp::List<wire::PoolInfo>::Builder out);
void write_objects(const DaemonView& view, std::uint32_t limit, bool named, wire::ObjectList::Builder out);
void write_arena(const DaemonView& view, wire::ArenaInfo::Builder out);
void write_fsck(const DaemonView& view, wire::FsckInfo::Builder out);
void write_participants(const DaemonView& view, wire::AdminReply::Builder reply);

}  // namespace tv::supervisor
