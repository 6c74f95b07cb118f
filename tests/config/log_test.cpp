#include "config/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "config/fd.h"
#include "tests/support/catch.h"

using namespace tv;

namespace {

std::string line(std::string_view event, std::vector<log::Field> fields) { return log::format_line(log::Level::kInfo, event, fields); }

// Sends the process's events to lines for as long as it lives.
class Captured {
 public:
  Captured() { log::set_sink(std::make_unique<Sink>(lines_)); }
  ~Captured() {
    log::set_sink(log::make_text_sink(STDERR_FILENO));
    log::set_level(log::Level::kInfo);
  }
  const std::vector<std::string>& lines() const { return lines_; }

 private:
  struct Sink final : log::Sink {
    explicit Sink(std::vector<std::string>& out) : lines(out) {}
    void write(log::Level level, std::string_view event, std::span<const log::Field> fields) override {
      lines.push_back(log::format_line(level, event, fields));
    }
    std::vector<std::string>& lines;
  };

  std::vector<std::string> lines_;
};

}  // namespace

TEST_CASE("an event is one line of keys and values") {
  CHECK(line("ready", {{"worker", "cpu/0"}, {"pid", 42}, {"spare", false}}) == "info event=ready worker=cpu/0 pid=42 spare=no");
}

TEST_CASE("values that would be misread are quoted and escaped") {
  CHECK(line("worker ready", {}) == "info event=\"worker ready\"");
  CHECK(line("x", {{"k", ""}}) == "info event=x k=\"\"");
  CHECK(line("x", {{"k", "a=b"}}) == "info event=x k=\"a=b\"");
  CHECK(line("x", {{"k", "say \"hi\" \\"}}) == "info event=x k=\"say \\\"hi\\\" \\\\\"");
}

TEST_CASE("a value with line ends and escape sequences stays on its line") {
  auto text = line("x", {{"k", "a\nb\x1b[31m\r\t"}});
  CHECK(text == "info event=x k=\"a\\nb\\x1b[31m\\x0d\\x09\"");
}

TEST_CASE("text beyond ASCII is kept as it is") { CHECK(line("x", {{"k", "\xc3\xa9t\xc3\xa9"}}) == "info event=x k=\xc3\xa9t\xc3\xa9"); }

TEST_CASE("levels are read by their names alone") {
  for (auto level : {log::Level::kDebug, log::Level::kInfo, log::Level::kNotice, log::Level::kWarning, log::Level::kError})
    CHECK(log::parse_level(log::level_name(level)).value() == level);
  CHECK_FALSE(log::parse_level("INFO"));
  CHECK_FALSE(log::parse_level(""));
}

TEST_CASE("events below the level are dropped") {
  Captured log;
  log::set_level(log::Level::kWarning);
  log::info("quiet");
  log::warning("loud");
  REQUIRE(log.lines().size() == 1);
  CHECK(log.lines()[0] == "warning event=loud");
}

TEST_CASE("common fields come first and are replaced by key") {
  Captured log;
  log::set_common("worker", "a");
  log::set_common("worker", "b");
  log::info("x", {{"k", 1}});
  log::reset_after_fork();
  REQUIRE(log.lines().size() == 1);
  CHECK(log.lines()[0] == "info event=x worker=b k=1");
}

TEST_CASE("the text sink writes a time stamp and a newline") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  Fd reader(ends[0]), writer(ends[1]);
  log::make_text_sink(writer.get())->write(log::Level::kError, "x", {});
  char buffer[128];
  auto n = ::read(reader.get(), buffer, sizeof buffer);
  REQUIRE(n > 0);
  std::string text(buffer, static_cast<std::size_t>(n));
  CHECK(text.substr(24) == " error event=x\n");
  CHECK(text[10] == 'T');
  CHECK(text[23] == 'Z');
}

TEST_CASE("threads do not mix their events") {
  Captured log;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([] {
      for (int n = 0; n < 250; ++n) log::info("tick", {{"n", n}});
    });
  for (auto& thread : threads) thread.join();
  CHECK(log.lines().size() == 1000);
}

TEST_CASE("a line of the log can be read back, with or without its time") {
  std::vector<log::Field> fields = {{"plain", "cpu/0"}, {"empty", ""}, {"hard", "a=b \"c\" \\ \n\x1b\x7f \xc3\xa9"}, {"n", 42}};
  for (std::string time : {"", "2026-01-02T03:04:05.678Z "}) {
    auto parsed = log::parse_line(time + log::format_line(log::Level::kWarning, "worker died", fields));
    REQUIRE(parsed);
    CHECK(parsed->level == log::Level::kWarning);
    CHECK(parsed->event == "worker died");
    REQUIRE(parsed->fields.size() == fields.size());
    for (std::size_t i = 0; i < fields.size(); ++i) {
      CHECK(parsed->fields[i].first == fields[i].key);
      CHECK(parsed->fields[i].second == fields[i].value);
    }
  }
}

TEST_CASE("what only looks like a line of the log is none") {
  for (const char* text : {"", "info", "info ", "info event", "info event=", "info event=a b", "info event=\"a", "info event=\"a\\", "info event=\"a\"b=c",
                           "info other=a", "loud event=a", "info event=a Key=b", "info event=a =b", "info event=a k=\"\\xzz\"", "info event=a event=b",
                           "epoch 3 loss=0.25", "2026-01-02T03:04:05.678Z", "info  event=a"})
    CHECK_FALSE(log::parse_line(text));
}
