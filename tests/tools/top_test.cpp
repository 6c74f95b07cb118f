#include "tools/tensorctl/top_sample.h"

#include <nlohmann/json.hpp>

#include "tests/support/catch.h"
#include "tests/tools/temp_dir.h"
#include "tools/tensorctl/top_render.h"

using namespace tv;
using namespace tv::ctl;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

Sample sample(std::int64_t at_s, std::int64_t cpu_ms, std::uint64_t handled) {
  Sample s{.at_ns = at_s * kSecond,
           .daemon_pid = 10,
           .version = "1.2.3",
           .health = "ok",
           .arena_bytes = 64 << 20,
           .arena_leased_bytes = 2 << 20};
  s.workers.push_back({.name = "cpu/0",
                       .device = "cpu",
                       .state = "ready",
                       .pid = 100,
                       .cpu_ns = cpu_ms * 1'000'000,
                       .resident_bytes = 50 << 20,
                       .unread_bytes = 64,
                       .actors = 2});
  s.workers.push_back({.name = "cuda0",
                       .device = "cuda:1",
                       .state = "ready",
                       .last_death = "killed by SIGKILL",
                       .pid = 101,
                       .cpu_ns = 3 * cpu_ms * 1'000'000,
                       .resident_bytes = 10 << 20,
                       .last_death_ns = 5});
  s.actors.push_back(
      {.name = "b", .worker = "cpu/0", .state = "ready", .handled = handled, .failed = handled / 10, .unread = 3, .state_bytes = 1000});
  s.actors.push_back({.name = "a", .worker = "cpu/0", .state = "ready", .handled = 5, .unread = 7, .state_bytes = 10});
  s.machine = {.cores = 4,
               .cpu_busy = static_cast<std::uint64_t>(at_s * 100),
               .cpu_all = static_cast<std::uint64_t>(at_s * 400),
               .memory_bytes = 8ull << 30,
               .memory_available_bytes = 6ull << 30};
  return s;
}

GpuSample gpu(std::uint32_t index) {
  return {.index = index,
          .name = "H200",
          .memory_bytes = 100ull << 30,
          .memory_used_bytes = 10ull << 30,
          .utilisation_percent = 42,
          .temperature_celsius = 51,
          .power_watts = 312.4,
          .power_limit_watts = 700};
}

std::vector<std::string> names(const std::vector<WorkerRow>& rows) {
  std::vector<std::string> all;
  for (const auto& row : rows) all.push_back(row.now.name);
  return all;
}
std::vector<std::string> names(const std::vector<ActorRow>& rows) {
  std::vector<std::string> all;
  for (const auto& row : rows) all.push_back(row.now.name);
  return all;
}
using Names = std::vector<std::string>;

std::size_t lines_in(const std::string& text) { return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')); }
bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("rates of top are differences of two looks over the time between them", "[top]") {
  auto top = top_of(sample(10, 1000, 100), sample(12, 2000, 300), TopSort::kConfigured);
  CHECK(top.seconds == 2);
  CHECK(*top.workers[0].cpu_percent == 50);
  CHECK(*top.workers[1].cpu_percent == 150);
  CHECK(*top.actors[0].handled_per_s == 100);
  CHECK(*top.actors[0].failed_per_s == 10);
  CHECK(*top.actors[1].handled_per_s == 0);
  CHECK(*top.workers[0].handled_per_s == 100);  // of its actors together
  CHECK_FALSE(top.workers[1].handled_per_s);
  CHECK(*top.machine_cpu_percent == 25);
}

TEST_CASE("top says nothing of rates that two looks do not give", "[top]") {
  auto before = sample(10, 1000, 100), now = sample(12, 2000, 300);
  before.workers[0].pid = 99;                      // another process
  before.actors[0].handled = 1000;                 // a counter that begins anew
  before.actors.erase(before.actors.begin() + 1);  // a new actor
  auto top = top_of(before, now, TopSort::kConfigured);
  CHECK_FALSE(top.workers[0].cpu_percent);
  CHECK(top.workers[1].cpu_percent);
  CHECK_FALSE(top.actors[0].handled_per_s);
  CHECK_FALSE(top.actors[1].handled_per_s);
  CHECK_FALSE(top_of(now, now, TopSort::kConfigured).workers[0].cpu_percent);
  auto json = top_json(top, "", Now{});
  CHECK(json["workers"][0]["cpu_percent"].is_null());
  CHECK(json["actors"][0]["handled_per_s"].is_null());
}

TEST_CASE("top sorts workers and actors by what is asked, largest first, names by the alphabet", "[top]") {
  auto sorted = [](TopSort sort) { return top_of(sample(10, 1000, 100), sample(12, 2000, 300), sort); };
  CHECK(names(sorted(TopSort::kConfigured).workers) == Names{"cpu/0", "cuda0"});
  CHECK(names(sorted(TopSort::kCpu).workers) == Names{"cuda0", "cpu/0"});
  CHECK(names(sorted(TopSort::kMemory).workers) == Names{"cpu/0", "cuda0"});
  CHECK(names(sorted(TopSort::kMemory).actors) == Names{"b", "a"});
  CHECK(names(sorted(TopSort::kRate).actors) == Names{"b", "a"});
  CHECK(names(sorted(TopSort::kQueue).actors) == Names{"a", "b"});
  CHECK(names(sorted(TopSort::kName).actors) == Names{"a", "b"});
  CHECK_FALSE(parse_top_sort("size"));
}

TEST_CASE("devices of top are those that workers have, with what NVML says of them or why it says nothing", "[top]") {
  auto now = sample(12, 2000, 300);
  auto silent = top_of(sample(10, 1000, 100), now, TopSort::kConfigured);
  REQUIRE(silent.devices.size() == 2);
  CHECK_FALSE(silent.devices[1].gpu);
  CHECK(has(render_top(silent, "no NVML on this machine", {}, 0, {}), "no NVML on this machine"));
  now.gpus = {gpu(0), gpu(1)};
  auto known = top_of(sample(10, 1000, 100), now, TopSort::kConfigured);
  CHECK(known.devices[1].gpu->index == 1);
  auto text = render_top(known, "", {}, 0, {});
  for (const char* part : {"cuda:1", "H200", "42%", "10.0GiB of 100.0GiB", "51C", "312W of 700W"}) {
    INFO(part << " in\n" << text);
    CHECK(has(text, part));
  }
  auto json = top_json(known, "", Now{});
  CHECK(json["devices"][1]["power_watts"] == 312.4);
  CHECK(json["devices"][1]["workers"] == Json({"cuda0"}));
}

TEST_CASE("a frame of top fits its window and says how many it leaves out", "[top]") {
  auto now = sample(12, 2000, 300);
  for (int i = 0; i < 100; ++i) now.actors.push_back({.name = "actor" + std::to_string(i), .worker = "cpu/0", .state = "ready"});
  for (int i = 0; i < 10; ++i) now.workers.push_back({.name = "w" + std::to_string(i), .device = "cpu", .state = "ready"});
  auto top = top_of(sample(10, 1000, 100), now, TopSort::kConfigured);
  auto height = GENERATE(std::size_t{20}, std::size_t{24}, std::size_t{40}, std::size_t{60});
  auto width = GENERATE(std::size_t{100}, std::size_t{200});
  auto text = render_top(top, "", Screen{.width = width}, height, {});
  INFO(height << " lines\n" << text);
  CHECK(lines_in(text) <= height);
  CHECK(has(text, "more actors\n"));
  auto whole = render_top(top, "", {}, 0, {});
  CHECK(has(whole, "actor99"));
  CHECK_FALSE(has(whole, "more actors"));
}

TEST_CASE("the machine's processors and memory are read from /proc", "[top]") {
  test::TempDir dir;
  std::filesystem::create_directories(dir.file("proc"));
  test::write_bytes(dir.file("proc/stat"), "cpu  100 10 50 800 40 5 5 10 7 0\ncpu0 1 2 3 4\n");
  test::write_bytes(dir.file("proc/loadavg"), "1.25 0.5 0.1 1/100 1234\n");
  test::write_bytes(dir.file("proc/meminfo"), "MemTotal:       16384 kB\nMemFree: 1 kB\nMemAvailable:    8192 kB\n");
  auto machine = look_at_machine(dir.path());
  CHECK(machine.cpu_all == 1020);
  CHECK(machine.cpu_busy == 180);
  CHECK(machine.load_1min == 1.25);
  CHECK(machine.memory_bytes == 16384u << 10);
  CHECK(machine.memory_available_bytes == 8192u << 10);
  CHECK(look_at_machine("/no/such/root").memory_bytes == 0);
  CHECK(look_at_machine().cpu_all > 0);
}
