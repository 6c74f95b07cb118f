#include <array>

#include "tools/tensorctl/render.h"

namespace tv::ctl {
namespace {

using R = wire::GroupInfo::Reader;

std::string children_of(R r) {
  std::string all;
  for (auto child : r.getChildren()) all += (all.empty() ? "" : ", ") + str(child);
  return all;
}
Json children_json(R r, const Now&) {
  Json list = Json::array();
  for (auto child : r.getChildren()) list.push_back(str(child));
  return list;
}
std::int64_t next_chance(R r, const Now& now) { return r.getNextChanceNs() ? now.realtime_of(r.getNextChanceNs()) : 0; }

const std::array<Field<R>, 10> kFields = {{
    {"name", "NAME", Show::kAlways, Align::kLeft, [](R r, const Now&) { return Json(str(r.getName())); }},
    {"strategy", "STRATEGY", Show::kAlways, Align::kLeft, [](R r, const Now&) { return Json(str(r.getStrategy())); }},
    {"state", "STATE", Show::kAlways, Align::kLeft, [](R r, const Now&) { return Json(str(r.getState())); },
     [](R r, const Now&) { return state_cell(str(r.getState())); }},
    {"ready", "READY", Show::kAlways, Align::kRight, [](R r, const Now&) { return Json(r.getReady()); },
     [](R r, const Now&) {
       return Cell{std::to_string(r.getReady()), r.getReady() == r.getActors() ? Tone::kGood : Tone::kWarning};
     }},
    {"actors", "ACTORS", Show::kAlways, Align::kRight, [](R r, const Now&) { return Json(r.getActors()); }},
    {"restarts", "RESTARTS", Show::kAlways, Align::kRight, [](R r, const Now&) { return Json(r.getRestarts()); }},
    {"parent", "PARENT", Show::kWide, Align::kLeft, [](R r, const Now&) { return r.getParent().size() ? Json(str(r.getParent())) : Json(); }},
    {"children", "CHILDREN", Show::kWide, Align::kLeft, children_json, [](R r, const Now&) { return Cell{children_of(r)}; }},
    {"next_chance", "NEXT-CHANCE", Show::kDetail, Align::kLeft, [](R r, const Now& now) { return time_or_null(next_chance(r, now)); },
     [](R r, const Now& now) { return Cell{r.getNextChanceNs() ? "in " + span_text(r.getNextChanceNs() - now.monotonic_ns) : "-"}; }},
    {"message", "MESSAGE", Show::kDetail, Align::kLeft, [](R r, const Now&) { return Json(str(r.getMessage())); }},
}};

std::span<const Field<R>> fields() { return kFields; }

}  // namespace

std::string render(Groups groups, const View& view) {
  if (view.output == Output::kJson) return json_text({{"groups", json_list(fields(), groups, view.now)}});
  return table_of(fields(), groups, view);
}

std::string describe(wire::GroupInfo::Reader group, const View& view) {
  if (view.output == Output::kJson) return json_text(json_of(fields(), group, view.now));
  return render_lines(lines_of(fields(), group, view.now), view.screen);
}

}  // namespace tv::ctl
