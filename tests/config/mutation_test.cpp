#include <random>

#include "config/fd.h"
#include "tests/config/loading.h"

using namespace tv;
using namespace tv::config;

namespace {

using Random = std::mt19937_64;

std::size_t below(Random& random, std::size_t limit) { return limit == 0 ? 0 : random() % limit; }

// Pieces that TOML gives a meaning: found far more often than a random byte would.
const std::string& piece(Random& random) {
  static const std::vector<std::string> kPieces = {"[",
                                                   "]",
                                                   "[[",
                                                   "]]",
                                                   "{",
                                                   "}",
                                                   "\"",
                                                   "'",
                                                   "\"\"\"",
                                                   "'''",
                                                   "\\",
                                                   "\\u0000",
                                                   "#",
                                                   "=",
                                                   ".",
                                                   ",",
                                                   "\n",
                                                   "\r",
                                                   "-",
                                                   "+",
                                                   "nan",
                                                   "inf",
                                                   "1e999",
                                                   "0x",
                                                   "9223372036854775808",
                                                   "1979-05-27T07:32:00Z",
                                                   "true",
                                                   "\xff",
                                                   "\xef\xbb\xbf",
                                                   "[[worker]]\n",
                                                   "name = \"a\"\n"};
  return kPieces[below(random, kPieces.size())];
}

void mutate(std::string& text, Random& random) {
  auto at = below(random, text.size());
  auto length = below(random, 80);
  switch (random() % 6) {
    case 0:
      if (!text.empty()) text[at] = static_cast<char>(text[at] ^ (1 << (random() % 8)));
      break;
    case 1:
      if (random() % 8 == 0) text.resize(at);
      break;
    case 2:
      text.insert(below(random, text.size()), text.substr(at, length));
      break;
    case 3:
      text.erase(at, length);
      break;
    case 4:
      text.insert(at, piece(random));
      break;
    case 5:
      if (!text.empty()) text[at] = static_cast<char>(random());
      break;
  }
}

}  // namespace

TEST_CASE("whatever happens to a file it is loaded or has problems") {
  auto seed = std::random_device{}();
  CAPTURE(seed);
  Random random(seed);
  const auto original = read_file(std::string(TV_SOURCE_DIR) + "/config/reference.toml", limits::kMaxConfigBytes).value();
  // Comments take most of the file and most of the mutations: leave them out of every other run.
  std::string bare;
  for (std::size_t at = 0; at < original.size();) {
    auto end = std::min(original.find('\n', at), original.size() - 1) + 1;
    if (original[at] != '#') bare += original.substr(at, end - at);
    at = end;
  }
  int intact = 0;
  for (int run = 0; run < 4000; ++run) {
    std::string text = run % 2 == 0 ? original : bare;
    for (auto n = 1 + below(random, 6); n > 0; --n) mutate(text, random);
    CAPTURE(run, text);
    Loaded loaded;
    REQUIRE_NOTHROW(loaded = load(text));
    REQUIRE(loaded.problems.size() <= limits::kMaxConfigErrors);
    for (const auto& problem : loaded.problems) {
      REQUIRE_FALSE(problem.message.empty());
      REQUIRE(to_string(problem).size() < 2000);
    }
    if (!loaded.ok()) continue;
    ++intact;
    REQUIRE_FALSE(loaded.config.workers.empty());
  }
  // Otherwise the mutations were too wild to say anything.
  CHECK(intact > 100);
  CHECK(intact < 3900);
}

TEST_CASE("random bytes are met with a problem") {
  auto seed = std::random_device{}();
  CAPTURE(seed);
  Random random(seed);
  for (int run = 0; run < 500; ++run) {
    std::string text(1 + below(random, 300), ' ');
    for (char& c : text) c = static_cast<char>(random());
    REQUIRE_FALSE(load(text).ok());
  }
}
