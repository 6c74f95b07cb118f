#include "shm/leaks.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "shm/ring.h"
#include "shm/state.h"
#include "shm/usage.h"

namespace tv::shm {
namespace {

void explain_names(const Arena& arena, const Explain& explain) {
  for (std::uint32_t n = 0; n < limits::kMaxNames; ++n) {
    const NameEntry& entry = arena.name(n);
    if (entry.state.load(std::memory_order_acquire) != 1) continue;
    std::string name(entry.name, ::strnlen(entry.name, sizeof entry.name));
    explain(Handle::from_bits(entry.handle.load(std::memory_order_acquire)), "named \"" + name + "\"");
  }
}

void explain_states(Store& store, const Explain& explain) {
  const Arena& arena = *store.arena();
  for (ActorId id = 0; id < limits::kMaxActors; ++id) {
    const ActorEntry& entry = arena.actor(id);
    if (entry.published.load(std::memory_order_acquire) == 0) continue;
    Handle manifest = committed(arena, id);
    if (!manifest) continue;
    std::string why = "state of actor \"" + std::string(entry.name, ::strnlen(entry.name, sizeof entry.name)) + "\"";
    explain(manifest, why);
    auto tensor = store.get(manifest);
    auto handles = tensor ? manifest_handles(*tensor) : Result<std::vector<Handle>>(tensor.error());
    if (!handles) continue;
    for (Handle handle : *handles) explain(handle, why);
  }
}

void explain_mail(const Arena& arena, const Explain& explain) {
  for (ParticipantId from = 0; from < limits::kMaxParticipants; ++from)
    for (ParticipantId to = 0; to < limits::kMaxParticipants; ++to) {
      for (Lane lane : {Lane::kMail, Lane::kPriority}) {
        if (arena.ring(from, to, lane).made.load(std::memory_order_acquire) == 0) continue;
        for (const auto& record : unread_handles(arena, from, to, lane))
          for (Handle handle : record.handles) explain(handle, "unread mail of participant " + std::to_string(to));
      }
    }
}

// A bit a slot.
class Explained {
 public:
  explicit Explained(const Arena& arena) : arena_(arena), slots_(arena.geometry().slots()) {}
  void add(Handle handle) {
    std::uint32_t index = handle.index();
    if (!handle || index >= slots_.size()) return;
    if (arena_.chunk(index / limits::kSlotsPerChunk).owner.load(std::memory_order_acquire) == 0) return;
    if (tag_generation(arena_.slot(index).tag.load(std::memory_order_acquire)) == handle.generation()) slots_[index] = true;
  }
  bool has(Handle handle) const { return slots_[handle.index()]; }

 private:
  const Arena& arena_;
  std::vector<bool> slots_;
};

}  // namespace

void for_each_explained(Store& store, const Explain& explain) {
  explain_names(*store.arena(), explain);
  explain_states(store, explain);
  explain_mail(*store.arena(), explain);
}

LeakReport find_leaks(Store& store, std::int64_t before_ns, const std::function<void(const Explain&)>& more) {
  const Arena& arena = *store.arena();
  Explained explained(arena);
  auto mark = [&](Handle handle, const std::string&) { explained.add(handle); };
  for_each_explained(store, mark);
  if (more) more(mark);

  using Key = std::tuple<std::uint64_t, ParticipantId, Incarnation, ActorId, std::string>;
  std::map<Key, LeakGroup> groups;
  LeakReport report;
  visit_objects(arena, [&](const ObjectInfo& object) {
    if (object.state == SlotState::kUnsealed || object.created_ns >= before_ns || explained.has(object.handle)) return;
    ++report.objects;
    report.bytes += object.bytes;
    Key key{object.holders, object.creator, object.incarnation, object.creator_actor, object.label};
    auto found = groups.find(key);
    if (found == groups.end()) {
      if (groups.size() == kMaxLeakGroups) return;
      LeakGroup fresh{object.holders,    object.creator, object.incarnation, object.creator_actor, object.label, 0, 0,
                      object.created_ns, object.handle};
      found = groups.emplace(std::move(key), std::move(fresh)).first;
    }
    LeakGroup& group = found->second;
    ++group.objects;
    group.bytes += object.bytes;
    if (object.created_ns < group.oldest_ns) {
      group.oldest_ns = object.created_ns;
      group.oldest = object.handle;
    }
  });
  for (auto& [key, group] : groups) report.groups.push_back(std::move(group));
  std::sort(report.groups.begin(), report.groups.end(), [](const LeakGroup& a, const LeakGroup& b) { return a.bytes > b.bytes; });
  return report;
}

}  // namespace tv::shm
