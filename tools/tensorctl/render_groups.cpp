#include <algorithm>
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

// All that is in the group, in groups within it, too. A name is added once, so that this ends whatever the daemon says.
void add_children(const std::string& name, Groups groups, std::vector<std::string>& inside) {
  for (auto group : groups) {
    if (str(group.getName()) != name) continue;
    for (auto child : group.getChildren()) {
      if (std::find(inside.begin(), inside.end(), str(child)) != inside.end()) continue;
      inside.push_back(str(child));
      add_children(str(child), groups, inside);
    }
  }
}

}  // namespace

std::string render(Groups groups, const View& view) {
  if (view.structured()) return structured_text(view, {{"groups", json_list(fields(), groups, view)}});
  return table_of(fields(), groups, view);
}

std::string describe(wire::GroupInfo::Reader group, Groups groups, Actors actors, const View& view) {
  std::vector<std::string> inside{str(group.getName())};
  add_children(str(group.getName()), groups, inside);
  std::vector<wire::ActorInfo::Reader> members;
  auto has = [&](capnp::Text::Reader name) { return name.size() > 0 && std::find(inside.begin(), inside.end(), str(name)) != inside.end(); };
  for (auto actor : actors)
    if (has(actor.getName()) || has(actor.getPool())) members.push_back(actor);
  if (view.structured()) {
    auto json = json_of(fields(), group, view.now);
    json["members"] = actors_json(members, view);
    return structured_text(view, json);
  }
  return render_lines(lines_of(fields(), group, view.now), view.screen) + "\n" + actors_table(members, view);
}

Json tree_of(wire::GroupInfo::Reader group, const Now& now) { return json_of(fields(), group, now); }
std::vector<std::string> group_keys() { return keys_of(fields()); }

}  // namespace tv::ctl
