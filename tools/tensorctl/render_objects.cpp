#include <array>

#include "shm/handle.h"
#include "tools/tensorctl/render.h"

namespace tv::ctl {
namespace {

using O = wire::ObjectInfo::Reader;
using P = wire::ParticipantInfo::Reader;

Json shape_json(O r) {
  Json shape = Json::array();
  for (auto size : r.getShape()) shape.push_back(size);
  return shape;
}
// "float32[60000, 28, 28]"
Cell tensor_cell(O r, const Now&) {
  std::string text;
  for (auto size : r.getShape()) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return {str(r.getDtype()) + "[" + text + "]"};
}
Json holders_json(O r) {
  Json holders = Json::array();
  for (auto holder : r.getHolders()) holders.push_back(str(holder));
  return holders;
}
std::int64_t created(O r, const Now& now) { return r.getCreatedNs() ? now.realtime_of(r.getCreatedNs()) : 0; }

Cell holders_cell(O r, const Now&) {
  std::string text;
  for (auto holder : r.getHolders()) text += (text.empty() ? "" : ", ") + str(holder);
  return {text};
}
Json text_or_null(capnp::Text::Reader text) { return text.size() == 0 ? Json() : Json(str(text)); }
// "cpu/0 (3) counter.add": participant, incarnation, actor and method.
Cell maker_cell(O r, const Now&) {
  std::string text = str(r.getCreator()) + " (" + std::to_string(r.getIncarnation()) + ")";
  if (r.getCreatorActor().size() != 0) text += " " + str(r.getCreatorActor());
  if (r.getMethod().size() != 0) text += "." + str(r.getMethod());
  return {text};
}

const std::array<Field<O>, 16> kObjectFields = {{
    {"handle", "HANDLE", Show::kAlways, Align::kLeft,
     [](O r, const Now&) { return Json(shm::to_string(shm::Handle::from_bits(r.getHandle()))); }},
    {"name", "NAME", Show::kAlways, Align::kLeft, [](O r, const Now&) { return r.getName().size() ? Json(str(r.getName())) : Json(); }},
    {"name_state", "KIND", Show::kAlways, Align::kLeft, [](O r, const Now&) { return text_or_null(r.getNameState()); }},
    {"dtype", "TENSOR", Show::kAlways, Align::kLeft, [](O r, const Now&) { return Json(str(r.getDtype())); }, tensor_cell},
    {"shape", nullptr, Show::kJsonOnly, Align::kLeft, [](O r, const Now&) { return shape_json(r); }},
    {"bytes", "SIZE", Show::kAlways, Align::kRight, [](O r, const Now&) { return Json(r.getBytes()); },
     [](O r, const Now&) { return size_cell(r.getBytes()); }},
    {"state", "STATE", Show::kWide, Align::kLeft, [](O r, const Now&) { return Json(str(r.getState())); },
     [](O r, const Now&) { return state_cell(str(r.getState())); }},
    {"creator", "CREATOR", Show::kAlways, Align::kLeft, [](O r, const Now&) { return Json(str(r.getCreator())); }},
    {"created", "AGE", Show::kAlways, Align::kRight, [](O r, const Now& now) { return time_or_null(created(r, now)); },
     [](O r, const Now& now) { return Cell{r.getCreatedNs() ? span_text(now.monotonic_ns - r.getCreatedNs()) : "-"}; }},
    {"incarnation", "INCARNATION", Show::kDetail, Align::kRight, [](O r, const Now&) { return Json(r.getIncarnation()); }},
    {"actor", "ACTOR", Show::kWide, Align::kLeft, [](O r, const Now&) { return text_or_null(r.getCreatorActor()); }},
    {"method", "METHOD", Show::kWide, Align::kLeft, [](O r, const Now&) { return text_or_null(r.getMethod()); }},
    {"footprint_bytes", "FOOTPRINT", Show::kDetail, Align::kRight, [](O r, const Now&) { return Json(r.getFootprintBytes()); },
     [](O r, const Now&) { return size_cell(r.getFootprintBytes()); }},
    {"version", "VERSION", Show::kWide, Align::kRight, [](O r, const Now&) { return r.getVersion() ? Json(r.getVersion()) : Json(); }},
    {"holders", "HOLDERS", Show::kWide, Align::kLeft, [](O r, const Now&) { return holders_json(r); }, holders_cell},
    {"explained", "EXPLAINED-BY", Show::kDetail, Align::kLeft, [](O r, const Now&) { return text_or_null(r.getExplained()); }},
}};

// The table of --holders.
const std::array<Field<O>, 7> kHolderFields = {{
    {"handle", "HANDLE", Show::kAlways, Align::kLeft,
     [](O r, const Now&) { return Json(shm::to_string(shm::Handle::from_bits(r.getHandle()))); }},
    {"dtype", "TENSOR", Show::kAlways, Align::kLeft, [](O r, const Now&) { return Json(str(r.getDtype())); }, tensor_cell},
    {"bytes", "SIZE", Show::kAlways, Align::kRight, [](O r, const Now&) { return Json(r.getBytes()); },
     [](O r, const Now&) { return size_cell(r.getBytes()); }},
    {"state", "STATE", Show::kAlways, Align::kLeft, [](O r, const Now&) { return Json(str(r.getState())); },
     [](O r, const Now&) { return state_cell(str(r.getState())); }},
    {"created", "AGE", Show::kAlways, Align::kRight, [](O r, const Now& now) { return time_or_null(created(r, now)); },
     [](O r, const Now& now) { return Cell{r.getCreatedNs() ? span_text(now.monotonic_ns - r.getCreatedNs()) : "-"}; }},
    {"creator", "CREATOR", Show::kAlways, Align::kLeft, [](O r, const Now&) { return Json(str(r.getCreator())); }, maker_cell},
    {"holders", "HOLDERS", Show::kAlways, Align::kLeft, [](O r, const Now&) { return holders_json(r); }, holders_cell},
}};

const std::array<Field<P>, 11> kParticipantFields = {{
    {"id", "ID", Show::kAlways, Align::kRight, [](P r, const Now&) { return Json(r.getId()); }},
    {"name", "NAME", Show::kAlways, Align::kLeft, [](P r, const Now&) { return Json(str(r.getName())); }},
    {"kind", "KIND", Show::kAlways, Align::kLeft, [](P r, const Now&) { return Json(str(r.getKind())); }},
    {"pid", "PID", Show::kAlways, Align::kRight, [](P r, const Now&) { return number_or_null(r.getPid()); }},
    {"incarnation", "INCARNATION", Show::kWide, Align::kRight, [](P r, const Now&) { return Json(r.getIncarnation()); }},
    {"objects_held", "OBJECTS", Show::kAlways, Align::kRight, [](P r, const Now&) { return Json(r.getObjectsHeld()); }},
    {"bytes_held", "HELD", Show::kAlways, Align::kRight, [](P r, const Now&) { return Json(r.getBytesHeld()); },
     [](P r, const Now&) { return size_cell(r.getBytesHeld()); }},
    {"bytes_held_alone", "ALONE", Show::kAlways, Align::kRight, [](P r, const Now&) { return Json(r.getBytesHeldAlone()); },
     [](P r, const Now&) { return size_cell(r.getBytesHeldAlone()); }},
    {"blocks_leased", "BLOCKS", Show::kAlways, Align::kRight, [](P r, const Now&) { return Json(r.getBlocksLeased()); }},
    {"blocks_kept", "KEPT", Show::kAlways, Align::kRight, [](P r, const Now&) { return Json(r.getBlocksKept()); }},
    {"unread_bytes", "UNREAD", Show::kAlways, Align::kRight, [](P r, const Now&) { return Json(r.getUnreadBytes()); },
     [](P r, const Now&) { return size_cell(r.getUnreadBytes()); }},
}};

std::span<const Field<O>> object_fields() { return kObjectFields; }
std::span<const Field<O>> holder_fields() { return kHolderFields; }
std::span<const Field<P>> participant_fields() { return kParticipantFields; }

}  // namespace

Json objects_json(Objects objects, const View& view) { return json_list(object_fields(), objects, view); }

std::string objects_table(Objects objects, const View& view) {
  return table_of(view.holders ? holder_fields() : object_fields(), objects, view, object_fields());
}

std::string render(wire::ObjectList::Reader objects, const View& view) {
  auto list = objects.getObjects();
  if (view.structured()) return structured_text(view, {{"objects", objects_json(list, view)}, {"total", objects.getTotal()}});
  auto text = objects_table(list, view);
  if (list.size() < objects.getTotal() && view.output != Output::kName)
    text += std::to_string(list.size()) + " of " + std::to_string(objects.getTotal()) + " objects; --limit shows more\n";
  return text;
}

std::string render(Participants participants, const View& view) {
  if (view.structured()) return structured_text(view, {{"participants", json_list(participant_fields(), participants, view)}});
  return table_of(participant_fields(), participants, view);
}

std::string describe(wire::ObjectInfo::Reader object, const View& view) {
  if (view.structured()) return structured_text(view, json_of(object_fields(), object, view.now));
  return render_lines(lines_of(object_fields(), object, view.now), view.screen);
}

std::string describe(wire::ParticipantInfo::Reader participant, Objects objects, const View& view) {
  std::vector<O> held;
  for (auto object : objects)
    for (auto holder : object.getHolders())
      if (holder == participant.getName()) held.push_back(object);
  if (view.structured()) {
    auto json = json_of(participant_fields(), participant, view.now);
    json["objects"] = json_list(object_fields(), held, view);
    return structured_text(view, json);
  }
  std::string page = render_lines(lines_of(participant_fields(), participant, view.now), view.screen);
  return held.empty() ? page : page + "\n" + table_of(object_fields(), held, view);
}

std::vector<std::string> object_keys() { return keys_of(object_fields()); }
std::vector<std::string> participant_keys() { return keys_of(participant_fields()); }

}  // namespace tv::ctl
