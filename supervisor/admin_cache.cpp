// The named tensors' part of admin_info.h.
#include <algorithm>

#include "shm/usage.h"
#include "supervisor/admin_info.h"

namespace tv::supervisor {
namespace {

constexpr std::uint32_t kDefaultNames = 1000;
constexpr std::uint32_t kMostNames = 4000;  // in one answer, as of objects

kj::StringPtr text(const std::string& s) { return {s.c_str(), s.size()}; }

const char* place_name(const shm::Cache::Info& info) { return info.spilled ? "spilled" : info.spilling ? "spilling" : "arena"; }

void write_held_by(const DaemonView& view, const shm::Cache::Info& info, wire::CachedName::Builder out) {
  auto object = shm::find_object(view.arena, info.handle);
  auto holders = holders_of(view, object ? object->holders & ~bit(kSupervisor) : 0);
  auto list = out.initHeldBy(static_cast<unsigned>(holders.size()));
  for (unsigned i = 0; i < list.size(); ++i) list.set(i, text(holders[i]));
}

void write_name(const DaemonView& view, const shm::Cache::Info& info, wire::CachedName::Builder out) {
  out.setName(text(info.name));
  out.setVersion(info.version);
  out.setPlace(place_name(info));
  out.setCached(info.flags.cached);
  out.setPinned(info.flags.pinned);
  out.setBytes(info.bytes);
  out.setFileBytes(info.file_bytes);
  out.setLastUseNs(info.last_used_ns);
  out.setHandle(info.handle.bits());
  write_held_by(view, info, out);
}

}  // namespace

void write_cache(const DaemonView& view, std::uint32_t limit, wire::CacheInfo::Builder out) {
  view.recovery.collect();
  auto all = view.cache.list();
  out.setTotal(all.size());
  out.setBytes(view.cache.bytes());
  out.setLimitBytes(view.cache.limits().cache_bytes);
  out.setPinnedBytes(view.cache.pinned_bytes());
  out.setSpilledBytes(view.cache.spilled_bytes());
  out.setSpillLimitBytes(view.cache.limits().spill_bytes);
  const auto& counts = view.cache.counts();
  out.setEvicted(counts.evicted);
  out.setSpilled(counts.spilled);
  out.setRestored(counts.restored);
  out.setDamaged(counts.damaged);
  all.resize(std::min<std::size_t>(all.size(), std::min(limit == 0 ? kDefaultNames : limit, kMostNames)));
  auto names = out.initNames(static_cast<unsigned>(all.size()));
  for (unsigned i = 0; i < names.size(); ++i) write_name(view, all[i], names[i]);
}

}  // namespace tv::supervisor
