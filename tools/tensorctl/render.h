// The supervisor's answers as text: tables, descriptions or JSON. Must be called inside ipc::guard(), like all that reads a message.
//
// JSON: keys are snake_case and stable; times are ISO 8601 in UTC, null when there is none; sizes are bytes; handles are
// "index.generation" strings, as describe takes them.
#pragma once

#include <string>

#include "ipc/admin.capnp.h"
#include "tools/tensorctl/fields.h"

namespace tv::ctl {

using Workers = capnp::List<wire::WorkerInfo>::Reader;
using Actors = capnp::List<wire::ActorInfo>::Reader;
using Pools = capnp::List<wire::PoolInfo>::Reader;
using Groups = capnp::List<wire::GroupInfo>::Reader;
using Participants = capnp::List<wire::ParticipantInfo>::Reader;

std::string render(wire::Status::Reader status, const View& view);
std::string render(Workers workers, const View& view);
std::string render(Actors actors, const View& view);
std::string render(Pools pools, const View& view);
std::string render(Groups groups, const View& view);
std::string render(wire::ObjectList::Reader objects, const View& view);
std::string render(Participants participants, const View& view);
std::string render(wire::DeadLetterList::Reader letters, const View& view);
std::string render(wire::CacheInfo::Reader cache, const View& view);
std::string render(wire::ArenaInfo::Reader arena, const View& view);
std::string render(wire::FsckInfo::Reader fsck, const View& view);
std::string render(wire::LeakReport::Reader leaks, const View& view);
std::string render(wire::ArenaTop::Reader top, const View& view);
using Objects = capnp::List<wire::ObjectInfo>::Reader;
Json objects_json(Objects objects, const View& view);
std::string objects_table(Objects objects, const View& view);
std::string render_done(const std::string& text, const View& view);

// `actors`: all; those in the worker or pool are picked.
std::string describe(wire::WorkerInfo::Reader worker, Actors actors, const View& view);
std::string describe(wire::PoolInfo::Reader pool, Actors actors, const View& view);
std::string describe(wire::GroupInfo::Reader group, const View& view);
std::string describe(wire::ActorInfo::Reader actor, const View& view);
std::string describe(wire::ObjectInfo::Reader object, const View& view);
std::string describe(wire::DeadLetterInfo::Reader letter, const View& view);

}  // namespace tv::ctl
