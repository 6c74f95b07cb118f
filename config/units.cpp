#include "config/units.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <limits>
#include <optional>
#include <set>
#include <span>

namespace tv::config {
namespace {

// All arithmetic is exact: a decimal number is digits / 10^decimals, multiplied in 128 bits.
__extension__ using Wide = unsigned __int128;

constexpr std::size_t kMaxDigits = 18;
constexpr std::size_t kMaxEcho = 40;  // bytes of the text that an error repeats

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::uint64_t kKilo = 1000, kKibi = 1024;
constexpr std::array<Unit, 12> kSizes = {{{"B", 1},
                                          {"KiB", kKibi},
                                          {"MiB", kKibi* kKibi},
                                          {"GiB", kKibi* kKibi* kKibi},
                                          {"TiB", kKibi* kKibi* kKibi* kKibi},
                                          {"kB", kKilo},
                                          {"KB", kKilo},
                                          {"MB", kKilo* kKilo},
                                          {"GB", kKilo* kKilo* kKilo},
                                          {"TB", kKilo* kKilo* kKilo* kKilo},
                                          {"PiB", kKibi* kKibi* kKibi* kKibi* kKibi},
                                          {"PB", kKilo* kKilo* kKilo* kKilo* kKilo}}};
constexpr std::array<Unit, 8> kTimes = {{{"ns", 1},
                                         {"us", 1'000},
                                         {"\u00b5s", 1'000},
                                         {"ms", 1'000'000},
                                         {"s", 1'000'000'000},
                                         {"min", 60'000'000'000},
                                         {"h", 3'600'000'000'000},
                                         {"d", 86'400'000'000'000}}};

constexpr std::string_view kSizeForm = "a size such as \"4GiB\", \"512MiB\" or \"64kB\"";
constexpr std::string_view kTimeForm = "a time such as \"250ms\", \"10s\" or \"2min\"";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string echo(std::string_view text) {
  std::string out = "\"";
  for (unsigned char c : text.substr(0, kMaxEcho)) out += c < ' ' || c == '"' || c == 0x7f ? '?' : static_cast<char>(c);
  return out + (text.size() > kMaxEcho ? "...\"" : "\"");
}

Error bad(std::string_view form, std::string_view text, const std::string& cause) {
  return {Errc::kInvalidArgument, "expected " + std::string(form) + ", found " + echo(text) + ": " + cause};
}

struct Number {
  std::uint64_t digits = 0;
  std::uint64_t divisor = 1;  // 10^decimals
  std::string_view unit;      // what follows, without blanks
};

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

Result<Number> split(std::string_view text, std::string_view form) {
  auto rest = trim(text);
  if (rest.empty()) return bad(form, text, "it is empty");
  if (rest.front() == '-') return bad(form, text, "it must not be negative");
  if (!is_digit(rest.front())) return bad(form, text, "it does not begin with a number");
  Number number;
  std::size_t digits = 0;
  auto take = [&](bool fraction) {
    for (; !rest.empty() && is_digit(rest.front()); rest.remove_prefix(1), ++digits) {
      if (digits >= kMaxDigits) continue;
      number.digits = number.digits * 10 + static_cast<std::uint64_t>(rest.front() - '0');
      if (fraction) number.divisor *= 10;
    }
  };
  take(false);
  if (rest.size() > 1 && rest[0] == '.' && is_digit(rest[1])) {
    rest.remove_prefix(1);
    take(true);
  }
  if (digits > kMaxDigits) return bad(form, text, "the number has too many digits");
  number.unit = trim(rest);
  return number;
}

const Unit* find(std::span<const Unit> units, std::string_view name) {
  auto found = std::find_if(units.begin(), units.end(), [&](const Unit& unit) { return unit.name == name; });
  return found == units.end() ? nullptr : &*found;
}

std::string unknown_unit(std::span<const Unit> units, std::string_view name, std::string_view known) {
  std::vector<std::string> names;
  for (const auto& unit : units) names.emplace_back(unit.name);
  auto near = nearest(name, names);
  std::string text = "unknown unit " + echo(name);
  if (!near.empty()) text += ", did you mean \"" + near + "\"?";
  return text + " (units are " + std::string(known) + ")";
}

// digits / divisor * factor, rounded down; nothing when it exceeds `most` or is a fraction of the smallest unit.
std::optional<std::uint64_t> scaled(const Number& number, std::uint64_t factor, std::uint64_t most) {
  Wide value = Wide{number.digits} * factor / number.divisor;
  if (value > most) return std::nullopt;
  return static_cast<std::uint64_t>(value);
}

bool is_fraction(const Number& number, std::uint64_t factor) { return factor == 1 && number.digits % number.divisor != 0; }

Result<std::uint64_t> share_of(const Number& number, std::string_view text, std::uint64_t whole) {
  if (whole == 0) return bad(kSizeForm, text, "a share is not possible here");
  if (Wide{number.digits} > Wide{number.divisor} * 100) return bad(kSizeForm, text, "a share cannot exceed 100%");
  return static_cast<std::uint64_t>(Wide{number.digits} * whole / (Wide{number.divisor} * 100));
}

// One row and the one before the last: enough for insertions, deletions, substitutions and swaps of neighbours.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string with_decimals(double value, const char* format, std::string_view unit) {
  char text[48];
  std::snprintf(text, sizeof text, format, value);
  return text + std::string(unit);
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text, std::uint64_t whole_bytes) {
  auto number = TV_TRY(split(text, kSizeForm));
  if (number.unit == "%") return share_of(number, text, whole_bytes);
  const Unit* unit = number.unit.empty() ? &kSizes[0] : find(kSizes, number.unit);
  if (!unit) return bad(kSizeForm, text, unknown_unit(kSizes, number.unit, "B, KiB, MiB, GiB, TiB of 1024 and kB, MB, GB, TB of 1000"));
  if (is_fraction(number, unit->factor)) return bad(kSizeForm, text, "a part of a byte");
  auto value = scaled(number, unit->factor, std::numeric_limits<std::uint64_t>::max());
  if (!value) return bad(kSizeForm, text, "it does not fit 64 bits");
  return *value;
}

Result<Nanoseconds> parse_duration(std::string_view text) {
  auto number = TV_TRY(split(text, kTimeForm));
  if (number.unit.empty()) return bad(kTimeForm, text, "the unit is missing (ns, us, ms, s, min, h, d)");
  const Unit* unit = find(kTimes, number.unit);
  if (!unit) return bad(kTimeForm, text, unknown_unit(kTimes, number.unit, "ns, us, ms, s, min, h, d"));
  if (is_fraction(number, unit->factor)) return bad(kTimeForm, text, "a part of a nanosecond");
  auto value = scaled(number, unit->factor, std::numeric_limits<std::int64_t>::max());
  if (!value) return bad(kTimeForm, text, "it is longer than 292 years");
  return Nanoseconds{static_cast<std::int64_t>(*value)};
}

// More than the longest list in its shortest form needs is a mistake, and would take long to read.
static constexpr std::size_t kMaxNumbersText = 4096;

Result<std::vector<std::uint32_t>> parse_numbers(std::string_view text, std::uint32_t end) {
  auto whole = text;
  auto wrong = [&](const std::string& why) { return Error{Errc::kInvalidArgument, "\"" + std::string(whole) + "\": " + why + "; write numbers and ranges, such as \"0-3,8\""}; };
  if (text.size() > kMaxNumbersText) return Error{Errc::kLimit, "a list of numbers has at most " + std::to_string(kMaxNumbersText) + " characters"};
  std::set<std::uint32_t> numbers;
  auto number = [&]() -> std::optional<std::uint32_t> {
    std::uint32_t value = 0;
    auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || value >= end) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
    return value;
  };
  for (;;) {
    auto first = number();
    auto last = first;
    if (first && text.starts_with('-')) {
      text.remove_prefix(1);
      last = number();
    }
    if (!first || !last) return wrong("expected a number below " + std::to_string(end) + " at \"" + std::string(text) + "\"");
    if (*last < *first) return wrong("a range runs backwards");
    for (std::uint32_t n = *first; n <= *last; ++n) numbers.insert(n);
    if (text.empty()) return std::vector<std::uint32_t>(numbers.begin(), numbers.end());
    if (!text.starts_with(',')) return wrong("expected a comma at \"" + std::string(text) + "\"");
    text.remove_prefix(1);
  }
}

std::string format_numbers(const std::vector<std::uint32_t>& sorted) {
  std::string text;
  for (std::size_t i = 0; i < sorted.size();) {
    std::size_t last = i;
    while (last + 1 < sorted.size() && sorted[last + 1] == sorted[last] + 1) ++last;
    text += (text.empty() ? "" : ",") + std::to_string(sorted[i]);
    if (last > i) text += "-" + std::to_string(sorted[last]);
    i = last + 1;
  }
  return text;
}

std::string format_size(std::uint64_t bytes) {
  static constexpr std::array<std::string_view, 7> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < kKibi) return std::to_string(bytes) + "B";
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  // 1023.95 would be shown as 1024.0.
  for (; value >= 1023.95 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return with_decimals(value, "%.1f", kUnits[unit]);
}

std::string format_duration(Nanoseconds duration) {
  auto count = duration.count();
  if (count == 0) return "0s";
  std::string sign = count < 0 ? "-" : "";
  auto magnitude = count < 0 ? 0 - static_cast<std::uint64_t>(count) : static_cast<std::uint64_t>(count);
  const Unit* unit = &kTimes[0];
  for (const auto& candidate : kTimes)
    if (candidate.factor <= magnitude && candidate.name != "\u00b5s") unit = &candidate;
  if (magnitude % unit->factor == 0) return sign + std::to_string(magnitude / unit->factor) + std::string(unit->name);
  return sign + with_decimals(static_cast<double>(magnitude) / static_cast<double>(unit->factor), "%.2f", unit->name);
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  // One slip in a short word, up to three in a long one.
  std::size_t best = std::clamp<std::size_t>(word.size() / 3, 1, 3) + 1;
  std::string found;
  for (const auto& candidate : candidates) {
    auto [shorter, longer] = std::minmax({word.size(), candidate.size()});
    if (longer - shorter >= best) continue;
    auto slips = distance(lower(word), lower(candidate));
    if (slips >= best || slips >= candidate.size()) continue;
    best = slips;
    found = candidate;
  }
  return found;
}

}  // namespace tv::config
