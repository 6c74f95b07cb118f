#include "tests/worker/runtime_fixture.h"
#include "worker/call_rates.h"

namespace tv::test {

using worker::CallRates;

namespace {

constexpr std::int64_t kMs = 1'000'000;

int taken(CallRates& rates, ParticipantId from, std::int64_t now_ns, int calls) {
  int n = 0;
  for (int i = 0; i < calls; ++i) n += rates.take(from, now_ns) ? 1 : 0;
  return n;
}

}  // namespace

TEST_CASE("a client may send a burst of a second's calls, and then as many as time passes for", "[rates]") {
  CallRates rates({.first = 4, .per_second = 100});
  std::int64_t now = 1000 * kMs;
  CHECK(taken(rates, 4, now, 500) == 100);
  CHECK(taken(rates, 4, now + 10 * kMs, 500) == 1);
  CHECK(taken(rates, 4, now + 260 * kMs, 500) == 25);
  CHECK(taken(rates, 4, now + 5000 * kMs, 500) == 100);
  // Each for itself.
  CHECK(taken(rates, 5, now, 500) == 100);
}

TEST_CASE("over any second no more calls get through than twice the limit, however they come", "[rates]") {
  for (std::uint32_t limit : {1u, 3u, 1000u}) {
    CallRates rates({.first = 1, .per_second = limit});
    std::uint64_t got = 0;
    for (std::int64_t now = 1; now <= 10'000 * kMs; now += kMs) got += static_cast<std::uint64_t>(taken(rates, 1, now, 3));
    CHECK(got >= 10 * limit);
    CHECK(got <= 11 * limit + 1);
  }
}

TEST_CASE("workers are not counted, and without a limit nobody is", "[rates]") {
  CallRates rates({.first = 4, .per_second = 1});
  CHECK(taken(rates, 3, 1, 1000) == 1000);
  CHECK(taken(rates, 0, 1, 1000) == 1000);
  CallRates none({.first = 4, .per_second = 0});
  CHECK(taken(none, 5, 1, 1000) == 1000);
}

TEST_CASE("a client's calls beyond its rate are refused with a clear error and not executed, and another client's are executed",
          "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.client_calls = {.first = 2, .per_second = 5};
  f.start();
  auto second_channel = RuntimeFixture::open_channel(f.other_store);
  std::shared_ptr<ipc::Caller> second;
  second = std::make_shared<ipc::Caller>(second_channel, 1, [&](const std::function<bool()>& ready, Deadline deadline) -> Result<void> {
        while (!ready()) {
          if (deadline.passed()) return Error{Errc::kDeadlineExceeded, "no answer yet"};
          f.step();
          while (auto mail = second_channel->receive()) {
            second->complete(**mail);
            second_channel->done(std::move(*mail));
          }
          second->check();
        }
        return {};
      });
  auto a = f.actor<Counter>("a");
  auto theirs = Ref<Counter>(second, RuntimeFixture::must(second->resolve("a", Counter::kType)));
  std::vector<Future<std::int64_t>> calls;
  for (int i = 0; i < 50; ++i) calls.push_back(a.call(Counter::add, 1));
  auto answered = theirs.call(Counter::add, 1000).get();
  REQUIRE(answered);
  std::int64_t done = 0;
  for (auto& call : calls) {
    auto got = call.get();
    if (got) {
      ++done;
      continue;
    }
    CHECK(got.error().code == Errc::kOverloaded);
    CHECK(got.error().message.find("[clients] calls_per_second") != std::string::npos);
  }
  CHECK(done >= 5);
  CHECK(done < 50);
  CHECK(f.must(theirs.call(Counter::value).get()) == 1000 + done);
  second->abandon({Errc::kCancelled, "the end"});
}

}  // namespace tv::test
