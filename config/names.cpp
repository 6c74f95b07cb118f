#include "config/names.h"

#include <algorithm>

#include "config/config.h"
#include "config/problems.h"
#include "config/units.h"

namespace tv::config {
namespace {

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

bool consists_of(std::string_view text, std::string_view extra) {
  return std::all_of(text.begin(), text.end(), [&](char c) { return is_letter_or_digit(c) || extra.find(c) != std::string_view::npos; });
}

// Whether `good` holds for each part of `text` between separators.
template <class Test>
bool every_part(std::string_view text, char separator, Test good) {
  for (;;) {
    auto end = text.find(separator);
    if (!good(text.substr(0, end))) return false;
    if (end == std::string_view::npos) return true;
    text.remove_prefix(end + 1);
  }
}

std::string too_long(std::string_view text, std::size_t most = limits::kMaxName) {
  return "has " + std::to_string(text.size()) + " bytes, at most " + std::to_string(most) + " are possible";
}

}  // namespace

std::string fault_in_name(std::string_view name) {
  if (name.size() > limits::kMaxName) return too_long(name);
  if (!consists_of(name, "._/-")) return "must consist of letters, digits and . _ / -";
  // tensorctl would take it for an option.
  if (name.starts_with('-')) return "must not begin with -";
  // State is kept in files named after actors.
  if (!every_part(name, '/', [](std::string_view part) { return !part.empty() && part != "." && part != ".."; }))
    return "must have something other than . and .. before and after each /";
  return "";
}

std::string fault_in_type(std::string_view type) {
  if (is_builtin_type(type)) return "";
  if (type.size() > limits::kMaxName) return too_long(type);
  if (!consists_of(type, "._-")) return "must consist of letters, digits and . _ -";
  if (type.find('.') == std::string_view::npos) {
    auto near = nearest(type, {std::string(kTorchScript)});
    std::string fault = "has no dot and is not a built-in type (" + std::string(kTorchScript) + ")";
    return near.empty() ? fault + "; types of plug-ins look like \"fashion.trainer\"" : fault + "; did you mean \"" + near + "\"?";
  }
  if (!every_part(type, '.', [](std::string_view part) { return !part.empty(); })) return "must have a word before and after each dot";
  return "";
}

std::string fault_in_label_key(std::string_view key) {
  if (key.size() > limits::kMaxLabelKey) return too_long(key, limits::kMaxLabelKey);
  if (key.empty() || !consists_of(key, "._/-") || key.starts_with('-'))
    return "is no key of a label: letters, digits and . _ / -, no - first";
  return "";
}

std::string fault_in_label_value(std::string_view value) {
  if (value.size() > limits::kMaxLabelValue) return too_long(value, limits::kMaxLabelValue);
  if (std::any_of(value.begin(), value.end(), [](unsigned char c) { return c < ' ' || c == 0x7f || c == ','; }))
    return "is no value of a label: one line without commas, which part labels from each other";
  return "";
}

std::string fault_in_who(std::string_view who) {
  if (who == "*") return "";
  bool group = who.starts_with('@');
  if (group) who.remove_prefix(1);
  if (who.empty()) return "names no group; write \"@\" and the group's name";
  if (who.size() > limits::kMaxName) return too_long(who);
  // What else user databases know: machine accounts of domains end with $, domains are separated by @ or a backslash.
  if (!consists_of(who, "._-$@\\+")) return std::string("is no name of a ") + (group ? "group" : "user") + "; write \"*\" alone for everybody";
  return "";
}

std::string fault_in_variable(std::string_view name) {
  if (name.empty() || (name.front() >= '0' && name.front() <= '9') || !consists_of(name, "_"))
    return "is no name of an environment variable: letters, digits and _, no digit first";
  return "";
}

}  // namespace tv::config
