#include "tools/bench/command_line.h"

#include <algorithm>

#include "config/units.h"

namespace tv::bench {
namespace {

constexpr Benchmark kBenchmarks[] = {
    {"handoff", "a tensor's handle to another process, and a handle back", handoff},
    {"call", "an actor calls an actor of another worker", call},
    {"throughput", "small messages one way, from one pair to 63 participants", throughput},
    {"alloc", "making and freeing objects", alloc},
    {"put", "copying tensors into the arena", put},
    {"fanout", "one tensor to many receivers, until all have dropped it", fanout},
    {"scale", "cost of an operation with up to a million objects alive", scale},
    {"fragmentation", "memory that a long mixed load leaves unusable", fragmentation},
    {"restart", "kill -9 of a worker to its restored actor's first answer", restart},
};

std::string usage() {
  std::string text =
      "usage: tv-bench NAME... [--json] [--quick | --full] [--only=TEXT]\n"
      "       tv-bench all | list\n\n"
      "Measures this build on this machine, in the same run as what the machine can do (the limit) and, where they are installed, as "
      "others\n"
      "do it (the peers). Figures of two runs are not comparable; the ratios are.\n\nBenchmarks:\n";
  for (const auto& benchmark : kBenchmarks)
    text += "  " + std::string(benchmark.name) + std::string(15 - std::string(benchmark.name).size(), ' ') + benchmark.what + "\n";
  return text +
         "\nOptions:\n"
         "  --json       a JSON object instead of a table; of several benchmarks, a list of them\n"
         "  --quick      a look whether it works: too few samples for figures\n"
         "  --full       the long form of what is measured over time\n"
         "  --only=TEXT  rows whose name contains TEXT\n"
         "  --help       this text\n\n"
         "Examples:\n"
         "  tv-bench handoff\n"
         "  tv-bench all --json > figures.json\n";
}

Parsed misuse(const std::string& what) { return {std::nullopt, kMisuse, "", "tv-bench: " + what + "\n\n" + usage()}; }

std::string list() {
  std::string text;
  for (const auto& benchmark : kBenchmarks) text += std::string(benchmark.name) + "\n";
  return text;
}

std::string unknown(const std::string& name) {
  std::vector<std::string> known{"all", "list"};
  for (const auto& benchmark : kBenchmarks) known.emplace_back(benchmark.name);
  auto near = config::nearest(name, known);
  return "no benchmark \"" + name + "\"" + (near.empty() ? "" : "; did you mean \"" + near + "\"?");
}

}  // namespace

std::span<const Benchmark> benchmarks() { return kBenchmarks; }

Parsed parse_command_line(int argc, const char* const* argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    if (word == "--help" || word == "-h") return {std::nullopt, 0, usage(), ""};
    if (word == "--json")
      options.json = true;
    else if (word == "--quick")
      options.quick = true;
    else if (word.starts_with("--only="))
      options.only = word.substr(7);
    else if (word == "--only" && i + 1 < argc)
      options.only = argv[++i];
    else if (word == "--full")
      options.full = true;
    else if (word.starts_with("-"))
      return misuse("no option \"" + word + "\"");
    else
      options.names.push_back(word);
  }
  if (options.names.empty()) return misuse("which benchmark?");
  if (options.quick && options.full) return misuse("--quick and --full exclude each other");
  if (options.names == std::vector<std::string>{"list"}) return {std::nullopt, 0, list(), ""};
  if (options.names == std::vector<std::string>{"all"}) {
    options.names.clear();
    for (const auto& benchmark : kBenchmarks) options.names.emplace_back(benchmark.name);
  }
  for (const auto& name : options.names)
    if (std::none_of(std::begin(kBenchmarks), std::end(kBenchmarks), [&](const auto& b) { return b.name == name; }))
      return misuse(unknown(name));
  return {options, 0, "", ""};
}

std::string no_such_row(const Options& options) {
  std::string text = "tv-bench: --only: no row's name contains \"" + options.only + "\"; there are\n";
  for (const auto& row : *options.rows) text += "  " + row + "\n";
  return text;
}

std::vector<const Benchmark*> chosen(const Options& options) {
  std::vector<const Benchmark*> found;
  for (const auto& name : options.names)
    for (const auto& benchmark : kBenchmarks)
      if (benchmark.name == name) found.push_back(&benchmark);
  return found;
}

}  // namespace tv::bench
