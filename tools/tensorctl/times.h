// Times for programs (ISO 8601, UTC) and for people ("3min ago").
#pragma once

#include <cstdint>
#include <string>

namespace tv::ctl {

// Both clocks at one moment, so that everything in one answer is told against the same instant.
struct Now {
  std::int64_t realtime_ns = 0;
  std::int64_t monotonic_ns = 0;

  static Now read();
  // What CLOCK_REALTIME showed, as near as the two clocks allow.
  std::int64_t realtime_of(std::int64_t monotonic) const { return realtime_ns - (monotonic_ns - monotonic); }
};

std::string iso8601(std::int64_t realtime_ns);  // "2024-05-06T07:08:09.123Z"
// Two units at most: "2h 5min", "3d 4h", "41s"; under a second "0s". Negative spans count as none: clocks may be set back.
std::string span_text(std::int64_t ns);
std::string ago_text(std::int64_t realtime_ns, const Now& now);  // "41s ago", "-" for 0

}  // namespace tv::ctl
