#include <array>

#include "config/units.h"
#include "shm/handle.h"
#include "tools/tensorctl/render.h"

namespace tv::ctl {
namespace {

using N = wire::CachedName::Reader;

Json held_by_json(N r) {
  Json holders = Json::array();
  for (auto holder : r.getHeldBy()) holders.push_back(str(holder));
  return holders;
}
std::int64_t last_use(N r, const Now& now) { return r.getLastUseNs() ? now.realtime_of(r.getLastUseNs()) : 0; }
std::string kind_name(N r) { return r.getCached() ? "cached" : "published"; }

const std::array<Field<N>, 10> kNameFields = {{
    {"name", "NAME", Show::kAlways, Align::kLeft, [](N r, const Now&) { return Json(str(r.getName())); }},
    {"version", "VERSION", Show::kAlways, Align::kRight, [](N r, const Now&) { return Json(r.getVersion()); }},
    {"where", "WHERE", Show::kAlways, Align::kLeft, [](N r, const Now&) { return Json(str(r.getPlace())); }},
    {"kind", "KIND", Show::kAlways, Align::kLeft, [](N r, const Now&) { return Json(kind_name(r)); },
     [](N r, const Now&) { return Cell{r.getPinned() ? "pinned" : kind_name(r)}; }},
    {"pinned", nullptr, Show::kJsonOnly, Align::kLeft, [](N r, const Now&) { return Json(r.getPinned()); }},
    {"bytes", "SIZE", Show::kAlways, Align::kRight, [](N r, const Now&) { return Json(r.getBytes()); },
     [](N r, const Now&) { return size_cell(r.getBytes()); }},
    {"file_bytes", "FILE", Show::kWide, Align::kRight, [](N r, const Now&) { return Json(r.getFileBytes()); },
     [](N r, const Now&) { return size_cell(r.getFileBytes()); }},
    {"last_use", "LAST-USE", Show::kAlways, Align::kRight, [](N r, const Now& now) { return time_or_null(last_use(r, now)); },
     [](N r, const Now& now) { return Cell{ago_text(last_use(r, now), now)}; }},
    {"held_by", "HELD-BY", Show::kAlways, Align::kLeft, [](N r, const Now&) { return held_by_json(r); }},
    {"handle", "HANDLE", Show::kWide, Align::kLeft,
     [](N r, const Now&) { return r.getHandle() ? Json(shm::to_string(shm::Handle::from_bits(r.getHandle()))) : Json(); }},
}};

std::span<const Field<N>> name_fields() { return kNameFields; }

// "cache: 3.0MiB of 4.0MiB, 1.0MiB of these pinned; 2.0MiB of 1.0GiB spilled; 5 evicted since the start"
std::string totals(wire::CacheInfo::Reader r) {
  using config::format_size;
  std::string text = "cache: " + format_size(r.getBytes()) + " of " + format_size(r.getLimitBytes());
  if (r.getPinnedBytes() > 0) text += ", " + format_size(r.getPinnedBytes()) + " of these pinned";
  if (r.getSpillLimitBytes() > 0)
    text += "; " + format_size(r.getSpilledBytes()) + " of " + format_size(r.getSpillLimitBytes()) + " spilled";
  text += "; " + std::to_string(r.getEvicted()) + " evicted since the start";
  if (r.getDamaged() > 0) text += ", " + std::to_string(r.getDamaged()) + " found damaged";
  return text + "\n";
}

}  // namespace

std::string render(wire::CacheInfo::Reader cache, const View& view) {
  auto names = cache.getNames();
  if (view.structured())
    return structured_text(view, {{"names", json_list(name_fields(), names, view)},
                      {"total", cache.getTotal()},
                      {"bytes", cache.getBytes()},
                      {"limit_bytes", cache.getLimitBytes()},
                      {"pinned_bytes", cache.getPinnedBytes()},
                      {"spilled_bytes", cache.getSpilledBytes()},
                      {"spill_limit_bytes", cache.getSpillLimitBytes()},
                      {"evicted", cache.getEvicted()},
                      {"spilled", cache.getSpilled()},
                      {"restored", cache.getRestored()},
                      {"damaged", cache.getDamaged()}});
  auto text = table_of(name_fields(), names, view);
  if (view.output == Output::kName) return text;
  if (names.size() < cache.getTotal())
    text += std::to_string(names.size()) + " of " + std::to_string(cache.getTotal()) + " names; --limit shows more\n";
  return text + totals(cache);
}

std::vector<std::string> cached_name_keys() { return keys_of(name_fields()); }

}  // namespace tv::ctl
