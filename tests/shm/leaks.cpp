// What explains an object, what does not, and who has the most.
#include "shm/leaks.h"

#include "shm/origin.h"
#include "shm/state.h"
#include "tests/support/arena_fixture.h"

using namespace tv;

namespace {

constexpr std::int64_t kNow = std::int64_t{1} << 62;  // everything is older

}  // namespace

TEST_CASE("objects that have a name or belong to an actor's state are no leaks, others are, by holder and creator", "[leaks]") {
  test::ArenaFixture f;
  auto supervisor = f.attach(0);
  auto store = f.attach(1, 3);
  REQUIRE(f.directory->add_actor("counter", "test.counter", 1));
  auto named = test::make_tensor(*store, 100);
  REQUIRE(f.directory->publish("weights", named.handle()));
  auto part = test::make_tensor(*store, 200);
  shm::State state;
  state.tensors.push_back(part);
  auto manifest = shm::put_manifest(*store, state, 0);
  REQUIRE(manifest);
  shm::commit(*f.arena, 0, manifest->handle(), 200);

  std::vector<shm::Tensor> forgotten;
  {
    shm::OriginScope origin({0, "add"});
    for (int i = 0; i < 5; ++i) forgotten.push_back(test::make_tensor(*store, 1000));
  }
  auto unsealed = store->create(test::bytes_spec(10));
  REQUIRE(unsealed);

  auto report = shm::find_leaks(*supervisor, kNow);
  REQUIRE(report.groups.size() == 1);
  const auto& group = report.groups[0];
  CHECK(group.objects == 5);
  CHECK(group.bytes == 5000);
  CHECK(group.holders == bit(1));
  CHECK(group.creator == 1);
  CHECK(group.incarnation == 3);
  CHECK(group.creator_actor == 0);
  CHECK(group.label == "add");
  CHECK(group.oldest == forgotten[0].handle());
  CHECK(report.objects == 5);
  CHECK(report.bytes == 5000);
  CHECK(shm::find_leaks(*supervisor, forgotten[0].offset() > 0 ? 1 : 0).objects == 0);  // nothing is that old

  auto explained = [&](const shm::Explain& explain) {
    for (const auto& tensor : forgotten) explain(tensor.handle(), "dead letter");
  };
  CHECK(shm::find_leaks(*supervisor, kNow, explained).objects == 0);
}

TEST_CASE("the largest objects come largest first", "[leaks]") {
  test::ArenaFixture f;
  auto store = f.attach(1);
  std::vector<shm::Tensor> tensors;
  for (int size : {300, 100, 900, 500, 700}) tensors.push_back(test::make_tensor(*store, size));
  auto largest = shm::largest_objects(*f.arena, 3);
  REQUIRE(largest.size() == 3);
  CHECK(largest[0].bytes == 900);
  CHECK(largest[1].bytes == 700);
  CHECK(largest[2].bytes == 500);
  CHECK(shm::largest_objects(*f.arena, 0).empty());
}

TEST_CASE("an object is found by any byte of its memory and by its header", "[leaks]") {
  test::ArenaFixture f;
  auto store = f.attach(1);
  auto tensor = test::make_tensor(*store, 1000);
  auto other = test::make_tensor(*store, 1000);
  CHECK(shm::find_object_at(*f.arena, tensor.offset())->handle == tensor.handle());
  CHECK(shm::find_object_at(*f.arena, tensor.offset() + 999)->handle == tensor.handle());
  CHECK(shm::find_object_at(*f.arena, other.offset() + 1)->handle == other.handle());
  auto header = f.arena->offset_of(&f.arena->object_header(tensor.handle().index()));
  CHECK(shm::find_object_at(*f.arena, header + 5)->handle == tensor.handle());
  CHECK_FALSE(shm::find_object_at(*f.arena, f.arena->geometry().ring_data_at));
}
