// The arena's part of admin_info.h.
#include <algorithm>
#include <map>

#include "config/units.h"
#include "shm/fsck.h"
#include "shm/leaks.h"
#include "shm/usage.h"
#include "supervisor/admin_info.h"

namespace tv::supervisor {
namespace {

constexpr std::uint32_t kDefaultObjects = 1000;
// In one answer. The supervisor stays small: what it says at once is bounded, and the memory goes back afterwards.
constexpr std::uint32_t kMostObjects = 4'000;
constexpr std::uint32_t kDefaultTop = 10;
constexpr std::uint32_t kMostTop = 100;
constexpr Nanoseconds kDefaultLeakAge = 1min;
constexpr unsigned kMostLeakGroups = 200;  // in one answer

kj::StringPtr text(const std::string& s) { return {s.c_str(), s.size()}; }

std::string participant_name(const DaemonView& view, ParticipantId id) {
  auto name = view.directory.participant_name(id);
  return name.empty() ? "participant " + std::to_string(id) : name;
}

// Who made an object. Numbers of clients are used again: the one that has it now may be another.
std::string creator_name(const DaemonView& view, ParticipantId id, Incarnation incarnation) {
  if (id > view.config.workers.size()) {
    auto client = view.clients.clients().find(id);
    if (client == view.clients.clients().end() || client->second.incarnation != incarnation)
      return "client " + std::to_string(id) + " (departed)";
  }
  return participant_name(view, id);
}

using Names = std::map<shm::Handle, shm::Cache::Info>;  // of objects in the arena

Names names_by_handle(const DaemonView& view) {
  Names names;
  for (auto& info : view.cache.list())
    if (!info.spilled) names.emplace(info.handle, std::move(info));
  return names;
}

const char* name_state(const shm::Cache::Flags& flags) { return flags.pinned ? "pinned" : flags.cached ? "cached" : "published"; }

void write_texts(const std::vector<std::string>& texts, capnp::List<capnp::Text>::Builder out) {
  for (unsigned i = 0; i < texts.size(); ++i) out.set(i, text(texts[i]));
}

const char* state_name(shm::SlotState state) {
  switch (state) {
    case shm::SlotState::kUnsealed:
      return "unsealed";
    case shm::SlotState::kSealed:
      return "sealed";
    case shm::SlotState::kFailed:
      return "failed";
    case shm::SlotState::kFree:
      break;
  }
  return "free";
}

void write_object(const DaemonView& view, const shm::ObjectInfo& object, const Names& names, wire::ObjectInfo::Builder out) {
  out.setHandle(object.handle.bits());
  if (auto name = names.find(object.handle); name != names.end()) {
    out.setName(text(name->second.name));
    out.setVersion(name->second.version);
    out.setNameState(name_state(name->second.flags));
  }
  out.setDtype(text(std::string(shm::dtype_name(object.spec.dtype))));
  auto shape = out.initShape(object.spec.dims);
  for (unsigned d = 0; d < object.spec.dims; ++d) shape.set(d, object.spec.shape[d]);
  out.setBytes(object.bytes);
  out.setFootprintBytes(object.footprint);
  out.setCreator(text(creator_name(view, object.creator, object.incarnation)));
  out.setIncarnation(object.incarnation);
  out.setCreatorActor(text(std::string(view.directory.actor_name(object.creator_actor))));
  out.setMethod(text(object.label));
  auto holders = holders_of(view, object.holders);
  write_texts(holders, out.initHolders(static_cast<unsigned>(holders.size())));
  out.setCreatedNs(object.created_ns);
  out.setState(state_name(object.state));
}

const char* kind_name(std::uint32_t kind) {
  switch (static_cast<shm::ParticipantKind>(kind)) {
    case shm::ParticipantKind::kSupervisor:
      return "supervisor";
    case shm::ParticipantKind::kWorker:
      return "worker";
    case shm::ParticipantKind::kClient:
      return "client";
    case shm::ParticipantKind::kWriter:
      return "writer";
    case shm::ParticipantKind::kNone:
      break;
  }
  return "none";
}

// `who` is no handle and no name of an object in the arena.
Error no_such_name(const DaemonView& view, const std::string& who) {
  std::vector<std::string> known;
  for (const auto& info : view.cache.list()) known.push_back(info.name);
  if (std::find(known.begin(), known.end(), who) != known.end())
    return Error{Errc::kNotFound, "\"" + who +
                                      "\" has been spilled to a file: there is no object until somebody gets it; "
                                      "tensorctl cache list shows it"};
  auto near = config::nearest(who, known);
  return Error{Errc::kNotFound,
               "there is no object \"" + who + "\"; " +
                   (near.empty() ? "tensorctl list objects --named shows those with names" : "did you mean \"" + near + "\"?")};
}

void explain_letters(const DaemonView& view, const shm::Explain& explain) {
  for (const auto& [id, letter] : view.dead_letters.all()) {
    auto why = "dead letter " + std::to_string(id);
    explain(letter.envelope.handle(), why);
    for (const auto& tensor : letter.tensors) explain(tensor.handle(), why);
  }
}

std::vector<ParticipantId> participants_present(const DaemonView& view) {
  std::vector<ParticipantId> present;
  for (ParticipantId p = 0; p < limits::kMaxParticipants; ++p)
    if (view.arena.participant(p).kind.load(std::memory_order_acquire) != 0) present.push_back(p);
  return present;
}

void write_participants(const DaemonView& view, const std::vector<ParticipantId>& present, const std::vector<shm::ParticipantUse>& use,
                        capnp::List<wire::ParticipantInfo>::Builder list) {
  for (unsigned i = 0; i < present.size(); ++i) {
    const auto& slot = view.arena.participant(present[i]);
    const auto& of = use[present[i]];
    list[i].setId(present[i]);
    list[i].setName(text(participant_name(view, present[i])));
    list[i].setKind(kind_name(slot.kind.load(std::memory_order_acquire)));
    list[i].setPid(slot.pid);
    list[i].setIncarnation(slot.incarnation.load(std::memory_order_acquire));
    list[i].setObjectsHeld(of.objects_held);
    list[i].setBytesHeld(of.bytes_held);
    list[i].setBytesHeldAlone(of.bytes_held_alone);
    list[i].setBlocksLeased(of.blocks_leased);
    list[i].setBlocksKept(of.blocks_kept);
    list[i].setUnreadBytes(of.unread_bytes);
  }
}

}  // namespace

std::vector<std::string> holders_of(const DaemonView& view, std::uint64_t bits) {
  std::vector<std::string> holders;
  for (ParticipantId p = 0; p < limits::kMaxParticipants; ++p)
    if ((bits & bit(p)) != 0) holders.push_back(participant_name(view, p));
  return holders;
}

void write_objects(const DaemonView& view, std::uint32_t limit, bool named, wire::ObjectList::Builder out) {
  limit = std::min(limit == 0 ? kDefaultObjects : limit, kMostObjects);
  view.recovery.collect();
  auto names = names_by_handle(view);
  std::vector<shm::ObjectInfo> objects;
  if (named) {
    for (const auto& [handle, name] : names)
      if (auto object = shm::find_object(view.arena, handle); object && objects.size() < limit) objects.push_back(std::move(*object));
  } else {
    objects = shm::list_objects(view.arena, limit);
  }
  auto list = out.initObjects(static_cast<unsigned>(objects.size()));
  for (unsigned i = 0; i < objects.size(); ++i) write_object(view, objects[i], names, list[i]);
  out.setTotal(shm::stats(view.arena).objects);
}

void write_tensor(const DaemonView& view, const shm::Tensor& tensor, wire::ObjectInfo::Builder out) {
  if (auto object = shm::find_object(view.arena, tensor.handle())) write_object(view, *object, {}, out);
}

Result<void> write_who(const DaemonView& view, const std::string& who, wire::AdminReply::Builder reply) {
  view.recovery.collect();
  auto names = names_by_handle(view);
  auto handle = shm::parse_handle(who);
  if (!handle) {
    auto named = view.directory.find_name(who);
    if (!named || !named->handle) return no_such_name(view, who);
    handle = named->handle;
  }
  auto object = shm::find_object(view.arena, *handle);
  if (!object) return Error{Errc::kNotFound, "there is no object " + who + "; it has been freed, or its handle was never given out"};
  auto out = reply.initObject();
  write_object(view, *object, names, out);
  std::string explained;
  auto note = [&](shm::Handle explained_handle, const std::string& why) {
    if (explained_handle == *handle && explained.find(why) == std::string::npos) explained += (explained.empty() ? "" : ", ") + why;
  };
  shm::for_each_explained(view.recovery.store(), note);
  explain_letters(view, note);
  out.setExplained(text(explained));
  return {};
}

void write_leaks(const DaemonView& view, std::int64_t older_than_ns, wire::LeakReport::Builder out) {
  view.recovery.collect();
  if (older_than_ns <= 0) older_than_ns = kDefaultLeakAge.count();
  auto report = shm::find_leaks(view.recovery.store(), monotonic_ns() - older_than_ns,
                                [&](const shm::Explain& explain) { explain_letters(view, explain); });
  out.setObjects(report.objects);
  out.setBytes(report.bytes);
  out.setOlderThanNs(older_than_ns);
  auto groups = out.initGroups(std::min(static_cast<unsigned>(report.groups.size()), kMostLeakGroups));
  for (unsigned i = 0; i < groups.size(); ++i) {
    const shm::LeakGroup& group = report.groups[i];
    auto holders = holders_of(view, group.holders);
    write_texts(holders, groups[i].initHolders(static_cast<unsigned>(holders.size())));
    groups[i].setCreator(text(creator_name(view, group.creator, group.incarnation)));
    groups[i].setIncarnation(group.incarnation);
    groups[i].setCreatorActor(text(std::string(view.directory.actor_name(group.creator_actor))));
    groups[i].setMethod(text(group.label));
    groups[i].setObjects(group.objects);
    groups[i].setBytes(group.bytes);
    groups[i].setOldestNs(group.oldest_ns);
    groups[i].setOldest(group.oldest.bits());
  }
}

void write_top(const DaemonView& view, std::uint32_t limit, wire::ArenaTop::Builder out) {
  limit = std::min(limit == 0 ? kDefaultTop : limit, kMostTop);
  write_arena(view, out.initArena());
  auto use = shm::use_by_participant(view.arena);
  auto present = participants_present(view);
  std::stable_sort(present.begin(), present.end(), [&](ParticipantId a, ParticipantId b) { return use[a].bytes_held > use[b].bytes_held; });
  write_participants(view, present, use, out.initParticipants(static_cast<unsigned>(present.size())));
  auto names = names_by_handle(view);
  auto largest = shm::largest_objects(view.arena, limit);
  auto list = out.initLargest(static_cast<unsigned>(largest.size()));
  for (unsigned i = 0; i < largest.size(); ++i) write_object(view, largest[i], names, list[i]);
}

void write_arena(const DaemonView& view, wire::ArenaInfo::Builder out) {
  view.recovery.collect();
  auto stats = shm::stats(view.arena);
  out.setSizeBytes(stats.size_bytes);
  out.setBlockBytes(limits::kBlockBytes);
  out.setBlocks(stats.blocks);
  out.setBlocksLeased(stats.blocks_leased);
  out.setObjects(stats.objects);
  out.setMaxObjects(stats.max_objects);
  out.setObjectBytes(stats.object_bytes);
  out.setBackedBytes(stats.backed_bytes);
  out.setNames(view.directory.names().size());
  out.setRings(stats.rings);
  out.setRingBytes(stats.ring_bytes);
  out.setBlocksKept(stats.blocks_kept);
  out.setBlocksBacked(stats.blocks_backed);
  out.setFootprintBytes(stats.footprint_bytes);
  out.setClientBlocks(view.arena.geometry().client_blocks);
}

void write_fsck(const DaemonView& view, wire::FsckInfo::Builder out) {
  view.recovery.collect();
  auto report = shm::fsck(view.arena, [&](std::uint32_t block) { return view.memory.at_hand(block); });
  out.setObjects(report.objects);
  out.setBlocks(report.blocks);
  out.setRings(report.rings);
  out.setUnreadBytes(report.unread_bytes);
  auto problems = out.initProblems(static_cast<unsigned>(report.problems.size()));
  for (unsigned i = 0; i < report.problems.size(); ++i) problems.set(i, text(report.problems[i]));
}

void write_participants(const DaemonView& view, wire::AdminReply::Builder reply) {
  auto present = participants_present(view);
  write_participants(view, present, shm::use_by_participant(view.arena), reply.initParticipants(static_cast<unsigned>(present.size())));
}

}  // namespace tv::supervisor
