#include "worker/progress.h"

#include <capnp/message.h>

#include <map>
#include <tuple>

#include "tests/support/arena_fixture.h"
#include "worker/request_hash.h"

using namespace tv;
using namespace tv::worker;

namespace {

constexpr Progress::Home kHome{77, 1};
using Place = ipc::MessagePlace;

struct FakeRings : RingCursorView {
  using Ring = std::tuple<ParticipantId, ParticipantId, shm::Lane>;
  shm::RingPosition head(ParticipantId from, ParticipantId to, shm::Lane lane) const override { return at(heads, {from, to, lane}); }
  shm::RingPosition tail(ParticipantId from, ParticipantId to, shm::Lane lane) const override { return at(tails, {from, to, lane}); }
  static shm::RingPosition at(const std::map<Ring, shm::RingPosition>& ends, const Ring& ring) {
    auto found = ends.find(ring);
    return found == ends.end() ? 0 : found->second;
  }
  std::map<Ring, shm::RingPosition> heads, tails;
};

constexpr auto kMail = shm::Lane::kMail;
constexpr auto kPriority = shm::Lane::kPriority;

GivenAnswer answer(Place place, std::size_t bytes = 8) { return {place, std::nullopt, 0, false, std::vector<std::byte>(bytes), {}}; }

// Made by actor 5 of participant 2 while it handled what participant 3 had sent it and ended at 300.
constexpr ipc::CallIdentity kCall{2, 5, {3, kMail, 300}, 1};
GivenAnswer repeatable(Place place) {
  auto given = answer(place);
  given.call = kCall;
  given.request_hash = 42;
  return given;
}

Progress round_trip(const Progress& progress) {
  auto written = progress.write();
  auto read = Progress::read(kHome, written.bytes, written.kept);
  if (!read) FAIL(read.error().message);
  if (!*read) FAIL("of another home");
  return **std::move(read);
}

std::uint64_t hash_of(const std::string& method, const std::function<void(wire::Value::Builder)>& fill) {
  capnp::MallocMessageBuilder message;
  auto value = message.initRoot<wire::Value>();
  fill(value);
  return request_hash(method, value.asReader());
}

}  // namespace

TEST_CASE("mail up to what has been noted is included, by ring and not beyond", "[progress]") {
  Progress progress(kHome);
  progress.note(answer({2, kMail, 96}));
  CHECK(progress.includes({2, kMail, 48}));
  CHECK(progress.includes({2, kMail, 96}));
  CHECK_FALSE(progress.includes({2, kMail, 104}));
  CHECK_FALSE(progress.includes({2, kPriority, 96}));
  CHECK_FALSE(progress.includes({3, kMail, 96}));
}

TEST_CASE("what is noted counts as committed after the commit only", "[progress]") {
  Progress progress(kHome);
  auto noted = progress.note(answer({2, kMail, 96}, 100));
  CHECK_FALSE(progress.is_committed(*noted));
  CHECK(progress.uncommitted_bytes() == 100);
  progress.committed();
  CHECK(progress.is_committed(*noted));
  CHECK(progress.uncommitted_bytes() == 0);
}

TEST_CASE("what is read is what was written, and that is committed", "[progress]") {
  Progress progress(kHome);
  progress.note(answer({2, kMail, 96}));
  progress.note(repeatable({2, kPriority, 48}));
  auto read = round_trip(progress);
  CHECK(read.includes({2, kMail, 96}));
  REQUIRE(read.answer_to(Place{2, kMail, 96}));
  auto repeated = read.answer_to(kCall);
  REQUIRE(repeated);
  CHECK(repeated->request_hash == 42);
  CHECK(repeated->place == Place{2, kPriority, 48});
  CHECK(repeated->envelope == std::vector<std::byte>(8));
  CHECK(read.is_committed(*repeated));
}

TEST_CASE("what a method had called when it committed in its middle is known until its message is dealt with", "[progress]") {
  Progress progress(kHome);
  progress.note_calls({2, kMail, 96}, 3);
  auto read = round_trip(progress);
  CHECK(read.calls_made({2, kMail, 96}) == 3);
  CHECK(read.calls_made({2, kMail, 192}) == 0);
  read.note(answer({2, kMail, 96}));
  CHECK(round_trip(read).calls_made({2, kMail, 96}) == 0);
}

TEST_CASE("the progress of another arena or participant is not believed", "[progress]") {
  Progress progress(kHome);
  progress.note(answer({2, kMail, 96}));
  auto written = progress.write();
  for (const auto& home : {Progress::Home{78, 1}, Progress::Home{77, 2}}) {
    auto read = Progress::read(home, written.bytes, {});
    REQUIRE(read.ok());
    CHECK_FALSE(read->has_value());
  }
}

TEST_CASE("nonsense is no progress", "[progress]") {
  Progress progress(kHome);
  progress.note(repeatable({2, kMail, 96}));
  auto bytes = progress.write().bytes;
  CHECK(Progress::read(kHome, std::span(bytes).first(bytes.size() - 8), {}).error().code == Errc::kCorrupt);
  CHECK(Progress::read(kHome, std::vector<std::byte>(64, std::byte{0xff}), {}).error().code == Errc::kCorrupt);
  std::vector<shm::Hold> too_many(1);
  CHECK(Progress::read(kHome, bytes, too_many).error().code == Errc::kCorrupt);
}

TEST_CASE("an answer is kept until its request has been dealt with", "[progress]") {
  Progress progress(kHome);
  FakeRings rings;
  progress.note(answer({2, kMail, 96}));
  progress.prune(rings);
  CHECK(progress.answer_to(Place{2, kMail, 96}));
  rings.heads[{2, 1, kMail}] = 96;
  progress.prune(rings);
  CHECK_FALSE(progress.answer_to(Place{2, kMail, 96}));
  CHECK(progress.includes({2, kMail, 96}));
  CHECK(progress.kept_bytes() == 0);
}

TEST_CASE("an answer to a call that may be repeated is kept until its caller is done and no copy can be on its way", "[progress]") {
  Progress progress(kHome);
  FakeRings rings;
  progress.note(repeatable({2, kMail, 96}));
  rings.heads[{2, 1, kMail}] = 96;
  rings.tails[{2, 1, kMail}] = 96;
  progress.prune(rings);
  REQUIRE(progress.answer_to(kCall));

  rings.heads[{3, 2, kMail}] = 300;    // the caller has dealt with its message,
  rings.tails[{2, 1, kMail}] = 192;    // and has sent more since, by either lane
  rings.tails[{2, 1, kPriority}] = 48;
  progress.prune(rings);
  REQUIRE(progress.answer_to(kCall));
  rings.tails[{2, 1, kMail}] = 1000;  // what comes later does not matter
  rings.heads[{2, 1, kMail}] = 192;
  progress.prune(rings);
  REQUIRE(progress.answer_to(kCall));
  rings.heads[{2, 1, kPriority}] = 48;
  progress.prune(rings);
  CHECK_FALSE(progress.answer_to(kCall));
  CHECK(progress.kept() == 0);
}

TEST_CASE("there is a bound on what is kept, by count and by bytes", "[progress]") {
  Progress many(kHome);
  for (std::uint64_t i = 1; i < limits::kMaxKeptAnswers; ++i) many.note(answer({2, kMail, i * 8}, 0));
  CHECK_FALSE(many.full());
  many.note(answer({3, kMail, 8}, 0));
  CHECK(many.full());
  Progress large(kHome);
  large.note(answer({2, kMail, 8}, limits::kMaxKeptAnswerBytes));
  CHECK(large.full());
}

TEST_CASE("a call's hash tells methods and arguments apart, and not one tensor from another", "[progress]") {
  auto one = hash_of("add", [](auto v) { v.setInt(1); });
  CHECK(one == hash_of("add", [](auto v) { v.setInt(1); }));
  CHECK(one != hash_of("add", [](auto v) { v.setInt(2); }));
  CHECK(one != hash_of("sub", [](auto v) { v.setInt(1); }));
  CHECK(one != hash_of("add", [](auto v) { v.setFloat(1); }));
  CHECK(hash_of("add", [](auto v) { v.setText("12345678"); }) != hash_of("add", [](auto v) { v.setText("123456789"); }));
  CHECK(hash_of("add", [](auto v) { v.setTensor(1); }) == hash_of("add", [](auto v) { v.setTensor(2); }));
  auto map = [](const char* key) {
    return [key](wire::Value::Builder v) {
      auto entry = v.initMap(1)[0];
      entry.setKey(key);
      entry.initValue().initList(1)[0].setBool(true);
    };
  };
  CHECK(hash_of("add", map("a")) == hash_of("add", map("a")));
  CHECK(hash_of("add", map("a")) != hash_of("add", map("b")));
}
