#include "worker/health_checks.h"
#include "tests/support/catch.h"

using namespace tv;
using worker::HealthChecks;

namespace {

constexpr std::int64_t kMs = 1'000'000;

// Each check takes a millisecond, unless said otherwise.
struct Fixture {
  HealthChecks checks{{100ms, 10ms, 3}, 0};
  std::int64_t now = 0;
  std::optional<Health> said(Health health, std::int64_t took_ms = 1) {
    auto began = now;
    now += took_ms * kMs;
    return checks.checked(std::move(health), began, now);
  }
};

const Health kWell{};

}  // namespace

TEST_CASE("the first good check is told, and then nothing until something changes", "[health]") {
  Fixture f;
  auto first = f.said(kWell);
  REQUIRE(first);
  CHECK(first->healthy);
  CHECK_FALSE(f.said(kWell));
  CHECK_FALSE(f.said(kWell));
}

TEST_CASE("so many failed checks in a row make unhealthy, one good one healthy", "[health]") {
  Fixture f;
  CHECK(f.said(kWell));
  CHECK_FALSE(f.said(Health::unhealthy("cold")));
  CHECK_FALSE(f.said(Health::unhealthy("cold")));
  CHECK_FALSE(f.said(kWell));
  CHECK_FALSE(f.said(Health::unhealthy("cold")));
  CHECK_FALSE(f.said(Health::unhealthy("cold")));
  auto news = f.said(Health::unhealthy("cold"));
  REQUIRE(news);
  CHECK_FALSE(news->healthy);
  CHECK(news->reason == "cold");
  CHECK_FALSE(f.said(Health::unhealthy("cold")));
  CHECK(f.said(Health::unhealthy("wet"))->reason == "wet");
  CHECK(f.said(kWell)->healthy);
}

TEST_CASE("a check that takes longer than its timeout has failed, whatever it says", "[health]") {
  HealthChecks checks{{100ms, 10ms, 1}, 0};
  auto news = checks.checked(kWell, 0, 25 * kMs);
  REQUIRE(news);
  CHECK_FALSE(news->healthy);
  CHECK(news->reason == "its check took 25ms, which is longer than health.timeout (10ms)");
}

TEST_CASE("an unhealthy actor that gives no reason is said to give none", "[health]") {
  HealthChecks checks{{100ms, 10ms, 1}, 0};
  CHECK(checks.checked(Health::unhealthy(""), 0, 1)->reason == "it gives no reason");
}

TEST_CASE("checks are due a period after the last one ended, and never without a period", "[health]") {
  HealthChecks checks{{100ms, 10ms, 1}, 7 * kMs};
  CHECK(checks.due().ns == 7 * kMs);
  (void)checks.checked(kWell, 10 * kMs, 15 * kMs);
  CHECK(checks.due().ns == 115 * kMs);
  CHECK(HealthChecks().due().ns == Deadline::never().ns);
  CHECK(HealthChecks({0ns, 10ms, 1}, 0).due().ns == Deadline::never().ns);
}
