#include "shm/fsck.h"

#include "tests/support/arena_fixture.h"

using namespace tv;
using namespace tv::shm;
using test::make_tensor;

TEST_CASE("fsck finds each kind of damage and says where it is", "[shm]") {
  test::ArenaFixture fixture;
  auto store = fixture.attach(1);
  auto small = make_tensor(*store, 100);
  auto other = make_tensor(*store, 100);
  auto large = make_tensor(*store, 3 << 20);
  fixture.require_consistent();
  ObjectSlot& slot = fixture.arena->slot(small.handle().index());

  auto expect = [&](const std::string& part) {
    auto report = fsck(*fixture.arena);
    bool found = false;
    for (const auto& problem : report.problems) found |= problem.find(part) != std::string::npos;
    for (const auto& problem : report.problems) UNSCOPED_INFO(problem);
    INFO("expected: " << part);
    CHECK(found);
  };

  SECTION("a holder that is not attached") {
    slot.holders.fetch_or(bit(9));
    expect("held by participant 9, which is not attached");
    slot.holders.fetch_and(~bit(9));
  }
  SECTION("an object without holders that nobody frees") {
    auto holders = slot.holders.exchange(0);
    expect("held by nobody");
    slot.holders.store(holders);
  }
  SECTION("a free slot with holders") {
    auto tag = slot.tag.exchange(make_tag(small.handle().generation(), SlotState::kFree));
    expect("is free and has holders");
    slot.tag.store(tag);
  }
  SECTION("two objects in one place") {
    auto offset = slot.offset;
    slot.offset = fixture.arena->slot(other.handle().index()).offset;
    expect("shares its place");
    slot.offset = offset;
  }
  SECTION("an object outside the blocks") {
    auto offset = slot.offset;
    slot.offset = 64;
    expect("lies where no object can lie");
    slot.offset = offset;
  }
  SECTION("a block of a participant that is not attached") {
    auto& word = fixture.arena->block_word(fixture.arena->geometry().blocks - 1);
    BlockWord before = word.exchange({30, BlockKind::kCells, 0, 1, {}});
    expect("belongs to participant 29, which is not attached");
    word.store(before);
  }
  SECTION("a tensor of several blocks of which one is gone") {
    auto first = static_cast<std::uint32_t>((fixture.arena->slot(large.handle().index()).offset - fixture.arena->geometry().blocks_at) /
                                            limits::kBlockBytes);
    BlockWord second = fixture.arena->block_word(first + 1).exchange({});
    expect("lies where no object can lie");
    fixture.arena->block_word(first + 1).store(second);
  }
  SECTION("a mark that the owner would never find") {
    auto holders = slot.holders.exchange(0);
    std::uint32_t i = small.handle().index() % limits::kSlotsPerChunk;
    Word& word = fixture.arena->chunk(small.handle().index() / limits::kSlotsPerChunk).freed[i / 64];
    word.fetch_or(std::uint64_t{1} << (i % 64));
    expect("held by nobody");
    word.store(0);
    slot.holders.store(holders);
  }
  SECTION("priority ring cursors that cannot be") {
    RingCursors& ring = fixture.arena->ring(1, 2, Lane::kPriority);
    ring.made.store(1);
    ring.tail.store(limits::kPriorityRingBytes + 8);
    expect("priority ring from 1 to 2");
    ring.head.store(ring.tail.load());
  }
  SECTION("more begun than was ever sent") {
    RingCursors& ring = fixture.arena->ring(1, 2);
    ring.made.store(1);
    ring.begun.store(8);
    expect("ring from 1 to 2");
    ring.begun.store(0);
  }
  SECTION("ring cursors that cannot be") {
    RingCursors& ring = fixture.arena->ring(1, 2);
    ring.made.store(1);
    ring.tail.store(8);
    ring.head.store(16);
    expect("ring from 1 to 2");
    ring.head.store(8);
  }
  fixture.require_consistent();
}

TEST_CASE("lists and figures say what is in the arena and whose it is", "[shm]") {
  test::ArenaFixture fixture;
  auto one = fixture.attach(1);
  auto two = fixture.attach(2);
  auto tensor = make_tensor(*one, 100);
  auto again = *two->get(tensor.handle());
  auto objects = list_objects(*fixture.arena, 10);
  REQUIRE(objects.size() == 1);
  CHECK(objects[0].handle == tensor.handle());
  CHECK(objects[0].holders == (bit(1) | bit(2)));
  CHECK(objects[0].creator == 1);
  CHECK(objects[0].bytes == 100);
  CHECK(objects[0].state == SlotState::kSealed);
  auto use = use_by_participant(*fixture.arena);
  CHECK(use[1].objects_held == 1);
  CHECK(use[2].objects_held == 1);
  CHECK(use[1].blocks_leased == 1);
  CHECK(use[2].blocks_leased == 0);
}
