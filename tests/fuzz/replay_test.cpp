// The corpus of one target, replayed through the same function that libFuzzer calls, and some thousand mutations of it. Linked once with
// each target.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "tests/fuzz/input.h"
#include "tests/support/catch.h"

namespace {

using Bytes = std::vector<std::uint8_t>;
using Random = std::mt19937_64;

constexpr int kMutations = TV_FUZZ_MUTATIONS;
constexpr std::size_t kMaxBytes = 4096;

std::vector<Bytes> corpus() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(TV_SOURCE_DIR "/tests/fuzz/corpus/" TV_FUZZ_TARGET))
    paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<Bytes> inputs;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return inputs;
}

std::size_t below(Random& random, std::size_t limit) { return limit == 0 ? 0 : random() % limit; }

void mutate(Bytes& bytes, const Bytes& other, Random& random) {
  std::size_t at = below(random, bytes.size());
  std::size_t length = std::min<std::size_t>(1 + random() % 16, bytes.size() - at);
  auto first = bytes.begin() + static_cast<std::ptrdiff_t>(at);
  switch (random() % 6) {
    case 0:
      if (!bytes.empty()) bytes[at] ^= static_cast<std::uint8_t>(1 << random() % 8);
      break;
    case 1:
      for (std::size_t i = 0; i < length; ++i) first[static_cast<std::ptrdiff_t>(i)] = static_cast<std::uint8_t>(random());
      break;
    case 2:
      bytes.erase(first, first + static_cast<std::ptrdiff_t>(length));
      break;
    case 3:
      bytes.insert(first, other.begin(), other.begin() + static_cast<std::ptrdiff_t>(below(random, other.size())));
      break;
    case 4:
      std::fill_n(first, length, static_cast<std::uint8_t>(random() % 2 * 0xff));
      break;
    case 5:
      bytes.resize(at + 1 + random() % 64, static_cast<std::uint8_t>(random()));
      break;
  }
  if (bytes.size() > kMaxBytes) bytes.resize(kMaxBytes);
}

void run(const Bytes& input) { LLVMFuzzerTestOneInput(input.data(), input.size()); }

TEST_CASE("the corpus of target " TV_FUZZ_TARGET " and mutations of it do no harm", "[fuzz]") {
  auto inputs = corpus();
  REQUIRE_FALSE(inputs.empty());
  for (const auto& input : inputs) run(input);

  const char* given = std::getenv("TV_SEED");
  std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cerr << "TV_SEED=" << seed << std::endl;  // at once: a finding ends the process
  Random random(seed);
  for (int i = 0; i < kMutations; ++i) {
    Bytes input = inputs[below(random, inputs.size())];
    for (std::size_t n = 1 + random() % 4; n > 0; --n) mutate(input, inputs[below(random, inputs.size())], random);
    run(input);
  }
}

}  // namespace
