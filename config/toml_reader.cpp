#include "config/toml_reader.h"

#include <cmath>
#include <cstdio>
#include <filesystem>

namespace tv::config {
namespace {

std::string joined(const std::vector<std::string>& words, std::string_view quote) {
  std::string text;
  for (const auto& word : words) {
    if (!text.empty()) text += ", ";
    text.append(quote).append(word).append(quote);
  }
  return text;
}

std::string shown(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", number);
  return text;
}

// toml++ keeps tables sorted by name; problems and places are wanted as a reader meets them.
Place place_of_key(const toml::key& key, const toml::node& node) {
  auto place = place_of(key.source());
  return place.line != 0 ? place : place_of(node.source());
}

}  // namespace

Place place_of(const toml::source_region& region) { return {region.begin.line, region.begin.column}; }

std::string Value::found() const {
  if (auto* text = node_->as_string()) return text->get().empty() ? "an empty string" : in_quotes(text->get());
  if (auto* number = node_->as_integer()) return std::to_string(number->get());
  if (auto* number = node_->as_floating_point()) return shown(number->get());
  if (auto* flag = node_->as_boolean()) return flag->get() ? "true" : "false";
  if (node_->is_table()) return "a table";
  if (node_->is_array()) return "an array";
  return "a date or time";
}

std::optional<std::string> Value::text(std::string_view what) const {
  auto* text = node_->as_string();
  if (!text || text->get().empty()) {
    expected(what);
    return std::nullopt;
  }
  if (text->get().find('\0') != std::string::npos) {
    problem("must not contain a zero byte");
    return std::nullopt;
  }
  return text->get();
}

std::optional<std::string> Value::path() const {
  auto written = text("a path");
  if (!written) return std::nullopt;
  if (written->front() == '~') {
    problem("\"~\" is not expanded here; write the whole path");
    return std::nullopt;
  }
  auto path = (std::filesystem::path(source_->directory) / *written).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return path.string();
}

std::optional<std::int64_t> Value::integer(std::int64_t min, std::int64_t max) const {
  auto* number = node_->as_integer();
  if (number && number->get() >= min && number->get() <= max) return number->get();
  expected("a whole number from " + std::to_string(min) + " to " + std::to_string(max));
  return std::nullopt;
}

std::optional<bool> Value::boolean() const {
  if (auto* value = node_->as_boolean()) return value->get();
  expected("true or false");
  return std::nullopt;
}

std::optional<double> Value::number(double min, double max) const {
  auto number = node_->is_number() ? node_->value<double>() : std::nullopt;
  // Written so that a NaN is refused.
  if (number && *number >= min && *number <= max) return number;
  expected("a number from " + shown(min) + " to " + shown(max));
  return std::nullopt;
}

std::optional<std::uint64_t> Value::size(std::uint64_t whole_bytes) const {
  if (auto* bytes = node_->as_integer(); bytes && bytes->get() >= 0) return static_cast<std::uint64_t>(bytes->get());
  auto* text = node_->as_string();
  if (!text) {
    expected(whole_bytes != 0 ? "a size such as \"4GiB\" or a share such as \"25%\"" : "a size such as \"256KiB\"");
    return std::nullopt;
  }
  auto bytes = parse_size(text->get(), whole_bytes);
  if (!bytes) {
    problem(bytes.error().message);
    return std::nullopt;
  }
  return *bytes;
}

std::optional<Nanoseconds> Value::duration(Nanoseconds min, Nanoseconds max) const {
  auto* text = node_->as_string();
  if (!text) {
    expected("a time with its unit, such as \"250ms\" or \"10s\"");
    return std::nullopt;
  }
  auto span = parse_duration(text->get());
  if (!span) {
    problem(span.error().message);
    return std::nullopt;
  }
  if (*span >= min && *span <= max) return *span;
  expected("a time from " + format_duration(min) + " to " + format_duration(max));
  return std::nullopt;
}

std::optional<std::size_t> Value::one_of(const std::vector<std::string>& names) const {
  auto* text = node_->as_string();
  if (text)
    for (std::size_t i = 0; i < names.size(); ++i)
      if (names[i] == text->get()) return i;
  auto near = text ? nearest(text->get(), names) : "";
  problem("expected one of " + joined(names, "\"") + ", found " + found() + (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
  return std::nullopt;
}

std::vector<std::pair<std::string_view, Value>> Value::members(std::string_view what) const {
  std::vector<std::pair<std::string_view, Value>> members;
  auto* table = node_->as_table();
  if (!table) {
    expected(what);
    return members;
  }
  std::vector<std::pair<Place, std::size_t>> order;
  for (auto&& [key, node] : *table) {
    order.emplace_back(place_of_key(key, node), members.size());
    members.emplace_back(key.str(), Value(node, member_key(key_, key.str()), *source_));
  }
  std::sort(order.begin(), order.end());
  std::vector<std::pair<std::string_view, Value>> sorted;
  sorted.reserve(members.size());
  for (const auto& [place, index] : order) sorted.push_back(std::move(members[index]));
  return sorted;
}

std::vector<Value> Value::elements(std::string_view what) const {
  std::vector<Value> elements;
  auto* array = node_->as_array();
  if (!array) {
    expected(what);
    return elements;
  }
  elements.reserve(array->size());
  for (const auto& node : *array) elements.emplace_back(node, element_key(key_, elements.size()), *source_);
  return elements;
}

void unknown_key(const Value& table, std::string_view name, const Value& value, const std::vector<std::string>& known) {
  bool section = table.key().empty();
  auto found = table.node().as_table()->find(name);
  Place place = place_of_key(found->first, found->second);
  auto near = nearest(name, known);
  std::string message = section ? "unknown section; " : "unknown key; ";
  message += near.empty() ? "known here are " + joined(known, "") : "did you mean \"" + near + "\"?";
  table.source().problems.add(place, value.key(), std::move(message));
}

}  // namespace tv::config
