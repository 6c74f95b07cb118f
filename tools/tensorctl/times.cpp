#include "tools/tensorctl/times.h"

#include <array>
#include <cstdio>
#include <ctime>

#include "config/clock.h"

namespace tv::ctl {

Now Now::read() { return {tv::realtime_ns(), tv::monotonic_ns()}; }

std::string iso8601(std::int64_t realtime_ns) {
  std::int64_t seconds = realtime_ns / 1'000'000'000, rest = realtime_ns % 1'000'000'000;
  if (rest < 0) {
    --seconds;
    rest += 1'000'000'000;
  }
  std::time_t when = seconds;
  std::tm parts{};
  if (!::gmtime_r(&when, &parts)) return "-";
  char date[48], text[64];
  if (std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts) == 0) return "-";
  std::snprintf(text, sizeof text, "%s.%03dZ", date, static_cast<int>(rest / 1'000'000));
  return text;
}

std::string span_text(std::int64_t ns) {
  struct Unit {
    const char* name;
    std::int64_t seconds;
  };
  static constexpr std::array<Unit, 4> kUnits = {{{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}}};
  std::int64_t seconds = ns > 0 ? ns / 1'000'000'000 : 0;
  for (std::size_t i = 0; i < kUnits.size(); ++i) {
    if (seconds < kUnits[i].seconds) continue;
    std::string text = std::to_string(seconds / kUnits[i].seconds) + kUnits[i].name;
    auto rest = seconds % kUnits[i].seconds;
    if (i + 1 < kUnits.size() && rest >= kUnits[i + 1].seconds)
      text.append(" ").append(std::to_string(rest / kUnits[i + 1].seconds)).append(kUnits[i + 1].name);
    return text;
  }
  return "0s";
}

std::string ago_text(std::int64_t realtime_ns, const Now& now) {
  if (realtime_ns == 0) return "-";
  return span_text(now.realtime_ns - realtime_ns) + " ago";
}

}  // namespace tv::ctl
