// One list of fields describes a kind of thing: its table, its wide table, its description and its JSON all come from it.
#pragma once

#include <cctype>
#include <nlohmann/json.hpp>
#include <span>
#include <functional>
#include <string>
#include <vector>

#include "tools/tensorctl/cli.h"
#include "tools/tensorctl/json_text.h"
#include "tools/tensorctl/select.h"
#include "tools/tensorctl/table.h"
#include "tools/tensorctl/times.h"

namespace tv::ctl {

// How an answer is to be shown.
struct View {
  Output output = Output::kTable;
  Screen screen;
  Now now;
  bool holders = false;  // objects: who holds and who made them rather than their names
  std::function<void(const std::string&)> progress = {};  // a line for those who wait; nothing: nobody wants to know
  std::function<bool(const std::string&)> print = {};      // of verbs that go on: what there is so far; false: nobody reads any more. Nothing: it is kept
  bool headers = true;   // of tables
  Selector select = {};  // lists: only what it picks

  bool structured() const { return output == Output::kJson || output == Output::kYaml; }
};

// As JSON or YAML: the same tree.
std::string structured_text(const View& view, const Json& tree);

enum class Show {
  kAlways,
  kWide,    // wide tables and descriptions
  kDetail,  // descriptions
  kJsonOnly,
};

template <class Reader>
struct Field {
  const char* key;     // of JSON: snake_case, stable
  const char* header;  // of tables
  Show show;
  Align align;
  Json (*value)(Reader, const Now&);
  Cell (*cell)(Reader, const Now&) = nullptr;  // null: the value as it is
};

Cell plain_cell(const Json& value);

template <class Reader>
Cell cell_of(const Field<Reader>& field, Reader reader, const Now& now) {
  return field.cell ? field.cell(reader, now) : plain_cell(field.value(reader, now));
}

template <class Reader>
Json json_of(std::span<const Field<Reader>> fields, Reader reader, const Now& now) {
  Json object = Json::object();
  for (const auto& field : fields) object[field.key] = field.value(reader, now);
  return object;
}

template <class List, class Reader>
Json json_list(std::span<const Field<Reader>> fields, List list, const Now& now) {
  Json array = Json::array();
  for (Reader item : list) array.push_back(json_of(fields, item, now));
  return array;
}

// Whether the list's selector picks it, by the fields that its kind has.
template <class Reader>
bool picked(std::span<const Field<Reader>> fields, Reader item, const View& view) {
  return view.select.empty() || view.select.picks(json_of(fields, item, view.now));
}

template <class List, class Reader>
Json json_list(std::span<const Field<Reader>> fields, List list, const View& view) {
  Json array = Json::array();
  for (Reader item : list)
    if (picked(fields, item, view)) array.push_back(json_of(fields, item, view.now));
  return array;
}

template <class Reader>
std::vector<std::string> keys_of(std::span<const Field<Reader>> fields) {
  std::vector<std::string> keys;
  for (const auto& field : fields) keys.emplace_back(field.key);
  return keys;
}

// What a verb takes for it: its name, or what stands first where it has none.
template <class Reader>
std::string name_in(std::span<const Field<Reader>> fields, Reader item, const Now& now) {
  for (const auto& field : fields) {
    if (std::string_view(field.key) != "name") continue;
    if (auto name = field.value(item, now); name.is_string()) return name.template get<std::string>();
  }
  return plain_cell(fields.front().value(item, now)).text;
}

// `all`: the fields by which a selector picks, where the table shows others.
template <class List, class Reader>
std::string table_of(std::span<const Field<Reader>> fields, List list, const View& view, std::span<const Field<Reader>> all = {}) {
  if (all.empty()) all = fields;
  if (view.output == Output::kName) {
    std::string names;
    for (Reader item : list)
      if (picked(all, item, view)) names += printable(name_in(all, item, view.now)) + '\n';
    return names;
  }
  auto shown = [&](const Field<Reader>& field) {
    return field.show == Show::kAlways || (field.show == Show::kWide && view.output == Output::kWide);
  };
  std::vector<Column> columns;
  for (const auto& field : fields)
    if (shown(field)) columns.push_back({field.header, field.align});
  Table table(std::move(columns));
  for (Reader item : list) {
    if (!picked(all, item, view)) continue;
    std::vector<Cell> row;
    for (const auto& field : fields)
      if (shown(field)) row.push_back(cell_of(field, item, view.now));
    table.add(std::move(row));
  }
  return table.render(view.screen, view.headers);
}

template <class Reader>
std::vector<Line> lines_of(std::span<const Field<Reader>> fields, Reader reader, const Now& now) {
  std::vector<Line> lines;
  for (const auto& field : fields) {
    if (field.show == Show::kJsonOnly) continue;
    std::string key;
    for (char c : std::string_view(field.header)) key += c == '-' ? ' ' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    lines.push_back({std::move(key), cell_of(field, reader, now)});
  }
  return lines;
}

// Small helpers of the field lists.
template <class Text>
std::string str(Text text) {
  return {text.begin(), text.size()};
}
inline Json number_or_null(std::int64_t value) { return value == 0 ? Json() : Json(value); }
inline Json time_or_null(std::int64_t realtime_ns) { return realtime_ns == 0 ? Json() : Json(iso8601(realtime_ns)); }
// Of capnp's list of labels: a map in JSON, "team=vision,tier=fast" in tables.
template <class List>
Json labels_json(List labels) {
  Json map = Json::object();
  for (auto label : labels) map[str(label.getKey())] = str(label.getValue());
  return map;
}
template <class List>
Cell labels_cell(List labels) {
  std::string text;
  for (auto label : labels) text += (text.empty() ? "" : ",") + str(label.getKey()) + "=" + str(label.getValue());
  return {text.empty() ? "-" : text};
}
Cell death_cell(const std::string& cause, std::int64_t realtime_ns, const Now& now);  // "killed by SIGKILL, 3min ago"
Cell state_cell(const std::string& state);
Cell size_cell(std::uint64_t bytes);

}  // namespace tv::ctl
