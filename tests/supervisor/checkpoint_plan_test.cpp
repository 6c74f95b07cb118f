#include "supervisor/checkpoint_plan.h"

#include "tests/support/catch.h"

using namespace tv;
using namespace tv::supervisor;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

CheckpointPlan::Done done(std::uint64_t committed, std::uint64_t generation, std::uint64_t commit) {
  return {committed, generation, commit, 5, 100};
}

}  // namespace

TEST_CASE("an actor that has not committed is not written", "[checkpoint_plan]") {
  CheckpointPlan plan(1s);
  plan.add(3);
  plan.look(3, 0, 0);
  CHECK_FALSE(plan.next(0));
  CHECK_FALSE(plan.due_ns());
  CHECK_FALSE(plan.waiting());
}

TEST_CASE("a new commit is written at once, the next one after the interval, and those in between are skipped and counted", "[checkpoint_plan]") {
  CheckpointPlan plan(1s);
  plan.add(3);
  plan.look(3, 100, 1);
  auto write = plan.next(10 * kSecond);
  REQUIRE(write);
  CHECK(write->actor == 3);
  CHECK_FALSE(write->only_if_changed);
  // It commits on while it is being written: back-pressure.
  plan.look(3, 105, 6);
  CHECK_FALSE(plan.next(10 * kSecond));
  plan.written(done(100, 1, 1), true, 11 * kSecond);
  CHECK(plan.of(3).skipped == 0);
  CHECK_FALSE(plan.next(11 * kSecond));
  CHECK(plan.due_ns() == 12 * kSecond);
  plan.look(3, 110, 11);
  REQUIRE(plan.next(12 * kSecond));
  plan.written(done(110, 2, 11), true, 13 * kSecond);
  CHECK(plan.of(3).written == 2);
  CHECK(plan.of(3).skipped == 9);  // 2 to 10
  CHECK(plan.of(3).generation == 2);
  CHECK_FALSE(plan.waiting());
}

TEST_CASE("who is in a hurry does not wait for the interval", "[checkpoint_plan]") {
  CheckpointPlan plan(60s);
  plan.add(1);
  plan.look(1, 100, 1);
  REQUIRE(plan.next(0));
  plan.written(done(100, 1, 1), true, 0);
  plan.look(1, 101, 2);
  REQUIRE_FALSE(plan.next(kSecond));
  plan.hurry(1);
  CHECK(plan.next(kSecond));
}

TEST_CASE("a hurry during a write is for the commit that comes after it", "[checkpoint_plan]") {
  CheckpointPlan plan(60s);
  plan.add(1);
  plan.look(1, 100, 1);
  REQUIRE(plan.next(0));
  plan.look(1, 101, 2);
  plan.hurry(1);
  SECTION("whether it is written") { plan.written(done(100, 1, 1), true, kSecond); }
  SECTION("or not") { (void)plan.failed("no", kSecond, 0); }
  REQUIRE(plan.next(kSecond));
  plan.written(done(101, 2, 2), true, kSecond);
  plan.look(1, 102, 3);
  CHECK_FALSE(plan.next(2 * kSecond));  // once
}

TEST_CASE("the actor that has waited longest comes first", "[checkpoint_plan]") {
  CheckpointPlan plan(0s);
  plan.add(1);
  plan.add(2);
  plan.look(2, 200, 1);
  plan.look(1, 100, 1);
  REQUIRE(plan.next(0)->actor == 2);
  plan.look(2, 201, 2);  // at once again: it is behind the other now
  plan.written(done(200, 1, 1), true, 0);
  REQUIRE(plan.next(0)->actor == 1);
  plan.written(done(100, 1, 1), true, 0);
  CHECK(plan.next(0)->actor == 2);
}

TEST_CASE("a commit that has only been moved is written if it differs from the newest generation, and counts as on disk otherwise", "[checkpoint_plan]") {
  CheckpointPlan plan(0s);
  plan.add(1);
  CheckpointState on_disk;
  on_disk.generation = 9;
  plan.restored(1, 50, on_disk);
  plan.look(1, 50, 0);
  CHECK_FALSE(plan.next(0));
  plan.look(1, 51, 0);  // the worker's own copy
  auto write = plan.next(0);
  REQUIRE(write);
  CHECK(write->only_if_changed);
  plan.written(done(51, 9, 0), false, 0);
  CHECK(plan.of(1).written == 0);
  CHECK(plan.of(1).generation == 9);
  CHECK_FALSE(plan.waiting());
}

TEST_CASE("a failure is tried again with growing delays, and worth a line only when the cause is new", "[checkpoint_plan]") {
  CheckpointPlan plan(0s);
  plan.add(1);
  plan.add(2);
  plan.look(1, 100, 1);
  plan.look(2, 200, 1);
  REQUIRE(plan.next(0)->actor == 1);
  CHECK(plan.failed("cannot write /a: No space left on device", 0, 7));
  CHECK(plan.of(1).error == "cannot write /a: No space left on device");
  CHECK(plan.of(1).error_ns == 7);
  REQUIRE(plan.next(0)->actor == 2);
  CHECK_FALSE(plan.failed("cannot write /b: No space left on device", 0, 7));
  CHECK(plan.failing() == 2);
  CHECK_FALSE(plan.waiting());
  CHECK_FALSE(plan.next(kSecond - 1));
  REQUIRE(plan.next(kSecond)->actor == 1);
  CHECK(plan.failed("cannot make /a: Read-only file system", kSecond, 7));  // another cause
  CHECK(plan.of(1).failures == 2);
  REQUIRE(plan.next(kSecond)->actor == 2);
  plan.written(done(200, 1, 1), true, kSecond);
  CHECK_FALSE(plan.next(3 * kSecond - 1));
  REQUIRE(plan.next(3 * kSecond)->actor == 1);
  plan.written(done(100, 1, 1), true, 3 * kSecond);
  CHECK(plan.failing() == 0);
  CHECK(plan.of(1).error.empty());
}

TEST_CASE("at the end each commit that is not on disk gets one more try", "[checkpoint_plan]") {
  CheckpointPlan plan(60s);
  plan.add(1);
  plan.look(1, 100, 1);
  REQUIRE(plan.next(0));
  (void)plan.failed("no", 0, 0);
  REQUIRE_FALSE(plan.next(0));
  plan.last_chance();
  CHECK(plan.waiting());
  REQUIRE(plan.next(0));
  (void)plan.failed("no", 0, 0);
  CHECK_FALSE(plan.waiting());
}

TEST_CASE("at the end what was committed during a write does not wait for the interval", "[checkpoint_plan]") {
  CheckpointPlan plan(600s);
  plan.add(1);
  plan.look(1, 100, 1);
  REQUIRE(plan.next(0));
  plan.look(1, 101, 2);
  plan.last_chance();
  plan.written(done(100, 1, 1), true, kSecond);
  CHECK(plan.waiting());
  REQUIRE(plan.next(kSecond));
  plan.written(done(101, 2, 2), true, 2 * kSecond);
  CHECK_FALSE(plan.waiting());
}

TEST_CASE("an actor goes on from the newest generation that is not damaged, and those before it are not looked at", "[checkpoint_plan]") {
  std::vector<std::uint64_t> generations{3, 4, 7, 9}, asked;
  auto bad = [&asked](std::uint64_t number) {
    asked.push_back(number);
    return number > 5;
  };
  CHECK(newest_undamaged(generations, bad) == 4);
  CHECK(asked == std::vector<std::uint64_t>{9, 7, 4});
  CHECK_FALSE(newest_undamaged(generations, [](std::uint64_t) { return true; }));
  CHECK_FALSE(newest_undamaged({}, bad));
}

TEST_CASE("a commit that is newer than the one that was seen is not written twice", "[checkpoint_plan]") {
  CheckpointPlan plan(0s);
  plan.add(1);
  plan.look(1, 100, 1);
  REQUIRE(plan.next(0));
  plan.written(done(104, 1, 5), true, 0);  // what the writer found
  CHECK_FALSE(plan.pending(1));
  CHECK_FALSE(plan.next(0));
  plan.look(1, 104, 5);
  CHECK_FALSE(plan.next(0));
  plan.look(1, 105, 6);
  CHECK(plan.next(0));
}
