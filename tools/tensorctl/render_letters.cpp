#include <array>

#include "shm/handle.h"
#include "tools/tensorctl/json_value.h"
#include "tools/tensorctl/render.h"

namespace tv::ctl {
namespace {

using L = wire::DeadLetterInfo::Reader;

const std::array<Field<L>, 8> kLetterFields = {{
    {"id", "ID", Show::kAlways, Align::kRight, [](L r, const Now&) { return Json(r.getId()); }},
    {"actor", "ACTOR", Show::kAlways, Align::kLeft, [](L r, const Now&) { return Json(str(r.getActor())); }},
    {"method", "METHOD", Show::kAlways, Align::kLeft, [](L r, const Now&) { return Json(str(r.getMethod())); }},
    {"from", "FROM", Show::kAlways, Align::kLeft, [](L r, const Now&) { return Json(str(r.getFrom())); }},
    {"tries", "TRIES", Show::kAlways, Align::kRight, [](L r, const Now&) { return Json(r.getTries()); }},
    {"taken", "TAKEN", Show::kAlways, Align::kRight, [](L r, const Now&) { return time_or_null(r.getTakenNs()); },
     [](L r, const Now& now) { return Cell{ago_text(r.getTakenNs(), now)}; }},
    {"bytes", "SIZE", Show::kWide, Align::kRight, [](L r, const Now&) { return Json(r.getBytes()); },
     [](L r, const Now&) { return size_cell(r.getBytes()); }},
    {"cause", "CAUSE", Show::kAlways, Align::kLeft, [](L r, const Now&) { return Json(str(r.getCause())); }},
}};

std::span<const Field<L>> letter_fields() { return kLetterFields; }

// {"tensor": "float32[2, 3]", "handle": "17.3"}, as in the result of a call.
Json tensor_json(L letter, std::uint64_t handle) {
  Json json = {{"tensor", nullptr}, {"handle", shm::to_string(shm::Handle::from_bits(handle))}};
  for (auto tensor : letter.getTensors()) {
    if (tensor.getHandle() != handle) continue;
    std::string shape;
    for (auto size : tensor.getShape()) shape += (shape.empty() ? "" : ", ") + std::to_string(size);
    json["tensor"] = str(tensor.getDtype()) + "[" + shape + "]";
  }
  return json;
}

Json arguments_json(L letter) {
  auto json = read_json(letter.getArguments(), [&](wire::Value::Reader value, const std::string&) -> Result<Json> {
    return tensor_json(letter, value.getTensor());
  });
  return json ? *json : Json{{"unreadable", json.error().message}};
}

}  // namespace

std::string render(wire::DeadLetterList::Reader letters, const View& view) {
  auto list = letters.getLetters();
  if (view.structured())
    return structured_text(view, {{"dead_letters", json_list(letter_fields(), list, view)}, {"dropped", letters.getDropped()}});
  auto text = table_of(letter_fields(), list, view);
  if (letters.getDropped() > 0 && view.output != Output::kName) text += std::to_string(letters.getDropped()) + " older ones had to make room\n";
  return text;
}

std::string describe(wire::DeadLetterInfo::Reader letter, const View& view) {
  auto arguments = arguments_json(letter);
  if (view.structured()) {
    auto json = json_of(letter_fields(), letter, view.now);
    json["arguments"] = std::move(arguments);
    return structured_text(view, json);
  }
  return render_lines(lines_of(letter_fields(), letter, view.now), view.screen) + "arguments\n" + json_text(arguments);
}

std::string letters_table(const std::vector<L>& letters, const View& view) { return table_of(letter_fields(), letters, view); }
Json letters_json(const std::vector<L>& letters, const View& view) { return json_list(letter_fields(), letters, view); }
std::vector<std::string> letter_keys() { return keys_of(letter_fields()); }

}  // namespace tv::ctl
