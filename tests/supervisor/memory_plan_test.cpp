#include "supervisor/memory_plan.h"

#include "tests/support/catch.h"

using namespace tv::supervisor;

namespace {

// '.' free without memory, 'w' free with memory, 'i' the same and idle for long, 'x' leased.
std::vector<BlockLook> blocks(const std::string& text) {
  std::vector<BlockLook> looks;
  for (char c : text) looks.push_back({c != 'x', c == 'w' || c == 'i' || c == 'x', static_cast<std::uint8_t>(c == 'i' ? 10 : 0)});
  return looks;
}
MemoryPlan plan(const std::string& text, std::uint32_t watermark, std::size_t most = 100) {
  return plan_memory(blocks(text), watermark, 10, most);
}
using List = std::vector<std::uint32_t>;

}  // namespace

TEST_CASE("half of the watermark is kept ready at each end of the free blocks") {
  CHECK(plan("..........", 4).warm == List{0, 1, 8, 9});
  CHECK(plan("xx...x...x", 4).warm == List{2, 3, 7, 8});
  CHECK(plan("..........", 3).warm == List{0, 1, 9});
  CHECK(plan("w........w", 4).warm == List{1, 8});
  CHECK(plan("..........", 0).warm.empty());
  CHECK(plan("xxxxxxxxxx", 4).warm.empty());
}

TEST_CASE("a watermark beyond what is free keeps all of it ready") {
  CHECK(plan("x.x.", 8).warm == List{1, 3});
  CHECK(plan("iiii", 8).cool.empty());
}

TEST_CASE("memory beyond the watermark is given back once it has been idle for long") {
  CHECK(plan("ww.i.w.iww", 4).cool == List{3, 7});
  CHECK(plan("iiiiiiiiii", 0).cool.size() == 10);
  CHECK(plan("wwwwwwwwww", 4).cool.empty());
}

TEST_CASE("there is more to come while blocks wait for their time or were left out, and not otherwise") {
  CHECK(plan("ww..w...ww", 4).pending);
  CHECK_FALSE(plan("ww......ww", 4).pending);
  CHECK_FALSE(plan("..........", 4).pending);
  auto part = plan("..........", 8, 3);
  CHECK(part.warm == List{0, 1, 2});
  CHECK(part.pending);
}
