#include "config/units.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

#include "tests/support/catch.h"

using namespace tv;
using namespace tv::config;

namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

std::string size_error(std::string_view text, std::uint64_t whole = 0) {
  auto size = parse_size(text, whole);
  INFO(text);
  REQUIRE_FALSE(size.ok());
  CHECK(size.error().code == Errc::kInvalidArgument);
  return size.error().message;
}

std::string duration_error(std::string_view text) {
  auto duration = parse_duration(text);
  INFO(text);
  REQUIRE_FALSE(duration.ok());
  CHECK(duration.error().code == Errc::kInvalidArgument);
  return duration.error().message;
}

bool near(double a, double b, double share) { return std::abs(a - b) <= std::max(1.0, share * std::abs(b)); }

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("sizes are read with units of 1024 and of 1000") {
  CHECK(parse_size("4GiB").value() == 4 * kGiB);
  CHECK(parse_size("512 MiB").value() == std::uint64_t{512} << 20);
  CHECK(parse_size(" 64kB ").value() == 64'000);
  CHECK(parse_size("64KB").value() == 64'000);
  CHECK(parse_size("2TB").value() == 2'000'000'000'000);
  CHECK(parse_size("1PiB").value() == std::uint64_t{1} << 50);
  CHECK(parse_size("123").value() == 123);
  CHECK(parse_size("123B").value() == 123);
  CHECK(parse_size("0").value() == 0);
}

TEST_CASE("fractions of a size are exact and rounded down to a byte") {
  CHECK(parse_size("1.5GiB").value() == kGiB + kGiB / 2);
  CHECK(parse_size("0.1KiB").value() == 102);
  CHECK(parse_size("1.0B").value() == 1);
  CHECK(contains(size_error("1.5B"), "a part of a byte"));
}

TEST_CASE("a share is a share of the whole") {
  CHECK(parse_size("25%", 1000).value() == 250);
  CHECK(parse_size("12.5 %", 8 * kGiB).value() == kGiB);
  CHECK(parse_size("100%", kGiB + 7).value() == kGiB + 7);
  CHECK(parse_size("0%", kGiB).value() == 0);
  CHECK(parse_size("50%", std::numeric_limits<std::uint64_t>::max()).value() == std::numeric_limits<std::uint64_t>::max() / 2);
  CHECK(contains(size_error("100.1%", kGiB), "cannot exceed 100%"));
  CHECK(contains(size_error("25%"), "a share is not possible here"));
}

TEST_CASE("what is no size is refused with the reason") {
  CHECK(contains(size_error(""), "it is empty"));
  CHECK(contains(size_error("   "), "it is empty"));
  CHECK(contains(size_error("-1GiB"), "must not be negative"));
  CHECK(contains(size_error("lots"), "does not begin with a number"));
  CHECK(contains(size_error("1e9"), "unknown unit \"e9\""));
  CHECK(contains(size_error("1.GiB"), "unknown unit"));
  CHECK(contains(size_error("1.2.3GiB"), "unknown unit"));
  CHECK(contains(size_error("4gib"), "did you mean \"GiB\"?"));
  CHECK(contains(size_error("4G"), "units are"));
  CHECK(contains(size_error("16EiB"), "unknown unit"));
  CHECK(contains(size_error("16384PiB"), "does not fit 64 bits"));
  CHECK(contains(size_error("99999999999999999999"), "too many digits"));
  CHECK(contains(size_error("10s"), "expected a size such as"));
}

TEST_CASE("the largest size that fits is taken") { CHECK(parse_size("16383PiB").value() == std::uint64_t{16383} << 50); }

TEST_CASE("durations are read with their unit") {
  CHECK(parse_duration("5ns").value() == 5ns);
  CHECK(parse_duration("10us").value() == 10us);
  CHECK(parse_duration("10\u00b5s").value() == 10us);
  CHECK(parse_duration("250ms").value() == 250ms);
  CHECK(parse_duration("1.5s").value() == 1500ms);
  CHECK(parse_duration("2 min").value() == 2min);
  CHECK(parse_duration("1h").value() == 1h);
  CHECK(parse_duration("1d").value() == 24h);
  CHECK(parse_duration("0s").value() == 0s);
}

TEST_CASE("a duration without a unit is refused") {
  CHECK(contains(duration_error("10"), "the unit is missing"));
  CHECK(contains(duration_error("0"), "the unit is missing"));
}

TEST_CASE("what is no duration is refused with the reason") {
  CHECK(contains(duration_error(""), "it is empty"));
  CHECK(contains(duration_error("-1s"), "must not be negative"));
  CHECK(contains(duration_error("soon"), "does not begin with a number"));
  CHECK(contains(duration_error("10m"), "unknown unit \"m\""));
  CHECK(contains(duration_error("10mins"), "did you mean \"min\"?"));
  CHECK(contains(duration_error("1h30min"), "unknown unit"));
  CHECK(contains(duration_error("0.5ns"), "a part of a nanosecond"));
  CHECK(contains(duration_error("106752d"), "longer than 292 years"));
  CHECK(contains(duration_error("4GiB"), "expected a time such as"));
}

TEST_CASE("an error repeats only the beginning of a long text and no control characters") {
  auto message = size_error(std::string(100'000, 'x') + "\n");
  CHECK(message.size() < 300);
  CHECK_FALSE(contains(size_error("1\x1b[31m"), "\x1b"));
}

TEST_CASE("sizes are written with one decimal in the largest unit") {
  CHECK(format_size(0) == "0B");
  CHECK(format_size(512) == "512B");
  CHECK(format_size(1023) == "1023B");
  CHECK(format_size(1024) == "1.0KiB");
  CHECK(format_size(4 * kGiB) == "4.0GiB");
  CHECK(format_size(kGiB - 1) == "1.0GiB");
  CHECK(format_size(std::uint64_t{1} << 40) == "1.0TiB");
  CHECK(format_size(std::numeric_limits<std::uint64_t>::max()) == "16.0EiB");
}

TEST_CASE("durations are written whole where they are whole") {
  CHECK(format_duration(0ns) == "0s");
  CHECK(format_duration(5ns) == "5ns");
  CHECK(format_duration(250ms) == "250ms");
  CHECK(format_duration(1500ms) == "1.50s");
  CHECK(format_duration(60s) == "1min");
  CHECK(format_duration(90s) == "1.50min");
  CHECK(format_duration(24h) == "1d");
  CHECK(format_duration(-250ms) == "-250ms");
  CHECK(format_duration(Nanoseconds::min()).front() == '-');
}

TEST_CASE("what is written is read back within the decimals shown") {
  auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 2000; ++i) {
    auto value = random() >> (1 + random() % 62);
    auto size = parse_size(format_size(value == 0 ? 1 : value));
    CAPTURE(value);
    // Larger units than PiB are written but not read.
    if (value < (std::uint64_t{1} << 60)) {
      REQUIRE(size.ok());
      CHECK(near(static_cast<double>(*size), static_cast<double>(value), 0.06));
    }
    auto duration = parse_duration(format_duration(Nanoseconds{static_cast<std::int64_t>(value)}));
    REQUIRE(duration.ok());
    CHECK(near(static_cast<double>(duration->count()), static_cast<double>(value), 0.006));
  }
}

TEST_CASE("numbers and ranges of processors are read in any order and written in their shortest form") {
  auto shortest = [](const char* text) { return format_numbers(*parse_numbers(text, 16)); };
  CHECK(shortest("0") == "0");
  CHECK(shortest("3,1,2,0,8") == "0-3,8");
  CHECK(shortest("0-3,2-5,15") == "0-5,15");
  CHECK(shortest("7-7") == "7");
  CHECK(*parse_numbers("1-3", 16) == std::vector<std::uint32_t>{1, 2, 3});
}

TEST_CASE("what is no list of numbers is refused, with the place where it ends to be one") {
  for (const char* text : {"", ",", "1,", "a", "1-", "-1", "3-1", "16", "1 2", "0x1", "4294967296"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_numbers(text, 16).ok());
  }
  CHECK(parse_numbers("1,x2", 16).error().message.find("\"x2\"") != std::string::npos);
  CHECK_FALSE(parse_numbers(std::string(5000, '1'), 16).ok());
}

TEST_CASE("the nearest word is offered for a slip of the pen") {
  std::vector<std::string> words = {"name", "device", "threads", "spares", "env", "count"};
  CHECK(nearest("thread", words) == "threads");
  CHECK(nearest("theards", words) == "threads");
  CHECK(nearest("Devices", words) == "device");
  CHECK(nearest("NAME", words) == "name");
  CHECK(nearest("nmae", words) == "name");
  CHECK(nearest("envs", words) == "env");
}

TEST_CASE("no word is offered for one that resembles none") {
  CHECK(nearest("colour", {"name", "device", "threads"}).empty());
  CHECK(nearest("x", {"y"}).empty());
  CHECK(nearest("", {"a", "name"}).empty());
  CHECK(nearest("name", {}).empty());
  CHECK(nearest(std::string(1'000'000, 'n'), {"name"}).empty());
}
