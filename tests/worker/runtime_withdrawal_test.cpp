// Calls that their callers give up, before and while they run; and control messages.
#include <thread>

#include "shm/at_hand.h"
#include "tests/worker/runtime_fixture.h"

namespace tv::test {
namespace {

std::uint64_t begun(const RuntimeFixture& f) { return f.arena->ring(2, 1).begun.load(); }

TEST_CASE("a call that is cancelled before the worker starts never runs", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.attach(1);  // a worker that does not read yet
  auto cancelled = f.actor<Counter>("a").call(Counter::add, 1000);
  auto kept = f.actor<Counter>("a").call(Counter::add, 1);
  CHECK(cancelled.cancel());
  CHECK(delivery_of(cancelled.get().error()) == Delivery::kNotDelivered);
  f.start();
  CHECK(f.must(kept.get()) == 1);
  CHECK(f.arena->cell(0).cancelled.load() == 1);
  CHECK(f.arena->cell(0).handled.load() == 1);
  CHECK(f.client->unmatched() == 0);
}

TEST_CASE("a method sees that its call has been cancelled and may give up", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  auto a = f.actor<Counter>("a");
  auto call = a.call(Counter::until_cancelled);
  std::thread other([&] {
    for (auto deadline = Deadline::in(60s); begun(f) == 0 && !deadline.passed();) std::this_thread::yield();
    CHECK_FALSE(call.cancel());
  });
  auto result = call.get();
  other.join();
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Errc::kCancelled);
  CHECK(delivery_of(result.error()) == Delivery::kUnknown);
  CHECK(result.error().message == "a.until_cancelled: gave up because nobody waits for it any more");
  CHECK(f.must(a.call(Counter::value).get()) == 1);  // it did run
  CHECK(f.arena->cell(0).cancelled.load() == 0);
}

TEST_CASE("a method sees that its call's deadline has passed", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  auto a = f.actor<Counter>("a");
  auto result = a.call_with({.timeout = 300ms}, Counter::until_cancelled).get();
  REQUIRE_FALSE(result);
  CHECK(delivery_of(result.error()) == Delivery::kUnknown);
  CHECK(f.must(a.call(Counter::value).get()) == 1);
}

TEST_CASE("a call that was begun before its worker died and is cancelled since does not run again, and its outcome is unknown",
          "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  auto a = f.actor<Counter>("a");
  f.devices.fatal = "gone";  // what throws now leaves the message unread
  auto call = a.call(Counter::fail, "x");
  for (auto deadline = Deadline::in(60s); begun(f) == 0 && !deadline.passed();) f.step();
  f.lose_worker();
  f.devices.fatal.reset();
  CHECK_FALSE(call.cancel());
  f.start();
  auto result = call.get();
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Errc::kOutcomeUnknown);
  CHECK(result.error().message.find("withdrawn before it was tried again") != std::string::npos);
  CHECK(f.arena->cell(0).cancelled.load() == 1);
}

TEST_CASE("an actor's cell counts the tries of a message that comes again", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.devices.fatal = "gone";
  f.attach(1);
  auto call = f.actor<Counter>("a").call(Counter::fail, "x");
  for (int tries = 1; tries <= 2; ++tries) {
    f.start();
    while (f.runtime->turn(Deadline{0})) {
    }
    CHECK(shm::unpack_at_hand(f.arena->cell(0).at_hand.load()).tries == tries);
    f.lose_worker();
  }
  f.devices.fatal.reset();
  f.start();
  CHECK(call.get().error().code == Errc::kActorError);
}

TEST_CASE("control messages are handled before ordinary mail that came first", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.attach(1);
  auto a = f.actor<Counter>("a");
  std::vector<Future<std::int64_t>> ordinary, urgent;
  for (int i = 0; i < 3; ++i) {
    ordinary.push_back(a.call(Counter::arrive));
    urgent.push_back(a.call_with({.priority = true}, Counter::arrive));
  }
  f.start();
  for (int i = 0; i < 3; ++i) {
    CHECK(f.must(urgent[static_cast<std::size_t>(i)].get()) == i);
    CHECK(f.must(ordinary[static_cast<std::size_t>(i)].get()) == i + 3);
  }
}

TEST_CASE("a large answer to a control message comes, too", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  auto tensor_text = f.actor<Counter>("a").call_with({.priority = true}, Counter::fail, std::string(7000, 'x')).get();
  REQUIRE_FALSE(tensor_text);
  CHECK(tensor_text.error().code == Errc::kActorError);
  // Fits the lane with the request's fields; its echo with the answer's, and a copy of the text in it, does as well or goes the other way.
  std::string text(7900, 'x');
  CHECK(f.must(f.actor<Counter>("a").call_with({.priority = true}, Counter::echo_text, text).get()) == text);
  auto too_large = f.actor<Counter>("a").call_with({.priority = true}, Counter::echo_text, std::string(9000, 'x')).get();
  REQUIRE_FALSE(too_large);
  CHECK(too_large.error().code == Errc::kLimit);
  CHECK(too_large.error().message.find("control messages") != std::string::npos);
}

}  // namespace
}  // namespace tv::test
