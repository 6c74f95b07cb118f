#include "supervisor/output_lines.h"

#include <vector>

#include "config/limits.h"
#include "tests/support/catch.h"

using namespace tv;
using namespace tv::supervisor;
using Kind = OutputRecord::Kind;

namespace {

constexpr OutputBudget kPlenty{1e6, 1e6};
constexpr std::int64_t kSecond = 1'000'000'000;

std::vector<OutputRecord> all(OutputLines& lines) {
  std::vector<OutputRecord> records;
  while (auto record = lines.take()) records.push_back(std::move(*record));
  return records;
}

}  // namespace

TEST_CASE("what comes in pieces leaves line by line, without blank ones", "[output]") {
  OutputLines lines(kPlenty);
  lines.feed("fir", 1);
  CHECK_FALSE(lines.take());
  lines.feed("st\nsecond\r\n\n\nthi", 2);
  auto records = all(lines);
  REQUIRE(records.size() == 2);
  CHECK(records[0].text == "first");
  CHECK(records[1].text == "second");
  lines.finish(3);
  records = all(lines);
  REQUIRE(records.size() == 1);
  CHECK(records[0].text == "thi");
}

TEST_CASE("a line that is too long comes in pieces, and nothing of it is lost", "[output]") {
  OutputLines lines(kPlenty);
  std::string line(2 * limits::kMaxOutputLine + 5, 'x');
  lines.feed(line + "\nnext\n", 1);
  auto records = all(lines);
  REQUIRE(records.size() == 4);
  CHECK(records[0].text.size() == limits::kMaxOutputLine);
  CHECK(records[2].text == "xxxxx");
  CHECK(records[3].text == "next");
  lines.feed(std::string(limits::kMaxOutputLine, 'y') + "\nafter\n", 2);
  records = all(lines);
  REQUIRE(records.size() == 2);
  CHECK(records[1].text == "after");
}

TEST_CASE("the stacks of a crash are one record", "[output]") {
  OutputLines lines(kPlenty);
  lines.feed("before\nstacks of worker \"cpu\", pid 7, upon SIGSEGV\n  thread 7 \"tv:cpu\"\n    #0 main\nend of stacks\nafter\n", 1);
  auto records = all(lines);
  REQUIRE(records.size() == 3);
  CHECK(records[0].text == "before");
  CHECK(records[1].kind == Kind::kStackDump);
  CHECK(records[1].text == "stacks of worker \"cpu\", pid 7, upon SIGSEGV\n  thread 7 \"tv:cpu\"\n    #0 main");
  CHECK(records[2].kind == Kind::kLine);
}

TEST_CASE("stacks without their end are told of when nothing more comes, or when others begin", "[output]") {
  OutputLines lines(kPlenty);
  lines.feed("stacks of worker \"a\", pid 1\n  #0 f\nstacks of worker \"a\", pid 2\n  #0 g\n  #1 h", 1);
  lines.finish(2);
  auto records = all(lines);
  REQUIRE(records.size() == 2);
  CHECK(records[0].text == "stacks of worker \"a\", pid 1\n  #0 f");
  CHECK(records[1].text == "stacks of worker \"a\", pid 2\n  #0 g\n  #1 h");
}

TEST_CASE("stacks that are too long are cut, and say so", "[output]") {
  OutputLines lines(kPlenty);
  lines.feed("stacks of worker \"a\", pid 1\n", 1);
  std::string frame(1000, 'f');
  for (int i = 0; i < 1000; ++i) lines.feed(frame + "\n", 1);
  lines.feed("end of stacks\nafter\n", 1);
  auto records = all(lines);
  REQUIRE(records.size() == 2);
  CHECK(records[0].text.size() < limits::kMaxStackDump + 100);
  CHECK(records[0].text.ends_with("too long to be kept)"));
  CHECK(records[1].text == "after");
}

TEST_CASE("who writes more than its share is cut, and what is missing is counted and told of", "[output]") {
  OutputLines lines({.burst = 3, .per_second = 2});
  for (int i = 0; i < 10; ++i) lines.feed("line " + std::to_string(i) + "\n", kSecond);
  auto records = all(lines);
  REQUIRE(records.size() == 3);
  CHECK(records[2].text == "line 2");
  CHECK(lines.suppressing());
  // Half a second later there is room for one; first comes how many were dropped.
  lines.feed("late\n", kSecond + kSecond / 2);
  records = all(lines);
  REQUIRE(records.size() == 2);
  CHECK(records[0].kind == Kind::kSuppressed);
  CHECK(records[0].count == 7);
  CHECK(records[1].text == "late");
  CHECK_FALSE(lines.suppressing());
}

TEST_CASE("what was suppressed is told of at the end, and when somebody asks", "[output]") {
  OutputLines lines({.burst = 1, .per_second = 0});
  lines.feed("a\nb\nc\n", kSecond);
  lines.report(kSecond);
  auto records = all(lines);
  REQUIRE(records.size() == 2);
  CHECK(records[1].count == 2);
  lines.feed("d\n", kSecond);
  lines.finish(kSecond);
  records = all(lines);
  REQUIRE(records.size() == 1);
  CHECK(records[0].count == 1);
}

TEST_CASE("a share that was not used does not grow beyond the burst", "[output]") {
  OutputLines lines({.burst = 2, .per_second = 100});
  lines.feed("a\n", kSecond);
  for (int i = 0; i < 5; ++i) lines.feed("b\n", 1000 * kSecond);
  CHECK(all(lines).size() == 3);
}
