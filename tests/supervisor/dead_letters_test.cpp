#include "tests/supervisor/dead_letter_fixture.h"

using namespace tv;
using namespace tv::test;
using supervisor::DeadLetters;

TEST_CASE("a dead letter holds its message and the tensors in it until it is removed", "[dead_letters]") {
  DeadLetterFixture f;
  DeadLetters letters(f.own);
  shm::Handle envelope, tensor;
  {
    auto in_it = make_tensor(*f.worker, 100, 7);
    auto words = f.envelope(5, in_it.handle());
    envelope = words.handle();
    tensor = in_it.handle();
    auto taken = f.take(letters, {envelope, {tensor}});
    REQUIRE(taken);
    CHECK(taken->fresh);
    CHECK(taken->letter->id == 1);
  }
  auto found = letters.find(1);
  REQUIRE(found);
  const auto& letter = **found;
  CHECK(letter.actor == 0);
  CHECK(letter.method == "train");
  CHECK(letter.from_name == "a?client");  // for tables and logs
  CHECK(letter.tries == 3);
  CHECK(letter.cause == "killed by SIGSEGV");
  CHECK(letter.taken_ns > 0);
  shm::Handle kept = letter.envelope.handle();
  CHECK(f.worker->get(kept));
  CHECK(f.arena->slot(kept.index()).creator == kSupervisor);  // a copy: the worker's memory is not kept for its sake
  CHECK_FALSE(f.worker->get(envelope));
  CHECK(f.worker->get(tensor));
  letters.remove(1);
  CHECK_FALSE(f.worker->get(kept));
  CHECK_FALSE(f.worker->get(tensor));
  CHECK(letters.find(1).error().code == Errc::kNotFound);
  f.require_consistent();
}

TEST_CASE("a message that is reported twice is one letter", "[dead_letters]") {
  DeadLetterFixture f;
  DeadLetters letters(f.own);
  auto first = f.envelope(1, {}), copy = f.envelope(1, {}), other = f.envelope(2, {});
  REQUIRE(f.take(letters, {first.handle(), {}}));
  auto again = f.take(letters, {copy.handle(), {}});
  REQUIRE(again);
  CHECK_FALSE(again->fresh);
  CHECK(again->letter->id == 1);
  CHECK(f.take(letters, {other.handle(), {}, 192})->letter->id == 2);
  CHECK(letters.all().size() == 2);
}

TEST_CASE("when there are too many the oldest makes room, and is counted", "[dead_letters]") {
  DeadLetterFixture f;
  DeadLetters letters(f.own, 3);
  auto words = f.envelope(1, {});
  for (std::uint64_t i = 1; i <= 5; ++i) REQUIRE(f.take(letters, {words.handle(), {}, i * 64}));
  CHECK(letters.all().size() == 3);
  CHECK(letters.dropped() == 2);
  CHECK_FALSE(letters.find(2));
  CHECK(letters.find(3));
  CHECK(letters.find(5));
  letters.clear();
  CHECK(letters.all().empty());
  // Numbers are not given twice: what somebody has noted stays true.
  CHECK(f.take(letters, {words.handle(), {}, 640})->letter->id == 6);
}

TEST_CASE("what cannot be a message is refused, and a tensor that is gone is left out", "[dead_letters]") {
  DeadLetterFixture f;
  DeadLetters letters(f.own);
  CHECK(f.take(letters, {shm::Handle::make(7, 7), {}}).error().code == Errc::kInvalidArgument);
  auto odd = make_tensor(*f.worker, 13);
  CHECK(f.take(letters, {odd.handle(), {}}).error().code == Errc::kInvalidArgument);
  CHECK(letters.all().empty());
  auto words = f.envelope(1, {});
  auto taken = f.take(letters, {words.handle(), {shm::Handle::make(7, 7)}});
  REQUIRE(taken);
  CHECK(taken->letter->tensors.empty());
}
