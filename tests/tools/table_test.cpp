#include "tools/tensorctl/table.h"

#include <fcntl.h>

#include <sstream>

#include "config/fd.h"
#include "tests/support/catch.h"
#include "tools/tensorctl/times.h"

namespace {

using namespace tv;
using namespace tv::ctl;

Table sample() {
  Table table({{"NAME"}, {"PID", Align::kRight}, {"STATE"}});
  table.add({{"cpu/0"}, {"7"}, {"ready", Tone::kGood}});
  table.add({{"a-long-name"}, {"12345"}, {"failed", Tone::kBad}});
  return table;
}

}  // namespace

TEST_CASE("columns are aligned and lines have no blanks at their ends", "[table]") {
  CHECK(sample().render({}) ==
        "NAME           PID  STATE\n"
        "cpu/0            7  ready\n"
        "a-long-name  12345  failed\n");
}

TEST_CASE("a narrow terminal cuts the widest column and no line is longer", "[table]") {
  Table table({{"A"}, {"B"}});
  table.add({{std::string(50, 'x')}, {"short"}});
  auto text = table.render({.width = 30});
  CHECK(text == "A                        B\n" + std::string(22, 'x') + "\u2026  short\n");
}

TEST_CASE("a terminal too narrow for any table still gets one", "[table]") {
  CHECK(sample().render({.width = 1}).find("cpu/0") != std::string::npos);
}

TEST_CASE("colours are for terminals and do not disturb the alignment", "[table]") {
  CHECK(sample().render({}).find('\033') == std::string::npos);
  auto text = sample().render({.width = 80, .colours = true});
  CHECK(text.find("\033[31mfailed\033[0m") != std::string::npos);
}

TEST_CASE("letters of several bytes count as one", "[table]") {
  Table table({{"N"}, {"X"}});
  table.add({{"\u00fc\u00fc"}, {"1"}});
  CHECK(table.render({}) == "N   X\n\u00fc\u00fc  1\n");
}

TEST_CASE("names cannot steer the terminal", "[table]") {
  CHECK(printable("a\033[31m\n\tb\x7f") == "a?[31m??b?");
  CHECK(printable("a\xc2\x9b"
                  "31m") == "a?31m");
  Table table({{"N"}});
  table.add({{"\033]0;x\007"}});
  CHECK(table.render({.width = 80, .colours = true}) == "N\n?]0;x?\n");
}

TEST_CASE("a table without rows is its header", "[table]") { CHECK(Table({{"NAME"}, {"PID"}}).render({}) == "NAME  PID\n"); }

TEST_CASE("a file is no terminal: full width and no colours", "[table]") {
  Fd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  auto screen = Screen::of(null.get());
  CHECK(screen.width == 0);
  CHECK_FALSE(screen.colours);
}

TEST_CASE("times are ISO 8601 for programs and short for people", "[times]") {
  CHECK(iso8601(0) == "1970-01-01T00:00:00.000Z");
  CHECK(iso8601(1'714'979'289'123'456'789) == "2024-05-06T07:08:09.123Z");
  CHECK(iso8601(-1) == "1969-12-31T23:59:59.999Z");
  auto seconds = [](std::int64_t s) { return span_text(s * 1'000'000'000); };
  CHECK(seconds(0) == "0s");
  CHECK(seconds(-5) == "0s");
  CHECK(seconds(41) == "41s");
  CHECK(seconds(60) == "1min");
  CHECK(seconds(7500) == "2h 5min");
  CHECK(seconds(3605) == "1h");
  CHECK(seconds(3 * 86400 + 4 * 3600) == "3d 4h");
  Now now{.realtime_ns = 100'000'000'000, .monotonic_ns = 5'000'000'000};
  CHECK(ago_text(59'000'000'000, now) == "41s ago");
  CHECK(ago_text(0, now) == "-");
  CHECK(now.realtime_of(4'000'000'000) == 99'000'000'000);
}

TEST_CASE("no line of a table is longer than the screen is wide, whatever there is to show", "[table]") {
  for (std::size_t width = 8; width <= 60; ++width) {
    Table table({{"NAME"}, {"PID", Align::kRight}, {"STATE"}, {"LAST-DEATH"}});
    table.add({{"classifier/12"}, {"4194304"}, {"ready"}, {"killed by SIGSEGV (segmentation fault), 3min ago"}});
    auto text = table.render({.width = width});
    std::istringstream lines(text);
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count) CHECK(display_width(line) <= width);
    CHECK(count == 2);
  }
}

TEST_CASE("a table without headers is its rows", "[table]") { CHECK(sample().render({}, false).find("NAME") == std::string::npos); }

TEST_CASE("a long value of a description goes on below itself on a screen, and is one line elsewhere", "[table]") {
  std::vector<Line> lines = {{"state", {"failed"}}, {"message", {"the first device of the machine has gone away"}}};
  CHECK(render_lines(lines, {.width = 32}) ==
        "state    failed\nmessage  the first device of the\n         machine has gone away\n");
  CHECK(render_lines(lines, {}) == "state    failed\nmessage  the first device of the machine has gone away\n");
}
