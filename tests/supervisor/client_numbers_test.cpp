#include "supervisor/client_numbers.h"

#include <set>

#include "tests/support/catch.h"

using namespace tv;
using supervisor::ClientNumbers;

TEST_CASE("every number above the workers is given out once, then none", "[clients]") {
  ClientNumbers numbers(3);
  std::set<ParticipantId> taken;
  while (auto number = numbers.take()) taken.insert(number->participant);
  CHECK(taken.size() == limits::kMaxParticipants - 3);
  CHECK(*taken.begin() == 3);
  CHECK(*taken.rbegin() == limits::kMaxParticipants - 1);
}

TEST_CASE("a number that drains is not given out before it is released, then with the next incarnation", "[clients]") {
  ClientNumbers numbers(limits::kMaxParticipants - 1);
  auto first = numbers.take();
  REQUIRE(first);
  CHECK(first->incarnation == 1);
  numbers.leave(first->participant);
  CHECK(numbers.draining() == std::vector<ParticipantId>{first->participant});
  CHECK_FALSE(numbers.take());
  numbers.release(first->participant);
  CHECK(numbers.draining().empty());
  auto second = numbers.take();
  REQUIRE(second);
  CHECK(second->participant == first->participant);
  CHECK(second->incarnation == 2);
}

TEST_CASE("the number that was used least comes first", "[clients]") {
  ClientNumbers numbers(limits::kMaxParticipants - 2);
  auto first = numbers.take();
  numbers.leave(first->participant);
  numbers.release(first->participant);
  CHECK(numbers.take()->participant != first->participant);
}

TEST_CASE("clients get the highest numbers first, so that the lowest are left for workers", "[clients]") {
  ClientNumbers numbers(3);
  CHECK(numbers.take()->participant == limits::kMaxParticipants - 1);
  CHECK_FALSE(numbers.reserve(2));
  std::set<ParticipantId> taken;
  while (auto number = numbers.take()) taken.insert(number->participant);
  CHECK(*taken.begin() == 5);
  numbers.release_reserved();
  CHECK(numbers.take()->participant == 4);
  CHECK(numbers.reserve(2) == std::optional<ParticipantId>(4));
  CHECK(numbers.take()->participant == 3);
}
