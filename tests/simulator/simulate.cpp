// simulate: runs the supervisor's decisions through so many random worlds (world.h).
//
//     simulate [--seeds N] [--seed S] [--trace]
//
// --seeds N  worlds S, S + 1, ... (300)    --seed S  the first one (1, or with --seeds alone 1)    --trace  tells what happens in them
// A violation is told with its seed and with the shortest trace that was found: that of the fewest faults. Exit status 1 then.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "tests/simulator/world.h"

namespace {

using tv::simulator::Outcome;
using tv::simulator::World;

constexpr int kAll = std::numeric_limits<int>::max();

void print(const Outcome& outcome) {
  for (const auto& line : outcome.trace) std::printf("  %s\n", line.c_str());
}

// The same world with ever fewer faults, as long as something goes wrong.
void tell(std::uint64_t seed, const Outcome& first) {
  Outcome shortest = first;
  for (int faults = 0; faults < first.faults; ++faults) {
    auto fewer = World(seed, faults).run();
    if (fewer.violation.empty()) continue;
    shortest = std::move(fewer);
    break;
  }
  std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), shortest.violation.c_str());
  print(shortest);
  std::printf("again: simulate --seed %llu --seeds 1 --trace\n", static_cast<unsigned long long>(seed));
}

void add(Outcome& all, const Outcome& one) {
  all.steps += one.steps;
  all.faults += one.faults;
  all.restarts += one.restarts;
  all.failures += one.failures;
  all.hangs += one.hangs;
  all.moves += one.moves;
  all.chores += one.chores;
  all.messages += one.messages;
  all.generations += one.generations;
}

std::uint64_t number(const char* text) {
  char* end = nullptr;
  auto n = std::strtoull(text, &end, 10);
  if (*text == '\0' || *end != '\0') {
    std::fprintf(stderr, "simulate: \"%s\" is no number\n", text);
    std::exit(2);
  }
  return n;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t first = 1, count = 300;
  bool trace = false;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--trace")) {
      trace = true;
    } else if (i + 1 < argc && !std::strcmp(argv[i], "--seed")) {
      first = number(argv[++i]);
    } else if (i + 1 < argc && !std::strcmp(argv[i], "--seeds")) {
      count = number(argv[++i]);
    } else {
      std::fprintf(stderr, "usage: simulate [--seeds N] [--seed S] [--trace]\n");
      return 2;
    }
  }
  Outcome all;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    auto outcome = World(seed, kAll).run();
    if (!outcome.violation.empty()) {
      tell(seed, outcome);
      return 1;
    }
    if (trace) print(outcome);
    add(all, outcome);
  }
  auto n = [](auto number) { return static_cast<unsigned long long>(number); };
  std::printf(
      "seeds %llu..%llu: %llu events, %llu faults and orders, %llu restarts, %llu failures, %llu hangs, %llu moves, %llu chores, %llu "
      "messages, "
      "%llu generations on disk, 0 violations\n",
      n(first), n(first + count - 1), n(all.steps), n(all.faults), n(all.restarts), n(all.failures), n(all.hangs), n(all.moves),
      n(all.chores), n(all.messages), n(all.generations));
  return 0;
}
