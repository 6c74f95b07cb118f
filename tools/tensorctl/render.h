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
using Letters = capnp::List<wire::DeadLetterInfo>::Reader;
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

std::string actors_table(const std::vector<wire::ActorInfo::Reader>& actors, const View& view);
Json actors_json(const std::vector<wire::ActorInfo::Reader>& actors, const View& view);
std::string letters_table(const std::vector<wire::DeadLetterInfo::Reader>& letters, const View& view);
Json letters_json(const std::vector<wire::DeadLetterInfo::Reader>& letters, const View& view);

// One thing as in its list's JSON, and the keys of that.
Json tree_of(wire::WorkerInfo::Reader worker, const Now& now);
Json tree_of(wire::ActorInfo::Reader actor, const Now& now);
Json tree_of(wire::PoolInfo::Reader pool, const Now& now);
Json tree_of(wire::GroupInfo::Reader group, const Now& now);
std::vector<std::string> worker_keys();
std::vector<std::string> actor_keys();
std::vector<std::string> pool_keys();
std::vector<std::string> group_keys();
std::vector<std::string> object_keys();
std::vector<std::string> participant_keys();
std::vector<std::string> letter_keys();
std::vector<std::string> cached_name_keys();

// `actors`, `groups`, `letters`, `objects`: all; those that have to do with it are picked.
std::string describe(wire::WorkerInfo::Reader worker, Actors actors, const View& view);
std::string describe(wire::PoolInfo::Reader pool, Actors actors, const View& view);
std::string describe(wire::GroupInfo::Reader group, Groups groups, Actors actors, const View& view);
std::string describe(wire::ActorInfo::Reader actor, const View& view, Letters letters = {});
std::string describe(wire::ParticipantInfo::Reader participant, Objects objects, const View& view);
std::string describe(wire::ObjectInfo::Reader object, const View& view);
std::string describe(wire::DeadLetterInfo::Reader letter, const View& view);

}  // namespace tv::ctl
