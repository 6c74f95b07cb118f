// tv-bench: that its statistics are right, its options understood and its JSON what it promises. No figure is judged here.
#include <nlohmann/json.hpp>
#include <numeric>

#include "tests/support/catch.h"
#include "tests/support/process.h"
#include "tools/bench/command_line.h"
#include "tools/bench/mixed_load.h"
#include "tools/bench/ping_pong.h"
#include "tools/bench/report.h"
#include "tools/bench/statistics.h"

namespace {

using namespace tv;
using namespace tv::bench;
using Json = nlohmann::json;

std::vector<double> numbers(int from, int to) {
  std::vector<double> values(static_cast<std::size_t>(to - from + 1));
  std::iota(values.begin(), values.end(), from);
  return values;
}

Parsed parse(std::vector<const char*> words) {
  words.insert(words.begin(), "tv-bench");
  return parse_command_line(static_cast<int>(words.size()), words.data());
}

bool is_summary(const Json& value) {
  return value.at("p50").is_number() && value.at("p99").is_number() && value.at("samples").is_number_integer();
}

}  // namespace

TEST_CASE("a percentile is the nearest rank of the sorted values", "[bench]") {
  auto hundred = numbers(1, 100);
  CHECK(percentile(hundred, 0.50) == 50);
  CHECK(percentile(hundred, 0.99) == 99);
  CHECK(percentile(hundred, 1.00) == 100);
  CHECK(percentile(hundred, 0.001) == 1);
  CHECK(percentile(numbers(1, 5), 0.50) == 3);
  CHECK(percentile(numbers(1, 5), 0.99) == 5);
  CHECK(percentile(numbers(7, 7), 0.50) == 7);
}

TEST_CASE("a summary does not depend on the order of the values", "[bench]") {
  auto values = numbers(1, 1000);
  std::reverse(values.begin() + 100, values.end());
  auto summary = summarize(values);
  CHECK(summary.p50 == 500);
  CHECK(summary.p99 == 990);
  CHECK(summary.samples == 1000);
}

TEST_CASE("times become microseconds, and rates whose p99 is what almost every round reached", "[bench]") {
  std::vector<std::int64_t> times{4'000, 2'000, 1'000};
  CHECK(summarize_ns(times, 1000).p50 == 2.0);
  CHECK(summarize_ns(times, 1000).p99 == 4.0);
  CHECK(summarize_rates(times, 10).p50 == 5e6);
  CHECK(summarize_rates(times, 10).p99 == 2.5e6);
}

TEST_CASE("the best peer is the fastest one, of times and of rates", "[bench]") {
  Row row{"x", "us"};
  row.ours = {3, 4, 1};
  CHECK_FALSE(row.best_peer());
  CHECK_FALSE(row.ratio_to_best_peer());
  CHECK_FALSE(row.ratio_to_limit());
  row.limit = Summary{2, 2, 1};
  row.peers = {{"slow", {12, 12, 1}}, {"fast", {6, 6, 1}}};
  CHECK(row.ratio_to_limit() == 1.5);
  CHECK(row.best_peer() == "fast");
  CHECK(row.ratio_to_best_peer() == 0.5);
  row.more_is_better = true;
  CHECK(row.best_peer() == "slow");
  CHECK(row.ratio_to_best_peer() == 0.25);
}

TEST_CASE("the benchmarks are known by name, and misuse has exit code 2 and shows the usage", "[bench]") {
  auto one = parse({"handoff", "--json", "--quick"});
  REQUIRE(one.options);
  CHECK(one.options->names == std::vector<std::string>{"handoff"});
  CHECK(one.options->json);
  CHECK(one.options->quick);
  CHECK(chosen(*one.options).size() == 1);
  auto all = parse({"all"});
  REQUIRE(all.options);
  CHECK(chosen(*all.options).size() == benchmarks().size());
  CHECK(parse({"list"}).out.find("fragmentation\n") != std::string::npos);
  for (const auto& words :
       std::vector<std::vector<const char*>>{{}, {"handof"}, {"alloc", "--fast"}, {"alloc", "--quick", "--full"}, {"alloc", "list"}}) {
    auto wrong = parse(words);
    CHECK_FALSE(wrong.options);
    CHECK(wrong.exit_code == 2);
    CHECK(wrong.out.empty());
    CHECK(wrong.err.find("usage: tv-bench") != std::string::npos);
  }
  CHECK(parse({"handof"}).err.find("did you mean \"handoff\"?") != std::string::npos);
  auto help = parse({"--help"});
  CHECK(help.exit_code == 0);
  for (const auto& benchmark : benchmarks()) CHECK(help.out.find(benchmark.name) != std::string::npos);
}

TEST_CASE("tv-bench alloc prints JSON with every field that it promises", "[bench]") {
  auto output = test::run({TV_BENCH, "alloc", "--quick", "--json"});
  INFO(output.err);
  REQUIRE(output.status == 0);
  auto report = Json::parse(output.out);
  CHECK(report.at("benchmark") == "alloc");
  CHECK(report.at("machine").at("cpu").is_string());
  REQUIRE(report.at("rows").size() > 0);
  for (const auto& row : report.at("rows")) {
    INFO(row.dump());
    CHECK(row.at("name").get<std::string>().starts_with("alloc/"));
    CHECK(row.at("unit") == "ns");
    CHECK(is_summary(row.at("ours")));
    CHECK(is_summary(row.at("limit")));
    CHECK(row.at("peers").is_object());
    CHECK(row.at("ratio_to_limit").get<double>() > 0);
    CHECK(row.at("ratio_to_best_peer").is_null());
  }
}

TEST_CASE("tv-bench measures only the rows that are asked for, of every benchmark", "[bench]") {
  auto one = test::run({TV_BENCH, "alloc", "--quick", "--json", "--only=64-alive"});
  INFO(one.err);
  REQUIRE(one.status == 0);
  auto rows = Json::parse(one.out).at("rows");
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].at("name") == "alloc/1KiB/64-alive");
  auto of_two = test::run({TV_BENCH, "alloc", "put", "--quick", "--json", "--only", "put/1MiB"});
  INFO(of_two.err);
  REQUIRE(of_two.status == 0);
  auto reports = Json::parse(of_two.out);
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].at("rows").size() == 1);
  auto scale = test::run({TV_BENCH, "scale", "--quick", "--json", "--only=hot/10000"});
  INFO(scale.err);
  REQUIRE(scale.status == 0);
  CHECK(Json::parse(scale.out).at("rows").size() == 1);
}

TEST_CASE("tv-bench all with rows that nothing has measures nothing, names the rows that there are, and leaves with 2", "[bench]") {
  for (const char* form : {"--json", "--quick"}) {
    auto none = test::run({TV_BENCH, "all", "--only=no-such-row", form});
    CHECK(none.status == 2);
    CHECK(none.out.empty());
    for (const char* row :
         {"\"no-such-row\"", "alloc/1KiB/create+free\n", "put/100MiB\n", "scale/supervisor-memory/", "call/one-core/defaults\n",
          "fragmentation/85%-live/refused\n", "throughput/64B/fan-in/", "fanout/", "handoff/idle\n"}) {
      INFO(row << none.err);
      CHECK(none.err.find(row) != std::string::npos);
    }
  }
}

TEST_CASE("tv-bench says what is wrong with its options and leaves with 2", "[bench]") {
  auto output = test::run({TV_BENCH, "alloc", "--jsn"});
  CHECK(output.status == 2);
  CHECK(output.out.empty());
  CHECK(output.err.find("no option \"--jsn\"") != std::string::npos);
}

TEST_CASE("a pair does as many round trips as it is asked for, and every one is timed", "[bench]") {
  struct Counting : Duplex {
    explicit Counting(std::int64_t* pongs) : pongs_(pongs) {}
    void pong() override { ++*pongs_; }
    std::int64_t* pongs_;
  };
  SharedMemory pongs(sizeof(std::int64_t));
  auto pair = make_pair("counting", latency_settings()[0], std::make_shared<Counting>(pongs.as<std::int64_t>()), 10);
  CHECK(pair->round(10, 10).size() == 10);
  CHECK(pair->round(5, 5).size() == 5);
  CHECK(*pongs.as<std::int64_t>() == 15);
}

TEST_CASE("a side that fails ends the benchmark with an error instead of a wait", "[bench]") {
  struct Failing : Duplex {
    void pong() override { throw Failure("on purpose"); }
  };
  auto pair = make_pair("failing", latency_settings()[0], std::make_shared<Failing>(), 1);
  CHECK_THROWS_AS(pair->round(1, 1), Failure);
}

TEST_CASE("the mixed load keeps the live payload below its aim", "[bench]") {
  MixedLoad load(64 * kMiB, 4 * kMiB, 2, 7);
  load.aim_at(0.3);
  for (int i = 0; i < 300; ++i) {
    load.step();
    REQUIRE(load.live() <= 0.3);
  }
  CHECK(load.allocations() > 0);
  CHECK(load.unusable_percent() >= 0);
  CHECK(load.unusable_percent() < 100);
}

TEST_CASE("sizes of the mixed load stay within their bounds and repeat with their seed", "[bench]") {
  SizeMix one(3, kMiB), same(3, kMiB);
  for (int i = 0; i < 1000; ++i) {
    auto bytes = one.next();
    CHECK(bytes >= 64);
    CHECK(bytes <= kMiB);
    CHECK(bytes == same.next());
  }
}
