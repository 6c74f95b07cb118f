#include "shm/ring.h"

#include <cstring>
#include <random>
#include <thread>

#include "shm/at_hand.h"
#include "shm/doorbell.h"
#include "tests/support/arena_fixture.h"

using namespace tv;
using namespace tv::shm;

namespace {

void send(RingWriter& writer, std::uint64_t value, std::size_t words, std::span<const Handle> handles = {}) {
  auto room = writer.reserve(words * 8, handles.size(), Deadline::in(10s));
  if (!room) FAIL(room.error().message);
  for (std::size_t w = 0; w < words; ++w) std::memcpy(room->data() + w * 8, &value, 8);
  writer.commit(words * 8, handles);
}

// The record's value, after a check that every word of it is the same.
std::uint64_t value_of(const Record& record) {
  std::uint64_t first = 0;
  REQUIRE(record.payload.size() >= 8);
  std::memcpy(&first, record.payload.data(), 8);
  for (std::size_t i = 0; i < record.payload.size(); i += 8) REQUIRE(std::memcmp(record.payload.data() + i, &first, 8) == 0);
  return first;
}

Record take(RingReader& reader) {
  auto record = reader.next();
  REQUIRE(record.ok());
  REQUIRE(record->has_value());
  return **record;
}

bool is_empty(RingReader& reader) {
  auto record = reader.next();
  REQUIRE(record.ok());
  return !record->has_value();
}

}  // namespace

TEST_CASE("records of every size come out in order, across the ring's end", "[shm]") {
  test::ArenaFixture fixture(16 * test::kMiB, 16 << 10);
  auto writer = *RingWriter::open(fixture.arena, 1, 2);
  RingReader reader(fixture.arena, 1, 2);
  std::mt19937 random(7);
  for (std::uint64_t i = 0; i < 20000; ++i) {
    std::vector<Handle> handles(random() % 3, Handle::make(static_cast<std::uint32_t>(i % 1000), 1));
    send(writer, i, 1 + random() % 300, handles);
    Record record = take(reader);
    REQUIRE(value_of(record) == i);
    REQUIRE(record.handles.size() == handles.size());
    for (auto bits : record.handles) REQUIRE(Handle::from_bits(bits) == handles[0]);
    REQUIRE(reader.done(record.end) == !handles.empty());
  }
  REQUIRE(is_empty(reader));
}

TEST_CASE("a reader that lingers finds what is there and what comes meanwhile, and gives up when nothing comes", "[shm]") {
  test::ArenaFixture fixture(16 * test::kMiB, 16 << 10);
  auto writer = *RingWriter::open(fixture.arena, 1, 2);
  RingReader reader(fixture.arena, 1, 2);
  CHECK_FALSE(reader.linger());
  CHECK_FALSE(reader.linger(true));
  send(writer, 1, 1);
  send(writer, 2, 1);
  CHECK(reader.linger());
  CHECK(reader.linger(true));
  CHECK(value_of(take(reader)) == 1);
  CHECK(reader.linger(true));  // read ahead of what has been looked at already
  CHECK(value_of(take(reader)) == 2);
  CHECK_FALSE(reader.linger());
}

TEST_CASE("the largest record fits wherever the cursor stands, and a larger one is refused with the limit", "[shm]") {
  test::ArenaFixture fixture(16 * test::kMiB, 16 << 10);
  auto writer = *RingWriter::open(fixture.arena, 1, 2);
  RingReader reader(fixture.arena, 1, 2);
  for (std::size_t words = 1; words < 100; ++words) {
    send(writer, words, words);
    reader.done(take(reader).end);
    send(writer, words, writer.max_payload() / 8);
    reader.done(take(reader).end);
  }
  auto refused = writer.reserve(writer.max_payload() + 8, 0, Deadline::in(1s));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Errc::kLimit);
  CHECK(writer.reserve(8, limits::kMaxHandlesPerMessage + 1, Deadline::in(1s)).error().code == Errc::kLimit);
}

TEST_CASE("a full ring refuses at once when asked so, and when the deadline comes otherwise", "[shm]") {
  test::ArenaFixture fixture(16 * test::kMiB, 16 << 10);
  auto writer = *RingWriter::open(fixture.arena, 1, 2);
  RingReader reader(fixture.arena, 1, 2);
  while (writer.reserve(1000, 0, Deadline::at(0)).ok()) writer.commit(1000, {});
  CHECK(writer.reserve(1000, 0, Deadline::at(0)).error().code == Errc::kOverloaded);
  CHECK(writer.reserve(1000, 0, Deadline::in(1ms)).error().code == Errc::kDeadlineExceeded);
  reader.done(take(reader).end);
  CHECK(writer.reserve(1000, 0, Deadline::at(0)).ok());
}

TEST_CASE("mail that was not dealt with is handed out again to the next reader", "[shm]") {
  test::ArenaFixture fixture;
  auto writer = *RingWriter::open(fixture.arena, 1, 2);
  for (std::uint64_t i = 0; i < 5; ++i) send(writer, i, 4);
  {
    RingReader reader(fixture.arena, 1, 2);
    reader.done(take(reader).end);
    Record second = take(reader);
    Record third = take(reader);
    CHECK(value_of(third) == 2);
    reader.done(third.end);  // out of order: the cursor stays before the second
    CHECK(reader.pending() == 2);
    CHECK(value_of(second) == 1);
  }
  RingReader next(fixture.arena, 1, 2);
  for (std::uint64_t i = 1; i < 5; ++i) CHECK(value_of(take(next)) == i);
  CHECK(is_empty(next));
}

TEST_CASE("a writer goes on where its predecessor stopped, and what that one had not committed never was", "[shm]") {
  test::ArenaFixture fixture;
  {
    auto writer = *RingWriter::open(fixture.arena, 1, 2);
    send(writer, 1, 4);
    REQUIRE(writer.reserve(64, 0, Deadline::in(1s)).ok());
  }
  auto writer = *RingWriter::open(fixture.arena, 1, 2);
  send(writer, 2, 4);
  RingReader reader(fixture.arena, 1, 2);
  CHECK(value_of(take(reader)) == 1);
  CHECK(value_of(take(reader)) == 2);
  CHECK(is_empty(reader));
}

TEST_CASE("a hostile writer's ring is skipped with an error, whatever it holds", "[shm]") {
  std::uint32_t seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 300; ++round) {
    test::ArenaFixture fixture(16 * test::kMiB, 16 << 10, 512);
    auto writer = *RingWriter::open(fixture.arena, 1, 2);
    for (std::uint64_t i = 0; i < 10; ++i) send(writer, i, 1 + random() % 50);
    RingCursors& cursors = fixture.arena->ring(1, 2);
    auto data = fixture.arena->ring_data(1, 2);
    std::size_t limit = round % 2 == 0 ? 1000 : data.size();
    for (int flip = 0; flip < 20; ++flip) data[random() % limit] = static_cast<std::byte>(random());
    if (round % 3 == 0) cursors.tail.store(random() >> (random() % 64));
    RingReader reader(fixture.arena, 1, 2);
    for (int records = 0; records < 5000; ++records) {
      auto record = reader.next();
      if (!record) {
        CHECK(record.error().code == Errc::kCorrupt);
        CHECK(is_empty(reader));
        break;
      }
      if (!record->has_value()) break;
      for (std::byte byte : (*record)->payload) asm volatile("" : : "r"(byte));  // every byte can be read
      reader.done((*record)->end);
    }
    unread_handles(*fixture.arena, 1, 2);
    for (RingPosition end = 0; end < 2000; end += 8) peek(*fixture.arena, 1, 2, Lane::kMail, end);
  }
}

// The writer measured its room against a cursor ahead of it, found it full and waited for ever.
TEST_CASE("a ring whose cursors were scribbled upon is an error once, and then carries mail again", "[shm]") {
  test::ArenaFixture fixture(16 * test::kMiB, 16 << 10);
  auto writer = *RingWriter::open(fixture.arena, 1, 2);
  RingReader reader(fixture.arena, 1, 2);
  send(writer, 1, 4);
  RingCursors& cursors = fixture.arena->ring(1, 2);
  for (std::uint64_t nonsense : {std::uint64_t{123'457}, std::uint64_t{1} << 60, std::uint64_t{3}}) {
    cursors.tail.store(nonsense);
    auto record = reader.next();
    REQUIRE_FALSE(record.ok());
    CHECK(record.error().code == Errc::kCorrupt);
    CHECK(is_empty(reader));
    send(writer, 2, 4);
    auto mail = take(reader);
    CHECK(value_of(mail) == 2);
    reader.done(mail.end);
  }
}

TEST_CASE("two threads exchange through a small ring and its doorbell without losing or reordering anything", "[shm]") {
  test::ArenaFixture fixture(16 * test::kMiB, 16 << 10);
  fixture.attach(1);
  fixture.attach(2);
  constexpr std::uint64_t kMessages = 20000;
  std::thread sender([&] {
    auto writer = *RingWriter::open(fixture.arena, 1, 2);
    for (std::uint64_t i = 0; i < kMessages; ++i) {
      send(writer, i, 1 + i % 100);
      ring_doorbell(*fixture.arena, 2, 1);
    }
  });
  RingReader reader(fixture.arena, 1, 2);
  std::uint64_t expected = 0;
  std::uint64_t wrong = 0;
  while (expected < kMessages) {
    auto record = reader.next();
    if (!record || !record->has_value()) {
      if (wait_doorbell(*fixture.arena, 2, Deadline::in(60s), 20us) == 0) break;
      continue;
    }
    std::uint64_t value;
    std::memcpy(&value, (*record)->payload.data(), 8);
    wrong += value != expected++;
    reader.done((*record)->end);
  }
  sender.join();
  CHECK(expected == kMessages);
  CHECK(wrong == 0);
}

TEST_CASE("a doorbell that was rung before the sleep is not missed, and an idle wait ends at its deadline", "[shm]") {
  test::ArenaFixture fixture;
  fixture.attach(1);
  ring_doorbell(*fixture.arena, 1, 5);
  ring_doorbell(*fixture.arena, 1, 7);
  CHECK(wait_doorbell(*fixture.arena, 1, Deadline::in(60s)) == (bit(5) | bit(7)));
  CHECK(wait_doorbell(*fixture.arena, 1, Deadline::in(1ms)) == 0);
}

TEST_CASE("the two lanes of a pair are rings of their own", "[shm]") {
  test::ArenaFixture fixture;
  auto mail = *RingWriter::open(fixture.arena, 1, 2);
  auto control = *RingWriter::open(fixture.arena, 1, 2, Lane::kPriority);
  RingReader mail_reader(fixture.arena, 1, 2);
  RingReader control_reader(fixture.arena, 1, 2, Lane::kPriority);
  CHECK(control.max_payload() == limits::kPriorityRingBytes / 2 - sizeof(RecordHeader));
  send(mail, 1, 4);
  CHECK(is_empty(control_reader));
  while (control.reserve(1000, 0, Deadline::at(0)).ok()) control.commit(1000, {});
  send(mail, 2, 4);
  CHECK(value_of(take(mail_reader)) == 1);
  CHECK(value_of(take(mail_reader)) == 2);
  fixture.require_consistent();
}

TEST_CASE("a record that is withdrawn before it is begun is not begun, one that has been is not withdrawn", "[shm]") {
  test::ArenaFixture fixture;
  auto writer = *RingWriter::open(fixture.arena, 1, 2);
  RingReader reader(fixture.arena, 1, 2);
  auto write = [&] {
    REQUIRE(writer.reserve(8, 0, Deadline::in(10s)).ok());
    return writer.commit(8, {});
  };
  auto first = write();
  auto second = write();
  auto third = write();
  Record one = take(reader);
  Record two = take(reader);
  CHECK(reader.begin(one));
  CHECK(reader.was_begun(one.end));
  CHECK_FALSE(reader.was_begun(two.end));
  CHECK(writer.withdraw(second) == Withdrawal::kWithdrawn);
  CHECK(writer.withdraw(first) == Withdrawal::kBegun);
  CHECK(one.withdrawn());  // for whoever runs it
  CHECK_FALSE(reader.begin(two));
  reader.done(one.end);
  reader.done(two.end);
  CHECK(writer.withdraw(first) == Withdrawal::kBegun);
  // What is passed without having been begun will never be.
  Record three = take(reader);
  reader.done(three.end);
  CHECK(writer.withdraw(third) == Withdrawal::kWithdrawn);
  CHECK(is_empty(reader));
}

TEST_CASE("what a dead reader had begun stays begun, and a withdrawal stays in the record", "[shm]") {
  test::ArenaFixture fixture;
  auto writer = *RingWriter::open(fixture.arena, 1, 2);
  REQUIRE(writer.reserve(8, 0, Deadline::in(10s)).ok());
  auto place = writer.commit(8, {});
  {
    RingReader reader(fixture.arena, 1, 2);
    REQUIRE(reader.begin(take(reader)));
  }
  CHECK(writer.withdraw(place) == Withdrawal::kBegun);
  RingReader next(fixture.arena, 1, 2);
  Record again = take(next);
  CHECK(next.was_begun(again.end));
  CHECK_FALSE(next.begin(again));
}

// What a next incarnation goes by that has to finish what its predecessor began.
TEST_CASE("a withdrawn record says that it was never begun, also when one behind it was, one that was begun never says so", "[shm]") {
  test::ArenaFixture fixture;
  auto writer = *RingWriter::open(fixture.arena, 1, 2);
  auto write = [&] {
    REQUIRE(writer.reserve(8, 0, Deadline::in(10s)).ok());
    return writer.commit(8, {});
  };
  auto begun = write(), put_aside = write(), behind = write(), unread = write();
  {
    RingReader reader(fixture.arena, 1, 2);
    REQUIRE(reader.begin(take(reader)));
    Record second = take(reader);
    CHECK(writer.withdraw(put_aside) == Withdrawal::kWithdrawn);
    CHECK(second.never_begun());
    REQUIRE(reader.begin(take(reader)));
    CHECK(writer.withdraw(put_aside) == Withdrawal::kBegun);  // asked again
    CHECK(writer.withdraw(begun) == Withdrawal::kBegun);
    CHECK_FALSE(reader.was_begun_by_predecessor(behind.end));
  }
  RingReader next(fixture.arena, 1, 2);
  Record first = take(next), second = take(next);
  CHECK(first.withdrawn());
  CHECK_FALSE(first.never_begun());
  CHECK(second.never_begun());
  CHECK(next.was_begun_by_predecessor(behind.end));
  CHECK_FALSE(next.was_begun_by_predecessor(unread.end));
}

TEST_CASE("sender and reader never both believe that a record is theirs to decide", "[shm]") {
  test::ArenaFixture fixture(16 * test::kMiB, 16 << 10);
  auto writer = *RingWriter::open(fixture.arena, 1, 2);
  constexpr std::uint64_t kRecords = 50'000;
  std::vector<char> ran(kRecords), withdrawn(kRecords);
  std::uint64_t wrong = 0;
  std::thread thread([&] {
    RingReader reader(fixture.arena, 1, 2);
    for (std::uint64_t i = 0; i < kRecords;) {
      auto record = reader.next();
      if (!record || !*record) continue;
      ran[i] = reader.begin(**record);
      wrong += ran[i++] && (*record)->never_begun();
      reader.done((*record)->end);
    }
  });
  for (std::uint64_t i = 0; i < kRecords; ++i) {
    if (!writer.reserve(8, 0, Deadline::in(60s))) std::abort();
    auto place = writer.commit(8, {});
    withdrawn[i] = writer.withdraw(place) == Withdrawal::kWithdrawn;
  }
  thread.join();
  std::uint64_t both = 0, taken_back = 0;
  for (std::uint64_t i = 0; i < kRecords; ++i) {
    both += ran[i] && withdrawn[i];
    taken_back += withdrawn[i];
  }
  CHECK(wrong == 0);
  CHECK(both == 0);  // that it is neither is possible: each has seen the other
  CHECK(taken_back > 0);
}

TEST_CASE("an onlooker finds an unread record by its place, changes nothing, and finds no other", "[shm]") {
  test::ArenaFixture fixture(16 * test::kMiB, 16 << 10);
  auto writer = *RingWriter::open(fixture.arena, 1, 2);
  RingReader reader(fixture.arena, 1, 2);
  constexpr std::uint64_t kLow = (std::uint64_t{1} << 47) - 1;
  auto look = [&](RingPosition end) { return peek(*fixture.arena, 1, 2, Lane::kMail, end & kLow); };
  CHECK_FALSE(peek(*fixture.arena, 3, 2, Lane::kMail, 8));  // no such ring yet
  // Enough to go round the ring several times.
  for (std::uint64_t i = 0; i < 2000; ++i) {
    std::vector<RingPosition> ends;
    for (std::uint64_t n = 0; n < 3; ++n) {
      auto room = writer.reserve(8 * (1 + (i + n) % 50), 0, Deadline::in(60s));
      REQUIRE(room);
      std::fill(room->begin(), room->end(), static_cast<std::byte>(i + n));
      ends.push_back(writer.commit(room->size(), {}).end);
    }
    for (std::uint64_t n = 0; n < 3; ++n) {
      auto found = look(ends[n]);
      REQUIRE(found);
      REQUIRE(found->size() == 8 * (1 + (i + n) % 50));
      REQUIRE(found->back() == static_cast<std::byte>(i + n));
    }
    REQUIRE_FALSE(look(ends[0] + 8));
    for (std::uint64_t n = 0; n < 3; ++n) {
      auto record = reader.next();
      REQUIRE((record && *record && (*record)->end == ends[n]));
      (void)reader.done((*record)->end);
      REQUIRE_FALSE(look(ends[n]));
    }
  }
}
