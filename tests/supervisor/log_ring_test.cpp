#include "supervisor/log_ring.h"

#include <thread>

#include "config/limits.h"
#include "systemd/events.h"
#include "systemd/journal.h"
#include "tests/support/catch.h"

using namespace tv;
using namespace tv::supervisor;

namespace {

LogRecord record(const std::string& event, std::vector<std::pair<std::string, std::string>> fields = {},
                 log::Level level = log::Level::kInfo) {
  return {.time_ns = 1'000, .level = level, .event = event, .text = {}, .said_by = {}, .fields = std::move(fields)};
}

LogRecord line(const std::string& worker, const std::string& text) {
  return {.time_ns = 1'000,
          .level = log::Level::kInfo,
          .event = std::string(systemd::kWorkerOutput),
          .text = text,
          .said_by = worker,
          .fields = {{"worker", worker}}};
}

std::vector<std::string> events_of(const LogPage& page) {
  std::vector<std::string> events;
  for (const auto& each : page.records) events.push_back(each.event);
  return events;
}

using Events = std::vector<std::string>;

// Counts what it is given.
class Counting final : public log::Sink {
 public:
  Counting(int& events, int& texts) : events_(events), texts_(texts) {}
  void write(log::Level, std::string_view, std::span<const log::Field>) override { ++events_; }
  void write_text(log::Level, std::string_view, std::string_view, std::span<const log::Field>) override { ++texts_; }

 private:
  int& events_;
  int& texts_;
};

}  // namespace

TEST_CASE("a ring gives its records in their order, and from where the asker has stopped", "[log_ring]") {
  LogRing ring(limits::kMinLogBytes);
  for (const char* event : {"a", "b", "c"}) ring.add(record(event));
  auto all = ring.read({});
  CHECK(events_of(all) == Events{"a", "b", "c"});
  CHECK(all.records[0].seq == 1);
  CHECK(all.next == 3);
  CHECK_FALSE(all.more);
  CHECK(ring.read({.after = 3}).records.empty());
  ring.add(record("d"));
  auto rest = ring.read({.after = all.next});
  CHECK(events_of(rest) == Events{"d"});
  CHECK(rest.dropped == 0);
}

TEST_CASE("a ring keeps its bound in bytes, drops the oldest, and says how many came too early for the asker", "[log_ring]") {
  LogRing ring(limits::kMinLogBytes);
  for (int i = 0; i < 1000; ++i) ring.add(line("cpu", std::string(500, 'x')));
  CHECK(ring.bytes() <= limits::kMinLogBytes);
  auto all = ring.read({});
  REQUIRE(!all.records.empty());
  CHECK(all.records.size() < 200);
  CHECK(all.records.back().seq == 1000);
  CHECK(all.dropped == 0);  // who asks for what there is has missed nothing
  auto late = ring.read({.after = 10});
  CHECK(late.dropped == all.records.front().seq - 11);
  CHECK(late.records.size() == all.records.size());
}

TEST_CASE("one record that is larger than the ring is cut and leaves room for others", "[log_ring]") {
  LogRing ring(limits::kMinLogBytes);
  ring.add(record("before"));
  ring.add(line("cpu", std::string(10 * limits::kMinLogBytes, 'x')));
  ring.add(record("huge cause", {{"cause", std::string(10 * limits::kMinLogBytes, 'y')}}));
  auto all = ring.read({});
  CHECK(events_of(all) == Events{"before", "worker output", "huge cause"});
  CHECK(all.records[1].text.ends_with("[cut]"));
  CHECK(ring.bytes() <= limits::kMinLogBytes);
}

TEST_CASE("what is asked for may be limited by level, time, kind and name", "[log_ring]") {
  LogRing ring(limits::kMinLogBytes);
  ring.add(record("worker died", {{"worker", "cpu/0"}}, log::Level::kWarning));
  ring.add(record("actor ready", {{"actor", "trainer"}}));
  ring.add(line("cpu/1", "hello"));
  ring.add(record("actor ready", {{"actor", "trainer2"}}));
  ring.add(record("drain begins", {{"name", "pool"}, {"unit", "pool/3"}}));
  auto late = record("late");
  late.time_ns = 2'000;
  ring.add(late);
  CHECK(events_of(ring.read({.least = log::Level::kWarning})) == Events{"worker died"});
  CHECK(events_of(ring.read({.since_ns = 1'500})) == Events{"late"});
  CHECK(events_of(ring.read({.only_events = true})) == Events{"worker died", "actor ready", "actor ready", "drain begins", "late"});
  CHECK(events_of(ring.read({.names = {"cpu"}})) == Events{"worker died", "worker output"});
  CHECK(events_of(ring.read({.names = {"cpu/1"}})) == Events{"worker output"});
  CHECK(events_of(ring.read({.names = {"trainer"}})) == Events{"actor ready"});
  CHECK(events_of(ring.read({.names = {"pool/3", "cpu/0"}})) == Events{"worker died", "drain begins"});
  CHECK(ring.knows("trainer2"));
  CHECK_FALSE(ring.knows("train"));
}

TEST_CASE("a page is bounded, says that there is more, and the next question goes on behind it", "[log_ring]") {
  LogRing ring(limits::kMinLogBytes);
  for (int i = 0; i < 10; ++i) ring.add(record(i % 2 ? "odd" : "even"));
  auto page = ring.read({.limit = 2, .names = {}});
  CHECK(page.records.size() == 2);
  CHECK(page.more);
  std::size_t read = 0;
  LogFilter filter{.limit = 3, .least = log::Level::kInfo};
  for (int asked = 0; asked < 10; ++asked) {
    page = ring.read(filter);
    read += page.records.size();
    filter.after = page.next;
    if (!page.more) break;
  }
  CHECK(read == 10);
  CHECK(page.next == 10);
  auto last = ring.read({.limit = 2, .last = true});
  REQUIRE(last.records.size() == 2);
  CHECK(last.records[0].seq == 9);
  CHECK(last.next == 10);
  // Large records end a page early.
  LogRing large(limits::kMaxLogBytes);
  for (int i = 0; i < 12; ++i) large.add(line("cpu", std::string(200'000, 'x')));
  CHECK(large.read({}).more);
  CHECK(large.read({}).records.size() < 8);
}

TEST_CASE("no two rings have the same number", "[log_ring]") {
  CHECK(LogRing(limits::kMinLogBytes).process() != LogRing(limits::kMinLogBytes).process());
}

TEST_CASE("the sink keeps events with their fields and who said them, and passes on what is to be passed on", "[log_ring]") {
  auto pass_texts = GENERATE(true, false);
  auto ring = std::make_shared<LogRing>(limits::kMinLogBytes);
  int events = 0, texts = 0;
  log::set_sink(make_ring_sink(ring, std::make_unique<Counting>(events, texts), pass_texts));
  log::notice("worker ready", {{"worker", "cpu"}, {"pid", 7}});
  std::vector<log::Field> said = {{"worker", "cpu"}, {systemd::kSaidBy, "cpu"}};
  log::relay(log::Level::kError, systemd::kWorkerOutput, "ouch", said);
  said.emplace_back("actor", "a");
  log::relay(log::Level::kWarning, "state not committed", "state not committed actor=a", said);
  log::set_sink(log::make_text_sink(2));
  auto kept = ring->read({}).records;
  REQUIRE(kept.size() == 3);
  CHECK(kept[0].event == "worker ready");
  CHECK(kept[0].text.empty());
  CHECK(kept[0].fields[1] == std::pair<std::string, std::string>("pid", "7"));
  CHECK(kept[0].time_ns > 0);
  CHECK(kept[1].text == "ouch");
  CHECK(kept[1].said_by == "cpu");
  CHECK(kept[1].level == log::Level::kError);
  CHECK(kept[1].fields.size() == 1);
  CHECK(kept[2].event == "state not committed");
  CHECK(kept[2].text.empty());
  CHECK(events == 1);
  CHECK(texts == (pass_texts ? 2 : 0));
}

TEST_CASE("readers and writers of a ring do not disturb each other", "[log_ring]") {
  LogRing ring(limits::kMinLogBytes);
  std::thread writer([&] {
    for (int i = 0; i < 20'000; ++i) ring.add(record("event", {{"n", std::to_string(i)}}));
  });
  std::uint64_t after = 0;
  bool gapless = true;
  while (after < 20'000) {
    auto page = ring.read({.after = after});
    // Behind what was dropped they come one after the other; before the first answer nothing counts as dropped.
    auto expected = after == 0 && !page.records.empty() ? page.records.front().seq : after + page.dropped + 1;
    for (const auto& each : page.records) gapless = gapless && each.seq == expected++;
    after = page.next;
  }
  CHECK(gapless);
  writer.join();
  CHECK(ring.read({.after = after}).records.empty());
}
