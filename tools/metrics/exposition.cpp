#include "tools/metrics/exposition.h"

#include <array>
#include <charconv>
#include <cstddef>

namespace tv::metrics {
namespace {

// Length of the UTF-8 sequence at the beginning of `text`; 0: it is none.
std::size_t sequence(std::string_view text) {
  auto first = static_cast<unsigned char>(text[0]);
  std::size_t length = first < 0x80                    ? 1
                       : first >= 0xc2 && first < 0xe0 ? 2
                       : first >= 0xe0 && first < 0xf0 ? 3
                       : first >= 0xf0 && first < 0xf5 ? 4
                                                       : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return 0;
  return length;
}

std::string escaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    std::size_t length = sequence(text);
    if (length == 0) {
      out += '?';
      length = 1;
    } else if (text[0] == '\\' || text[0] == '"') {
      out += '\\';
      out += text[0];
    } else if (text[0] == '\n') {
      out += "\\n";
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace

void Exposition::family(std::string_view name, std::string_view type, std::string_view help) {
  name_ = name;
  text_.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
}

void Exposition::write(Labels labels, const std::string& value) {
  text_ += name_;
  char before = '{';
  for (const auto& [key, label] : labels) {
    text_ += before;
    text_.append(key).append("=\"").append(escaped(label)).append("\"");
    before = ',';
  }
  if (before == ',') text_ += '}';
  text_.append(" ").append(value).append("\n");
}

void Exposition::sample(double value, Labels labels) {
  std::array<char, 32> digits;
  auto [end, failed] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  write(labels, failed == std::errc() ? std::string(digits.data(), end) : "NaN");
}

}  // namespace tv::metrics
