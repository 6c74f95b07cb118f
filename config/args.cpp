#include "config/args.h"

#include <cmath>

namespace tv::config {
namespace {

constexpr std::string_view kForm = "a table, such as { epochs = 2, rate = 0.05 }";

std::optional<Arg> arg_of(const Value& value, int depth);

// Args travel to actors inside messages, whose nesting is bounded.
bool too_deep(const Value& value, int depth) {
  if (depth <= limits::kMaxNesting) return false;
  value.problem("nested more than " + std::to_string(limits::kMaxNesting) + " deep");
  return true;
}

Arg::Table table_of(const Value& value, int depth) {
  Arg::Table table;
  if (too_deep(value, depth)) return table;
  for (const auto& [name, member] : value.members(kForm)) {
    if (name.empty() || name.size() > limits::kMaxName) {
      member.problem("the name of an argument has from 1 to " + std::to_string(limits::kMaxName) + " bytes");
      continue;
    }
    if (auto arg = arg_of(member, depth + 1)) table.emplace(name, std::move(*arg));
  }
  return table;
}

Arg::List list_of(const Value& value, int depth) {
  Arg::List list;
  if (too_deep(value, depth)) return list;
  for (const auto& element : value.elements("an array"))
    if (auto arg = arg_of(element, depth + 1)) list.push_back(std::move(*arg));
  return list;
}

std::optional<Arg> arg_of(const Value& value, int depth) {
  const auto& node = value.node();
  if (auto* flag = node.as_boolean()) return Arg{flag->get()};
  if (auto* number = node.as_integer()) return Arg{number->get()};
  if (auto* text = node.as_string()) return Arg{text->get()};
  if (node.is_array()) return Arg{list_of(value, depth)};
  if (node.is_table()) return Arg{table_of(value, depth)};
  if (auto* number = node.as_floating_point()) {
    if (std::isfinite(number->get())) return Arg{number->get()};
    // They are shown as JSON, which has neither, and a NaN would make a configuration differ from itself.
    value.problem("nan and inf cannot be given; leave the argument out, or write it as a string");
    return std::nullopt;
  }
  value.problem("dates and times cannot be given; write a string");
  return std::nullopt;
}

}  // namespace

Arg::Table arg_table_of(const Value& value) { return table_of(value, 1); }

}  // namespace tv::config
