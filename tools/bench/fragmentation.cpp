// What a long, mixed load leaves unusable: a million allocations by several participants.
#include <set>

#include "tools/bench/benchmarks.h"
#include "tools/bench/local.h"
#include "tools/bench/mixed_load.h"

namespace tv::bench {
namespace {

constexpr std::uint64_t kSeed = 20240229;
constexpr std::uint32_t kParticipants = 4;
constexpr double kSteady = 0.60, kNearlyFull = 0.85;
constexpr const char* kUnusableSteady = "fragmentation/60%-live/unusable";
constexpr const char* kUnusableFull = "fragmentation/85%-live/unusable";
constexpr const char* kRefusedSteady = "fragmentation/60%-live/refused";
constexpr const char* kRefusedFull = "fragmentation/85%-live/refused";
constexpr const char* kFirstRefused = "fragmentation/85%-live/first-refused-at";

}  // namespace

Report fragmentation(const Options& options) {
  std::uint64_t arena = options.quick ? 512 * kMiB : 2048 * kMiB;
  std::uint64_t largest = options.quick ? 16 * kMiB : 64 * kMiB;
  std::uint64_t steps = options.quick ? 5000 : 1'000'000;
  std::uint64_t look_each = steps / 500;

  Report report{"fragmentation", ""};
  std::set<std::string> wanted;  // one load gives them all
  for (const char* name : {kUnusableSteady, kUnusableFull, kRefusedSteady, kRefusedFull, kFirstRefused})
    if (options.wants(name)) wanted.insert(name);
  if (wanted.empty()) return report;

  auto figures = in_a_process("fragmentation", [&](std::vector<double>& out) {
    MixedLoad load(arena, largest, kParticipants, kSeed);
    load.aim_at(kSteady);
    std::vector<double> steady;
    std::uint64_t failed_steady = 0;
    for (std::uint64_t i = 0; i < steps; ++i) {
      if (!load.step()) ++failed_steady;
      if (i >= steps / 5 && i % look_each == 0) steady.push_back(load.unusable_percent());
    }
    load.aim_at(kNearlyFull);
    std::uint64_t failed = 0, more = steps / 10;
    double live_at_first = 100;
    std::vector<double> full;
    for (std::uint64_t i = 0; i < more; ++i) {
      if (!load.step() && failed++ == 0) live_at_first = 100 * load.live();
      if (i >= more / 5 && i % look_each == 0) full.push_back(load.unusable_percent());
    }
    auto a = summarize(steady), b = summarize(full);
    out = {a.p50,
           a.p99,
           static_cast<double>(a.samples),
           b.p50,
           b.p99,
           static_cast<double>(b.samples),
           100.0 * static_cast<double>(failed_steady) / static_cast<double>(steps),
           100.0 * static_cast<double>(failed) / static_cast<double>(more),
           live_at_first};
  });

  report.notes.push_back("seed " + std::to_string(kSeed) + ", " + std::to_string(kParticipants) + " participants, " +
                         std::to_string(steps) + " allocations of 64 B to " + std::to_string(largest / kMiB) + " MiB in an arena of " +
                         std::to_string(arena / kMiB) + " MiB");
  report.notes.push_back("unusable: (leased blocks - live payload) / leased blocks, without those kept for the next tensor, which go back when asked for; live: payload / arena; refused: of all allocations");
  report.notes.push_back("first-refused-at is 100 when none was refused");
  auto add = [&](const char* name, std::size_t i, std::size_t samples, bool more_is_better = false) {
    if (wanted.contains(name)) report.rows.push_back({name, "%", more_is_better, {figures[i], figures[samples == 1 ? i : i + 1], samples}});
  };
  add(kUnusableSteady, 0, static_cast<std::size_t>(figures[2]));
  add(kUnusableFull, 3, static_cast<std::size_t>(figures[5]));
  add(kRefusedSteady, 6, 1);
  add(kRefusedFull, 7, 1);
  add(kFirstRefused, 8, 1, true);
  return report;
}

}  // namespace tv::bench
