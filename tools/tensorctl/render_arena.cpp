// Who has what of the arena: leaks and top.
#include <array>

#include "config/units.h"
#include "shm/handle.h"
#include "tools/tensorctl/render.h"

namespace tv::ctl {
namespace {

using G = wire::LeakGroup::Reader;

Json holders_json(G r) {
  Json holders = Json::array();
  for (auto holder : r.getHolders()) holders.push_back(str(holder));
  return holders;
}
Cell holders_cell(G r, const Now&) {
  std::string text;
  for (auto holder : r.getHolders()) text += (text.empty() ? "" : ", ") + str(holder);
  return {text};
}
Json text_or_null(capnp::Text::Reader text) { return text.size() == 0 ? Json() : Json(str(text)); }

const std::array<Field<G>, 9> kLeakFields = {{
    {"holders", "HOLDERS", Show::kAlways, Align::kLeft, [](G r, const Now&) { return holders_json(r); }, holders_cell},
    {"creator", "CREATOR", Show::kAlways, Align::kLeft, [](G r, const Now&) { return Json(str(r.getCreator())); }},
    {"incarnation", "INCARNATION", Show::kAlways, Align::kRight, [](G r, const Now&) { return Json(r.getIncarnation()); }},
    {"actor", "ACTOR", Show::kAlways, Align::kLeft, [](G r, const Now&) { return text_or_null(r.getCreatorActor()); }},
    {"method", "METHOD", Show::kAlways, Align::kLeft, [](G r, const Now&) { return text_or_null(r.getMethod()); }},
    {"objects", "OBJECTS", Show::kAlways, Align::kRight, [](G r, const Now&) { return Json(r.getObjects()); }},
    {"bytes", "SIZE", Show::kAlways, Align::kRight, [](G r, const Now&) { return Json(r.getBytes()); },
     [](G r, const Now&) { return size_cell(r.getBytes()); }},
    {"oldest", "OLDEST", Show::kAlways, Align::kRight,
     [](G r, const Now& now) { return r.getOldestNs() ? time_or_null(now.realtime_of(r.getOldestNs())) : Json(); },
     [](G r, const Now& now) { return Cell{span_text(now.monotonic_ns - r.getOldestNs())}; }},
    {"handle", "HANDLE", Show::kAlways, Align::kLeft,
     [](G r, const Now&) { return Json(shm::to_string(shm::Handle::from_bits(r.getOldest()))); }},
}};

std::span<const Field<G>> leak_fields() { return kLeakFields; }

}  // namespace

std::string render(wire::LeakReport::Reader leaks, const View& view) {
  auto groups = leaks.getGroups();
  if (view.structured())
    return structured_text(view, {{"groups", json_list(leak_fields(), groups, view)},
                      {"objects", leaks.getObjects()},
                      {"bytes", leaks.getBytes()},
                      {"older_than_ns", leaks.getOlderThanNs()}});
  std::string age = config::format_duration(Nanoseconds{leaks.getOlderThanNs()});
  if (leaks.getObjects() == 0) return "nothing older than " + age + " is without a name, an actor's state or unread mail\n";
  return table_of(leak_fields(), groups, view) + std::to_string(leaks.getObjects()) + " objects (" + config::format_size(leaks.getBytes()) +
         ") older than " + age + " have no name and are in no actor's state and no unread mail\n";
}

std::string render(wire::ArenaTop::Reader top, const View& view) {
  View holders = view;
  holders.holders = true;
  View tree = view;
  tree.output = Output::kJson;
  if (view.structured())
    return structured_text(view, {{"arena", Json::parse(render(top.getArena(), tree))},
                      {"participants", Json::parse(render(top.getParticipants(), tree))["participants"]},
                      {"largest", objects_json(top.getLargest(), view)}});
  return render(top.getArena(), view) + "\n" + render(top.getParticipants(), view) + "\n" + objects_table(top.getLargest(), holders);
}

}  // namespace tv::ctl
