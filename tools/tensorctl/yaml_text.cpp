#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>

#include "tools/tensorctl/json_text.h"

namespace tv::ctl {
namespace {

constexpr std::size_t kIndent = 2;

// Words that some version of YAML takes for something else than a string.
constexpr std::array<std::string_view, 10> kReserved = {"true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan"};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

bool is_plain(const std::string& text) {
  if (text.empty() || !is_letter(text.front())) return false;
  if (!std::all_of(text.begin(), text.end(),
                   [](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '/' || c == '-'; }))
    return false;
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::find(kReserved.begin(), kReserved.end(), lower) == kReserved.end();
}

// JSON's form, and escapes besides for what YAML does not let stand: DEL, C1, the other ends of a line, the byte order mark.
std::string quoted(const std::string& text) {
  std::string json = Json(text).dump(-1, ' ', false, Json::error_handler_t::replace), out;
  for (std::size_t i = 0; i < json.size(); ++i) {
    auto c = static_cast<unsigned char>(json[i]);
    std::string_view rest = std::string_view(json).substr(i);
    char escape[16];
    if (c == 0x7f) {
      out += "\\x7f";
    } else if (c == 0xc2 && rest.size() > 1 && static_cast<unsigned char>(rest[1]) < 0xa0) {
      std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned char>(rest[1]));
      out += escape;
      i += 1;
    } else if (rest.starts_with("\xe2\x80\xa8") || rest.starts_with("\xe2\x80\xa9")) {
      out += rest[2] == '\xa8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else if (rest.starts_with("\xef\xbb\xbf")) {
      out += "\\ufeff";
      i += 2;
    } else {
      out += json[i];
    }
  }
  return out;
}

std::string scalar(const Json& value) {
  if (value.is_string()) return is_plain(value.get_ref<const std::string&>()) ? value.get<std::string>() : quoted(value.get<std::string>());
  if (value.is_array()) return "[]";
  if (value.is_object()) return "{}";
  std::string number = value.dump();
  // YAML 1.1 takes an exponent only behind a point and with a sign: 1e+20 would be a string.
  if (value.is_number_float())
    if (auto e = number.find('e'); e != std::string::npos && number.find('.') == std::string::npos) number.insert(e, ".0");
  return number;
}

void append(std::string& out, const Json& value, std::size_t indent, bool in_line);

// A list's items stand as deep as their key's, behind "- ".
void append_items(std::string& out, const Json& list, std::size_t indent, bool in_line) {
  for (const auto& item : list) {
    if (!in_line) out.append(indent, ' ');
    in_line = false;
    out += "-";
    append(out, item, indent + kIndent, true);
  }
}

void append_members(std::string& out, const Json& object, std::size_t indent, bool in_line) {
  for (const auto& [key, item] : object.items()) {
    if (!in_line) out.append(indent, ' ');
    in_line = false;
    out += scalar(key) + ":";
    if (item.is_structured() && !item.empty()) {
      out += '\n';
      append(out, item, item.is_array() ? indent : indent + kIndent, false);
    } else {
      append(out, item, indent, true);
    }
  }
}

// `in_line`: behind "-" or "key:".
void append(std::string& out, const Json& value, std::size_t indent, bool in_line) {
  if (in_line) out += ' ';
  if (!value.is_structured() || value.empty()) {
    out += scalar(value) + '\n';
    return;
  }
  value.is_array() ? append_items(out, value, indent, in_line) : append_members(out, value, indent, in_line);
}

}  // namespace

std::string yaml_text(const Json& value) {
  std::string out;
  append(out, value, 0, false);
  return out;
}

}  // namespace tv::ctl
