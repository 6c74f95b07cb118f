// The arena's part of admin_info.h.
#include <algorithm>
#include <map>

#include "shm/fsck.h"
#include "shm/usage.h"
#include "supervisor/admin_info.h"

namespace tv::supervisor {
namespace {

constexpr std::uint32_t kDefaultObjects = 1000;
constexpr std::uint32_t kMostObjects = 10'000;          // in one answer
constexpr std::size_t kMostObjectsLookedAt = 200'000;  // to find those with names

kj::StringPtr text(const std::string& s) { return {s.c_str(), s.size()}; }

std::string participant_name(const DaemonView& view, ParticipantId id) {
  auto name = view.directory.participant_name(id);
  return name.empty() ? "participant " + std::to_string(id) : name;
}

using Names = std::map<shm::Handle, std::pair<std::string, std::uint64_t>>;  // name and version

Names names_by_handle(const DaemonView& view) {
  Names names;
  for (auto& [name, named] : view.directory.names()) names.emplace(named.handle, std::pair(name, named.version));
  return names;
}

std::vector<std::string> holders_of(const DaemonView& view, std::uint64_t bits) {
  std::vector<std::string> holders;
  for (ParticipantId p = 0; p < limits::kMaxParticipants; ++p)
    if ((bits & bit(p)) != 0) holders.push_back(participant_name(view, p));
  return holders;
}

const char* state_name(shm::SlotState state) {
  switch (state) {
    case shm::SlotState::kUnsealed: return "unsealed";
    case shm::SlotState::kSealed: return "sealed";
    case shm::SlotState::kFailed: return "failed";
    case shm::SlotState::kFree: break;
  }
  return "free";
}

void write_object(const DaemonView& view, const shm::ObjectInfo& object, const Names& names, wire::ObjectInfo::Builder out) {
  out.setHandle(object.handle.bits());
  if (auto name = names.find(object.handle); name != names.end()) {
    out.setName(text(name->second.first));
    out.setVersion(name->second.second);
  }
  out.setDtype(text(std::string(shm::dtype_name(object.spec.dtype))));
  auto shape = out.initShape(object.spec.dims);
  for (unsigned d = 0; d < object.spec.dims; ++d) shape.set(d, object.spec.shape[d]);
  out.setBytes(object.bytes);
  out.setCreator(text(participant_name(view, object.creator)));
  auto holders = holders_of(view, object.holders);
  auto list = out.initHolders(static_cast<unsigned>(holders.size()));
  for (unsigned h = 0; h < holders.size(); ++h) list.set(h, text(holders[h]));
  out.setCreatedNs(object.created_ns);
  out.setState(state_name(object.state));
}

const char* kind_name(std::uint32_t kind) {
  switch (static_cast<shm::ParticipantKind>(kind)) {
    case shm::ParticipantKind::kSupervisor: return "supervisor";
    case shm::ParticipantKind::kWorker: return "worker";
    case shm::ParticipantKind::kClient: return "client";
    case shm::ParticipantKind::kNone: break;
  }
  return "none";
}

}  // namespace

void write_objects(const DaemonView& view, std::uint32_t limit, bool named, wire::ObjectList::Builder out) {
  limit = std::min(limit == 0 ? kDefaultObjects : limit, kMostObjects);
  view.recovery.collect();
  auto names = names_by_handle(view);
  auto objects = shm::list_objects(view.arena, named ? kMostObjectsLookedAt : limit);
  if (named) std::erase_if(objects, [&](const shm::ObjectInfo& object) { return !names.contains(object.handle); });
  if (objects.size() > limit) objects.resize(limit);
  auto list = out.initObjects(static_cast<unsigned>(objects.size()));
  for (unsigned i = 0; i < objects.size(); ++i) write_object(view, objects[i], names, list[i]);
  out.setTotal(shm::stats(view.arena).objects);
}

void write_tensor(const DaemonView& view, const shm::Tensor& tensor, wire::ObjectInfo::Builder out) {
  if (auto object = shm::find_object(view.arena, tensor.handle())) write_object(view, *object, {}, out);
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
}

void write_fsck(const DaemonView& view, wire::FsckInfo::Builder out) {
  view.recovery.collect();
  auto report = shm::fsck(view.arena);
  out.setObjects(report.objects);
  out.setBlocks(report.blocks);
  out.setRings(report.rings);
  out.setUnreadBytes(report.unread_bytes);
  auto problems = out.initProblems(static_cast<unsigned>(report.problems.size()));
  for (unsigned i = 0; i < report.problems.size(); ++i) problems.set(i, text(report.problems[i]));
}

void write_participants(const DaemonView& view, wire::AdminReply::Builder reply) {
  std::vector<ParticipantId> present;
  for (ParticipantId p = 0; p < limits::kMaxParticipants; ++p)
    if (view.arena.participant(p).kind.load(std::memory_order_acquire) != 0) present.push_back(p);
  auto use = shm::use_by_participant(view.arena);
  auto list = reply.initParticipants(static_cast<unsigned>(present.size()));
  for (unsigned i = 0; i < present.size(); ++i) {
    const auto& slot = view.arena.participant(present[i]);
    list[i].setId(present[i]);
    list[i].setName(text(participant_name(view, present[i])));
    list[i].setKind(kind_name(slot.kind.load(std::memory_order_acquire)));
    list[i].setPid(slot.pid);
    list[i].setIncarnation(slot.incarnation.load(std::memory_order_acquire));
    list[i].setObjectsHeld(use[present[i]].objects_held);
    list[i].setBlocksLeased(use[present[i]].blocks_leased);
    list[i].setUnreadBytes(use[present[i]].unread_bytes);
  }
}

}  // namespace tv::supervisor
