#include "worker/orders.h"

#include "tests/support/catch.h"

namespace tv::test {

TEST_CASE("orders are taken once and in their order", "[orders]") {
  worker::Orders orders;
  int woken = 0;
  orders.on_order([&] { ++woken; });
  orders.stop_actor(3);
  orders.start_actor(3);
  CHECK(woken == 2);
  auto taken = orders.take();
  REQUIRE(taken.size() == 2);
  CHECK(taken[0].kind == worker::Order::Kind::kStopActor);
  CHECK(taken[1].kind == worker::Order::Kind::kStartActor);
  CHECK(orders.take().empty());
}

TEST_CASE("an actor that is to stop sees it before the loop does, and nobody else", "[orders]") {
  worker::Orders orders;
  orders.stop_actor(3);
  CHECK(orders.stop_requested(3));
  CHECK_FALSE(orders.stop_requested(4));
  orders.take();
  CHECK_FALSE(orders.stop_requested(3));
}

TEST_CASE("a lost supervisor is a stop for everybody", "[orders]") {
  worker::Orders orders;
  orders.lose_supervisor();
  CHECK(orders.stopping());
  CHECK(orders.supervisor_lost());
  CHECK(orders.stop_requested(0));
}

}  // namespace tv::test
