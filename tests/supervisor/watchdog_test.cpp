#include <random>

#include "supervisor/watchdog.h"
#include "tests/support/catch.h"

using namespace tv;
using namespace tv::supervisor;

namespace {

constexpr WatchLimits kLimits{10s, 2s};
constexpr std::int64_t kSecond = 1'000'000'000;

// A watch that began at 0 with beat 5, looked at when it is due unless said otherwise.
struct Fixture {
  Watch watch = begin_watch(kLimits, 5, 0);
  WatchAction look_now(std::uint64_t beat, shm::Running running = {}, std::int64_t late_ns = 0) {
    return look(watch, kLimits, {beat, running}, watch.due_ns + late_ns);
  }
};

}  // namespace

TEST_CASE("a loop that turns is left alone, and looked at each half of its watchdog", "[watchdog]") {
  Fixture f;
  for (std::uint64_t beat = 6; beat < 20; ++beat) {
    CHECK(f.watch.due_ns == static_cast<std::int64_t>(beat - 5) * 5 * kSecond);
    CHECK(f.look_now(beat) == WatchAction::kNone);
    CHECK(f.watch.state == WatchState::kWatching);
  }
}

TEST_CASE("a loop that sleeps is asked, and has answered when it beats", "[watchdog]") {
  Fixture f;
  CHECK(f.look_now(5) == WatchAction::kAsk);
  CHECK(f.look_now(6) == WatchAction::kNone);
  CHECK(f.watch.state == WatchState::kWatching);
  CHECK(f.look_now(6) == WatchAction::kAsk);
}

TEST_CASE("a loop that does not answer is aborted at the watchdog, and killed after the grace", "[watchdog]") {
  Fixture f;
  CHECK(f.look_now(5) == WatchAction::kAsk);
  CHECK(f.watch.due_ns == 10 * kSecond);
  CHECK(f.look_now(5) == WatchAction::kAbort);
  CHECK(f.watch.due_ns == 12 * kSecond);
  // What it does now does not save it: the signal is on its way.
  CHECK(f.look_now(6) == WatchAction::kKill);
  CHECK(f.watch.state == WatchState::kKilled);
}

TEST_CASE("a computation that has announced its time has it, and is looked at meanwhile", "[watchdog]") {
  Fixture f;
  shm::Running announced{shm::Doing::kMethod, 23 * kSecond};
  CHECK(f.look_now(5, announced) == WatchAction::kAsk);
  for (int due : {15, 20, 23}) {
    CHECK(f.look_now(5, announced) == WatchAction::kNone);
    CHECK(f.watch.due_ns == due * kSecond);
  }
  SECTION("and is over") { CHECK(f.look_now(5, announced) == WatchAction::kAbort); }
  SECTION("and has been announced anew") {
    announced.until_ns = 26 * kSecond;
    CHECK(f.look_now(5, announced) == WatchAction::kNone);
    CHECK(f.look_now(5, announced) == WatchAction::kAbort);
  }
  SECTION("and ends at once, and what comes after it hangs") {
    Fixture early;
    announced.until_ns = 1000 * kSecond;
    CHECK(early.look_now(5, announced) == WatchAction::kAsk);
    CHECK(early.look_now(5, announced) == WatchAction::kNone);
    CHECK(early.look_now(6) == WatchAction::kNone);
    CHECK(early.look_now(6) == WatchAction::kAsk);
    CHECK(early.look_now(6) == WatchAction::kAbort);
    CHECK(early.watch.due_ns - kLimits.grace.count() == 25 * kSecond);
  }
  SECTION("and its loop has turned") { CHECK(f.look_now(6) == WatchAction::kNone); }
}

TEST_CASE("starts and stops are left to limits of their own, methods and health checks are not", "[watchdog]") {
  for (auto doing : {shm::Doing::kStart, shm::Doing::kStop}) {
    Fixture f;
    for (int i = 0; i < 10; ++i) CHECK(f.look_now(5, {doing, 0}) == WatchAction::kAsk);
    // The time counts from when it is over.
    CHECK(f.look_now(5) == WatchAction::kAbort);
  }
  for (auto doing : {shm::Doing::kMethod, shm::Doing::kHealth, shm::Doing::kNothing}) {
    Fixture f;
    CHECK(f.look_now(5, {doing, 0}) == WatchAction::kAsk);
    CHECK(f.look_now(5, {doing, 0}) == WatchAction::kAbort);
  }
}

TEST_CASE("a supervisor that was kept from looking gives the worker one more chance, and no third", "[watchdog]") {
  Fixture f;
  CHECK(f.look_now(5, {}, kSecond) == WatchAction::kAsk);
  CHECK(f.look_now(5, {}, 60 * kSecond) == WatchAction::kAsk);
  CHECK(f.look_now(5, {}, 60 * kSecond) == WatchAction::kAbort);
}

TEST_CASE("the busy word keeps what runs and until when, to a quarter of a microsecond", "[watchdog]") {
  for (auto doing : {shm::Doing::kNothing, shm::Doing::kMethod, shm::Doing::kStart, shm::Doing::kStop, shm::Doing::kHealth})
    for (std::int64_t until : {std::int64_t{0}, std::int64_t{1} << 20, std::int64_t{7'123'456'789'012'345}}) {
      auto back = shm::unpack_running(pack(shm::Running{doing, until}));
      CHECK(back.doing == doing);
      CHECK(back.until_ns <= until);
      CHECK(back.until_ns > until - 256);
    }
  CHECK(pack(shm::Running{}) == 0);
}

// Workers in a virtual world: each works for random times, some of them announced, sleeps, and is stopped for good at a random moment.
// Nobody who answers in time is touched; who does not is aborted between one and one and a half watchdogs after its last sign.
TEST_CASE("in random lives nobody is killed who turns in time, and everybody who hangs", "[watchdog]") {
  auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  auto between = [&](std::int64_t low, std::int64_t high) { return std::uniform_int_distribution<std::int64_t>(low, high)(random); };
  const std::int64_t watchdog = kLimits.watchdog.count();
  for (int life = 0; life < 2000; ++life) {
    std::uint64_t beat = 0;
    std::int64_t now = 0, last_beat = 0, promised = 0;
    std::int64_t stops_at = between(0, 20 * watchdog);
    std::int64_t busy_until = 0;  // its loop makes no turn before
    auto watch = begin_watch(kLimits, beat, now);
    bool asked = false;
    auto live = [&](std::int64_t until) {
      for (; now < until; now = std::min(until, now + kSecond / 4)) {
        if (now >= stops_at || now < busy_until) continue;
        if (!asked && between(0, 9) < 5) continue;  // asleep
        asked = false;
        ++beat;
        last_beat = now;
        bool announced = between(0, 3) == 0;
        std::int64_t work = announced ? between(0, 5 * watchdog) : between(0, watchdog / 2 - kSecond / 2);
        busy_until = now + work;
        promised = announced ? busy_until + kSecond : 0;
      }
      now = until;
    };
    WatchAction action = WatchAction::kNone;
    while (action != WatchAction::kAbort) {
      live(watch.due_ns);
      shm::Running running{now < busy_until || now >= stops_at ? shm::Doing::kMethod : shm::Doing::kNothing, promised};
      action = look(watch, kLimits, {beat, running}, now);
      asked = asked || action == WatchAction::kAsk;
      REQUIRE(now < 60 * watchdog);
    }
    CHECK(now >= stops_at);
    CHECK(now - last_beat >= watchdog);
    CHECK(now <= std::max(std::max(last_beat, promised), stops_at) + 3 * watchdog / 2);
  }
}
