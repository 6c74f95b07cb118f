#include "supervisor/bell.h"

#include "shm/doorbell.h"
#include "tests/support/arena_fixture.h"

using namespace tv;
using supervisor::Bell;
using supervisor::EventLoop;

namespace {

void ring(const shm::Arena& arena) {
  auto& word = arena.header().supervisor_bell;
  word.fetch_add(1, std::memory_order_seq_cst);
  shm::futex_wake(word, 1);
}

struct Fixture : test::ArenaFixture {
  std::unique_ptr<EventLoop> loop = *EventLoop::create();
  std::unique_ptr<Bell> bell = *Bell::create(*loop, arena);
  bool late = false;
  supervisor::Source patience = loop->after(20s, [this] {
    late = true;
    loop->quit();
  });
};

}  // namespace

TEST_CASE("who rings the supervisor's bell is looked at on the loop's thread, by all who wanted to", "[bell]") {
  Fixture f;
  auto here = std::this_thread::get_id();
  int first = 0, second = 0;
  f.bell->on_bell([&] { ++first; });
  f.bell->on_bell([&] {
    ++second;
    CHECK(std::this_thread::get_id() == here);
    if (second < 3)
      ring(*f.arena);
    else
      f.loop->quit();
  });
  ring(*f.arena);
  REQUIRE(f.loop->run());
  CHECK_FALSE(f.late);
  CHECK(first == 3);
  CHECK(second == 3);
}

TEST_CASE("a bell ends at once, rung or not, and nobody is called afterwards", "[bell]") {
  Fixture f;
  int looks = 0;
  f.bell->on_bell([&] { ++looks; });
  ring(*f.arena);
  f.bell.reset();
  f.loop->post([&] { f.loop->quit(); });
  REQUIRE(f.loop->run());
  CHECK(looks == 0);
}
