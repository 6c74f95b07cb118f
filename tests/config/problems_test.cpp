#include "config/problems.h"

#include "tests/support/catch.h"

using namespace tv;
using namespace tv::config;

TEST_CASE("a problem is one line with file and line and column and key") {
  CHECK(to_string(Problem{"a.toml", 3, 7, "worker[1].threads", "expected more"}) == "a.toml:3:7: worker[1].threads: expected more");
  CHECK(to_string(Problem{"a.toml", 0, 0, "", "cannot be read"}) == "a.toml: cannot be read");
}

TEST_CASE("problems come in the order of their places") {
  Problems problems("a.toml");
  problems.add(Place{9, 1}, "late", "x");
  problems.add(Place{2, 5}, "second", "x");
  problems.add(Place{2, 1}, "first", "x");
  auto taken = problems.take();
  REQUIRE(taken.size() == 3);
  CHECK(taken[0].key == "first");
  CHECK(taken[1].key == "second");
  CHECK(taken[2].key == "late");
}

TEST_CASE("a key without a place of its own is found at the section around it") {
  Problems problems("a.toml");
  problems.remember("pool[0]", {4, 1});
  problems.remember("pool[0].workers", {6, 11});
  CHECK(problems.place_of("pool[0].workers[2]") == Place{6, 11});
  CHECK(problems.place_of("pool[0].size") == Place{4, 1});
  CHECK(problems.place_of("actor[0].name") == Place{});
}

TEST_CASE("the rest of very many problems is counted") {
  Problems problems("a.toml");
  for (std::uint32_t i = 0; i < 10'000; ++i) problems.add(Place{i + 1, 1}, "k", "x");
  auto taken = problems.take();
  REQUIRE(taken.size() == limits::kMaxConfigErrors);
  CHECK(taken.front().line == 1);
  CHECK(taken.back().message == "and 9901 more problems");
}

TEST_CASE("words of the file cannot break the line of a problem") {
  CHECK(in_quotes("a\nb\x1b\"") == "\"a\\x0ab\\x1b\\\"\"");
  CHECK(member_key("worker[0]", "a b\n") == "worker[0].\"a b\\x0a\"");
  CHECK(in_quotes(std::string(1000, 'x')).size() < 80);
  // A character of several bytes is not cut in two.
  std::string accents;
  for (int i = 0; i < 40; ++i) accents += "\xc3\xa9";
  CHECK(in_quotes("x" + accents).find("\xc3...") == std::string::npos);
}
