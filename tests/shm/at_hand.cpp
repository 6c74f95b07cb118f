#include "shm/at_hand.h"

#include "tests/support/catch.h"

using namespace tv;
using namespace tv::shm;

TEST_CASE("a message that was not at hand before is tried for the first time") {
  AtHand first = next_at_hand(AtHand{}, 3, Lane::kMail, 64);
  CHECK(first.from == 3);
  CHECK(first.tries == 1);
  CHECK(next_at_hand(first, 3, Lane::kMail, 128).tries == 1);
  CHECK(next_at_hand(first, 4, Lane::kMail, 64).tries == 1);
}

TEST_CASE("the same message at hand again is one more try") {
  AtHand at = next_at_hand(AtHand{}, 3, Lane::kMail, 64);
  at = next_at_hand(at, 3, Lane::kMail, 64);
  CHECK(at.tries == 2);
  at = next_at_hand(at, 3, Lane::kMail, 64);
  CHECK(at.tries == 3);
}

TEST_CASE("the two lanes of a pair have places of their own") {
  AtHand mail = next_at_hand(AtHand{}, 3, Lane::kMail, 64);
  CHECK(next_at_hand(mail, 3, Lane::kPriority, 64).tries == 1);
  CHECK(at_hand_place(Lane::kMail, 64) != at_hand_place(Lane::kPriority, 64));
}

TEST_CASE("tries stop at what their byte can hold") {
  AtHand at = next_at_hand(AtHand{}, 1, Lane::kPriority, 8);
  for (int i = 0; i < 1000; ++i) at = next_at_hand(at, 1, Lane::kPriority, 8);
  CHECK(at.tries == 255);
}

TEST_CASE("what is at hand survives being packed into its word") {
  RingPosition far = (std::uint64_t{1} << 60) + 24;  // only the low part is kept
  AtHand at = next_at_hand(AtHand{}, 63, Lane::kPriority, far);
  AtHand back = unpack_at_hand(pack(at));
  CHECK(back.from == 63);
  CHECK(back.tries == 1);
  CHECK(back.end48 == at.end48);
  CHECK(next_at_hand(back, 63, Lane::kPriority, far).tries == 2);
  CHECK(is_nothing(unpack_at_hand(0)));
}
