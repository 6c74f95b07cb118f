#include "tools/tensorctl/json_text.h"

#include <algorithm>

namespace tv::ctl {
namespace {

constexpr std::size_t kIndent = 2;

std::string plain(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

bool is_plain_list(const Json& value) {
  return value.is_array() && std::none_of(value.begin(), value.end(), [](const Json& item) { return item.is_structured(); });
}

void append_inline(std::string& out, const Json& list) {
  out += '[';
  for (std::size_t i = 0; i < list.size(); ++i) out += (i > 0 ? ", " : "") + plain(list[i]);
  out += ']';
}

void append(std::string& out, const Json& value, std::size_t indent) {
  if (!value.is_structured() || value.empty()) {
    out += plain(value);
    return;
  }
  if (is_plain_list(value)) return append_inline(out, value);
  out += value.is_object() ? "{\n" : "[\n";
  std::size_t left = value.size();
  for (const auto& [key, item] : value.items()) {
    out.append(indent + kIndent, ' ');
    if (value.is_object()) out += plain(key) + ": ";
    append(out, item, indent + kIndent);
    out += --left > 0 ? ",\n" : "\n";
  }
  out.append(indent, ' ');
  out += value.is_object() ? '}' : ']';
}

}  // namespace

std::string json_text(const Json& value) {
  std::string out;
  append(out, value, 0);
  return out + '\n';
}

}  // namespace tv::ctl
