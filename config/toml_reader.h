// Reading primitives over toml++: one value under its dotted key, and a table read by a list of keys.
//
// A primitive either gives the value or reports one problem that says what was expected and what was found. Private to config/.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/clock.h"
#include "config/load.h"
#include "config/problems.h"
#include "config/toml.h"
#include "config/units.h"

namespace tv::config {

// What the values of one file have in common.
struct Source {
  Problems problems;
  Machine machine;
  std::string directory;  // what paths in the file are relative to
};

Place place_of(const toml::source_region& region);

// A view of a node: valid while the parsed document and the Source live.
class Value {
 public:
  Value(const toml::node& node, std::string key, Source& source) : node_(&node), key_(std::move(key)), source_(&source) {}

  const std::string& key() const { return key_; }
  const toml::node& node() const { return *node_; }
  Source& source() const { return *source_; }
  Place place() const { return place_of(node_->source()); }

  void problem(std::string message) const { source_->problems.add(place(), key_, std::move(message)); }
  void expected(std::string_view what) const { problem("expected " + std::string(what) + ", found " + found()); }
  std::string found() const;  // the value in a few words

  std::optional<std::string> text(std::string_view what) const;  // neither empty nor with zero bytes
  std::optional<std::string> path() const;                       // absolute and normal
  std::optional<std::int64_t> integer(std::int64_t min, std::int64_t max) const;
  std::optional<bool> boolean() const;
  std::optional<double> number(double min, double max) const;
  std::optional<std::uint64_t> size(std::uint64_t whole_bytes = 0) const;  // the range is the caller's
  std::optional<Nanoseconds> duration(Nanoseconds min, Nanoseconds max) const;
  // One of `values`, each written as `name_of` says.
  template <class E, std::size_t N, class NameOf>
  std::optional<E> choice(const std::array<E, N>& values, NameOf name_of) const;

  // Members in the order of the file; empty, with a problem, when it is no table.
  std::vector<std::pair<std::string_view, Value>> members(std::string_view what) const;
  std::vector<Value> elements(std::string_view what) const;

 private:
  std::optional<std::size_t> one_of(const std::vector<std::string>& names) const;

  const toml::node* node_;
  std::string key_;
  Source* source_;
};

template <class E, std::size_t N, class NameOf>
std::optional<E> Value::choice(const std::array<E, N>& values, NameOf name_of) const {
  std::vector<std::string> names;
  for (E value : values) names.emplace_back(name_of(value));
  auto index = one_of(names);
  if (!index) return std::nullopt;
  return values[*index];
}

// One key of a table that fills a T. The lists of these are the whole grammar: an unknown key is one that no list has.
template <class T>
struct Key {
  std::string_view name;
  void (*read)(const Value& value, T& out);
  std::string_view required = {};                    // says what to write when the key is missing; empty: optional
  std::vector<std::string> (*children)() = nullptr;  // the keys of a table with a list of its own
};

template <class T, std::size_t N>
std::vector<std::string> names_of(const Key<T> (&keys)[N]) {
  std::vector<std::string> names;
  for (const auto& key : keys) names.emplace_back(key.name);
  return names;
}

// The dotted names of all leaves.
template <class T, std::size_t N>
std::vector<std::string> leaves_of(const Key<T> (&keys)[N]) {
  std::vector<std::string> leaves;
  for (const auto& key : keys) {
    if (!key.children) leaves.emplace_back(key.name);
    if (key.children)
      for (const auto& child : key.children()) leaves.push_back(std::string(key.name) + "." + child);
  }
  return leaves;
}

void unknown_key(const Value& table, std::string_view name, const Value& value, const std::vector<std::string>& known);

// `what` names the table in problems ("a table such as ...").
template <class T, std::size_t N>
void read_table(const Value& table, const Key<T> (&keys)[N], std::string_view what, T& out) {
  if (!table.node().is_table()) return table.expected(what);
  auto& problems = table.source().problems;
  problems.remember(table.key(), table.place());
  for (const auto& [name, value] : table.members(what)) {
    auto key = std::find_if(std::begin(keys), std::end(keys), [name = name](const Key<T>& k) { return k.name == name; });
    if (key == std::end(keys)) {
      unknown_key(table, name, value, names_of(keys));
      continue;
    }
    problems.remember(value.key(), value.place());
    key->read(value, out);
  }
  for (const auto& key : keys)
    if (!key.required.empty() && !table.node().as_table()->contains(key.name))
      problems.add(table.place(), member_key(table.key(), key.name), "missing; " + std::string(key.required));
}

}  // namespace tv::config
