// Time. Deadlines are absolute CLOCK_MONOTONIC, so that they can travel between processes of one machine.
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>
#include <limits>

namespace tv {

using namespace std::chrono_literals;
using Nanoseconds = std::chrono::nanoseconds;

inline std::int64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

inline std::int64_t realtime_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Every call that may wait takes one. There is no way to wait for ever: never() is a century away, for threads whose
// waiting is ended by an event.
struct Deadline {
  std::int64_t ns = 0;  // CLOCK_MONOTONIC

  static constexpr Deadline never() { return {std::numeric_limits<std::int64_t>::max() / 4}; }
  static Deadline in(Nanoseconds span) {
    constexpr std::int64_t kCentury = never().ns / 2;  // sums of clock and span must not overflow
    return {monotonic_ns() + (span.count() < kCentury ? span.count() : kCentury)};
  }
  static Deadline at(std::int64_t monotonic) { return {monotonic}; }

  bool passed() const { return monotonic_ns() >= ns; }
  Nanoseconds left() const {
    auto rest = ns - monotonic_ns();
    return Nanoseconds{rest > 0 ? rest : 0};
  }
  // For poll() and the like: rounded up, 0 when passed, at most an hour.
  int left_ms() const {
    auto ms = (left().count() + 999'999) / 1'000'000;
    return static_cast<int>(ms < 3'600'000 ? ms : 3'600'000);
  }
};

}  // namespace tv
