#include "supervisor/restart_policy.h"

#include "tests/support/catch.h"

using namespace tv;
using namespace tv::supervisor;

namespace {

const Cause kKilled{"killed by SIGKILL", true, false};

// A worker that dies `lived` after each (re)start, in virtual time.
struct Life {
  config::Backoff backoff{.jitter = 0};
  DeathHistory history;
  Nanoseconds now{1h};

  Decision die(Nanoseconds lived, const Cause& cause = kKilled) {
    now += lived;
    auto decision = decide(history, backoff, cause, lived, now.count());
    if (auto* restart = std::get_if<Restart>(&decision)) now += restart->delay;
    return decision;
  }
  Nanoseconds delay(Nanoseconds lived) { return std::get<Restart>(die(lived)).delay; }
};

}  // namespace

TEST_CASE("the first restart is immediate and the next ones wait min, min * factor and so on up to max", "[restart]") {
  Life life;
  life.backoff.max = 1s;
  CHECK(life.delay(10ms) == 0ns);
  CHECK(life.delay(10ms) == 100ms);
  CHECK(life.delay(10ms) == 200ms);
  CHECK(life.delay(10ms) == 400ms);
  CHECK(life.delay(10ms) == 800ms);
  CHECK(life.delay(10ms) == 1s);
  CHECK(life.delay(10ms) == 1s);
}

TEST_CASE("a process that was healthy for the reset time begins a new row of restarts", "[restart]") {
  Life life;
  life.delay(1s);
  CHECK(life.delay(1s) == 100ms);
  CHECK(life.delay(life.backoff.reset) == 0ns);
  CHECK(life.delay(life.backoff.reset - 1ns) == 100ms);
}

TEST_CASE("a process that never became ready does not begin a new row, even if reset is 0", "[restart]") {
  Life life;
  life.backoff.reset = 0s;
  CHECK(life.delay(0ns) == 0ns);
  CHECK(life.delay(0ns) == 100ms);
}

TEST_CASE("more deaths than intensity within the period and the worker is given up, with figures and the last cause", "[restart]") {
  Life life;
  life.backoff.intensity = 3;
  life.backoff.max = 0ns;
  for (int i = 0; i < 3; ++i) REQUIRE(std::holds_alternative<Restart>(life.die(1s)));
  auto decision = life.die(1s);
  REQUIRE(std::holds_alternative<GiveUp>(decision));
  auto why = std::get<GiveUp>(decision).why;
  CHECK(why.find("4 deaths within") != std::string::npos);
  CHECK(why.find("at most 3") != std::string::npos);
  CHECK(why.find("SIGKILL") != std::string::npos);
}

TEST_CASE("deaths that are older than the period do not count towards intensity", "[restart]") {
  Life life;
  life.backoff.intensity = 2;
  life.backoff.period = 10s;
  for (int i = 0; i < 100; ++i) REQUIRE(std::holds_alternative<Restart>(life.die(6s)));
}

TEST_CASE("intensity 0 means that the first death is the last", "[restart]") {
  Life life;
  life.backoff.intensity = 0;
  CHECK(std::holds_alternative<GiveUp>(life.die(1h)));
}

TEST_CASE("exit code 78 is never restarted", "[restart]") {
  Life life;
  auto decision = life.die(1h, Cause{"exit code 78 (cannot work with this configuration)", true, true});
  REQUIRE(std::holds_alternative<GiveUp>(decision));
  CHECK(std::get<GiveUp>(decision).why.find("78") != std::string::npos);
}

TEST_CASE("delays neither overflow nor shrink, however long the row", "[restart]") {
  config::Backoff backoff;
  backoff.max = 24h;
  backoff.factor = 100.0;
  Nanoseconds before{0};
  for (std::uint32_t n = 1; n < 5000; ++n) {
    auto delay = delay_before(backoff, n);
    REQUIRE(delay >= before);
    REQUIRE(delay <= backoff.max);
    before = delay;
  }
  CHECK(before == backoff.max);
}
