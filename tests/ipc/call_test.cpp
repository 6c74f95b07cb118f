// Caller, OpenCall, Future and Ref.
#include <set>

#include "config/config.h"
#include "tests/ipc/calls.h"

namespace tv::ipc {
namespace {

using shm::ActorState;
using test::Calculator;
using test::CallFixture;

TEST_CASE("a call comes back with its result", "[call]") {
  CallFixture f;
  auto sum = f.ref().call(Calculator::add, 2, 3);
  CHECK_FALSE(sum.ready());
  auto value = sum.get(60s);
  INFO(test::error_text(value));
  REQUIRE(value.ok());
  CHECK(*value == 5);
  CHECK(sum.ready());
  CHECK(f.caller->open() == 0);
}

TEST_CASE("an answer may be read as often as one likes", "[call]") {
  CallFixture f;
  std::string text(20'000, 'x');
  auto echo = f.ref().call(Calculator::echo, text);
  for (int i = 0; i < 50; ++i) REQUIRE(*echo.get(60s) == text);
}

TEST_CASE("an error of the method comes back as that error", "[call]") {
  CallFixture f;
  auto result = f.ref().call(Calculator::fail).get(60s);
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == Errc::kActorError);
  CHECK(result.error().message == "calculator.fail: it was asked to");
}

TEST_CASE("an answer of another type than the method's is an error that says so", "[call]") {
  CallFixture f;
  constexpr Method<Calculator, std::string(std::int64_t, std::int64_t)> wrong{"add"};
  auto result = f.ref().call(wrong, 1, 2).get(60s);
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == Errc::kInvalidArgument);
  CHECK(result.error().message.find("expected a string, got an integer") != std::string::npos);
}

TEST_CASE("calls may be answered in any order and many at a time", "[call]") {
  CallFixture f;
  std::vector<Future<std::int64_t>> sums;
  for (int i = 0; i < 200; ++i) sums.push_back(f.ref().call(Calculator::add, i, i));
  CHECK(f.caller->open() == 200);
  for (int i = 199; i >= 0; --i) CHECK(*sums[static_cast<std::size_t>(i)].get(60s) == 2 * i);
}

TEST_CASE("a tensor in an answer lives as long as its future", "[call]") {
  CallFixture f;
  shm::Handle handle;
  {
    auto future = f.ref().call(Calculator::fill, 9);
    REQUIRE(f.pump([&] { return future.ready(); }, test::patience()).ok());
    f.responder.channel().settle();  // its sender lets go
    auto tensor = future.get(60s);
    INFO(test::error_text(tensor));
    REQUIRE(tensor.ok());
    handle = tensor->handle();
    CHECK(*static_cast<const std::uint8_t*>(tensor->data()) == 9);
    CHECK(f.arena.arena->slot(handle.index()).holders.load() == bit(2));
  }
  CHECK(f.arena.arena->slot(handle.index()).holders.load() == 0);
  CHECK(f.caller_store->held() == 0);
}

TEST_CASE("a second answer to a call is dropped and counted", "[call]") {
  CallFixture f;
  f.answers = 2;
  CHECK(*f.ref().call(Calculator::add, 1, 1).get(60s) == 2);
  f.receive_answers();
  CHECK(f.matched == 1);
  CHECK(f.caller->unmatched() == 1);
}

TEST_CASE("a call that is not answered fails at its deadline and a late answer is counted", "[call]") {
  CallFixture f;
  f.responding = false;
  CallOptions options;
  options.timeout = 5ms;
  auto late = f.ref().call_with(options, Calculator::add, 1, 1);
  auto result = late.get();
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == Errc::kDeadlineExceeded);
  CHECK(result.error().message == "no answer from calculator.add within its timeout; whether it took effect is unknown");
  f.caller->check();
  CHECK(late.ready());
  CHECK(f.caller->open() == 0);
  REQUIRE(f.responder.step());
  f.receive_answers();
  CHECK(f.caller->unmatched() == 1);
}

TEST_CASE("waiting for less than the call's timeout leaves the call open", "[call]") {
  CallFixture f;
  f.responding = false;
  auto sum = f.ref().call(Calculator::add, 1, 1);
  auto early = sum.get(1ms);
  REQUIRE_FALSE(early.ok());
  CHECK(early.error().code == Errc::kDeadlineExceeded);
  CHECK(f.caller->open() == 1);
  f.responding = true;
  CHECK(*sum.get(60s) == 2);
}

TEST_CASE("a timeout of centuries is a long one", "[call]") {
  CallFixture f;
  CallOptions options;
  options.timeout = Nanoseconds::max();
  CHECK(*f.ref().call_with(options, Calculator::add, 1, 1).get() == 2);
}

TEST_CASE("a call to a failed or stopped actor is not delivered, and the error says why", "[call]") {
  CallFixture f;
  f.set(f.calculator, ActorState::kFailed, "its plug-in threw");
  auto call = f.ref().call(Calculator::add, 1, 1);
  REQUIRE(call.ready());
  auto result = call.get(60s);
  CHECK(result.error().code == Errc::kNotDelivered);
  CHECK(result.error().message ==
        "actor \"calculator\" is failed: its plug-in threw; see tensorctl describe actor calculator");
  f.set(f.calculator, ActorState::kStopped);
  CHECK(f.ref().tell(Calculator::add, 1, 1).error().code == Errc::kNotDelivered);
  CHECK_FALSE(f.responder.step());
}

TEST_CASE("mail waits for an actor that is being started or restarted", "[call]") {
  CallFixture f;
  f.responding = false;
  for (auto state : {ActorState::kStarting, ActorState::kRestarting}) {
    f.set(f.calculator, state);
    auto sum = f.ref().call(Calculator::add, 1, 1);
    f.caller->check();
    CHECK_FALSE(sum.ready());
  }
  CHECK(f.caller->open() == 2);
}

TEST_CASE("an open call to an actor that fails has an unknown outcome", "[call]") {
  CallFixture f;
  f.responding = false;
  auto sum = f.ref().call(Calculator::add, 1, 1);
  f.set(f.calculator, ActorState::kFailed, "it crashed too often");
  CHECK((f.channel->wait(test::patience()) & bit(kSupervisor)) != 0);
  f.caller->check();
  REQUIRE(sum.ready());
  auto result = sum.get(60s);
  CHECK(result.error().code == Errc::kOutcomeUnknown);
  CHECK(result.error().message.find("it crashed too often") != std::string::npos);
}

TEST_CASE("a worker that is not attached gets no mail", "[call]") {
  CallFixture f;
  f.add_actor("elsewhere", 7);
  CHECK(f.ref("elsewhere").call(Calculator::add, 1, 1).get(60s).error().code == Errc::kNotDelivered);
}

TEST_CASE("a full mailbox is overloaded for those who do not wait", "[call]") {
  CallFixture f;
  CallOptions options;
  options.wait_when_full = false;
  Errc code = Errc::kInternal;
  for (int i = 0; i < 1000 && code == Errc::kInternal; ++i) {
    auto call = f.ref().call_with(options, Calculator::echo, std::string(1000, 'x'));
    if (call.ready()) code = call.get(60s).error().code;
  }
  CHECK(code == Errc::kOverloaded);
  options = {};
  options.timeout = 2ms;
  auto waited = f.ref().call_with(options, Calculator::echo, std::string(1000, 'x'));
  REQUIRE(waited.ready());
  CHECK(waited.get(60s).error().code == Errc::kDeadlineExceeded);
  CHECK(waited.get(60s).error().message.find("not delivered") != std::string::npos);
}

TEST_CASE("an abandoned caller fails what is open and what comes later", "[call]") {
  CallFixture f;
  f.responding = false;
  auto before = f.ref().call(Calculator::add, 1, 1);
  f.caller->abandon({Errc::kUnavailable, "the supervisor has gone away"});
  CHECK(before.get(60s).error().code == Errc::kUnavailable);
  CHECK(f.ref().call(Calculator::add, 1, 1).get(60s).error().message == "the supervisor has gone away");
  CHECK(f.ref().tell(Calculator::add, 1, 1).error().code == Errc::kUnavailable);
  CHECK(f.caller->open() == 0);
}

TEST_CASE("a continuation runs once, at once when the answer is there", "[call]") {
  CallFixture f;
  int runs = 0;
  std::int64_t seen = 0;
  auto note = [&](const Result<std::int64_t>& result) {
    ++runs;
    seen = *result;
  };
  auto sum = f.ref().call(Calculator::add, 20, 1);
  sum.then(note);
  CHECK(runs == 0);
  REQUIRE(sum.get(60s).ok());
  CHECK(runs == 1);
  CHECK(seen == 21);
  sum.then(note);
  CHECK(runs == 2);
}

TEST_CASE("a continuation may start calls, and one that throws harms nobody", "[call]") {
  CallFixture f;
  std::optional<Future<std::int64_t>> second;
  auto first = f.ref().call(Calculator::add, 1, 1);
  first.then([&](const Result<std::int64_t>& result) { second = f.ref().call(Calculator::add, *result, 1); });
  first.then([](const Result<std::int64_t>&) { throw std::runtime_error("mine"); });
  REQUIRE(first.get(60s).ok());
  REQUIRE(second.has_value());
  CHECK(*second->get(60s) == 3);
}

TEST_CASE("a one-way message arrives and nothing is open", "[call]") {
  CallFixture f;
  REQUIRE(f.ref().tell(Calculator::add, 1, 1).ok());
  CHECK(f.caller->open() == 0);
  REQUIRE(f.responder.step());
  CHECK(f.responder.targets == std::vector<ActorId>{f.calculator});
}

TEST_CASE("arguments that cannot be sent fail the call and leave nothing open", "[call]") {
  CallFixture f;
  auto call = f.ref().call(Calculator::echo, std::string(1 << 20, 'x'));
  REQUIRE(call.ready());
  CHECK(call.get(60s).error().code == Errc::kLimit);
  auto thrown = f.caller->start({false, f.calculator}, "m", [](auto, auto&) { throw std::runtime_error("no"); }, {});
  REQUIRE(thrown->ready());
  CHECK(thrown->answer().error().message == "the arguments of calculator.m cannot be written: no");
  CHECK(f.caller->open() == 0);
}

TEST_CASE("a request names its caller, its deadline and its call", "[call]") {
  CallFixture f;
  std::set<CallId> ids;
  for (Incarnation incarnation : {1u, 2u}) {
    auto caller = std::make_shared<Caller>(f.channel, incarnation, [](const auto&, Deadline) { return Result<void>(); });
    caller->set_source(5);
    for (int i = 0; i < 2; ++i) (void)caller->start({false, f.calculator}, "m", [](auto, auto&) {}, {});
  }
  while (auto mail = f.responder.channel().receive()) {
    auto envelope = (*mail)->envelope();
    ids.insert(envelope.getCallId());
    CHECK(envelope.getSource() == 5);
    CHECK(envelope.getDeadline() > monotonic_ns());
    f.responder.channel().done(std::move(*mail));
  }
  CHECK(ids.size() == 4);
}

TEST_CASE("a name that nobody has is answered with the nearest one", "[call]") {
  CallFixture f;
  auto target = f.caller->resolve("calculater", Calculator::kType);
  REQUIRE_FALSE(target.ok());
  CHECK(target.error().code == Errc::kNotFound);
  CHECK(target.error().message == "no actor or pool \"calculater\"; did you mean \"calculator\"?");
  CHECK(f.caller->resolve("calculator", "other.type").error().code == Errc::kInvalidArgument);
  CHECK(f.caller->resolve("calculator", "").ok());
}

struct PoolFixture : CallFixture {
  explicit PoolFixture(config::Routing routing) {
    ActorId first = kNoActor;
    for (int i = 0; i < 3; ++i) {
      ActorId id = add_actor("pool/" + std::to_string(i), 1, 0);
      if (i == 0) first = id;
      members.push_back(id);
    }
    auto pool = arena.directory->add_pool("pool", Calculator::kType, first, 3, static_cast<std::uint32_t>(routing));
    if (!pool) FAIL(pool.error().message);
  }
  std::multiset<ActorId> targets_of(int calls) {
    for (int i = 0; i < calls; ++i) (void)ref("pool").call(Calculator::add, 1, 1);
    while (responder.step()) {
    }
    std::multiset<ActorId> targets(responder.targets.begin(), responder.targets.end());
    responder.targets.clear();
    receive_answers();
    return targets;
  }
  std::vector<ActorId> members;
};

TEST_CASE("a pool spreads calls over its ready members, whatever its routing", "[call][pool]") {
  for (auto routing : {config::Routing::kRoundRobin, config::Routing::kLeastLoaded}) {
    PoolFixture f(routing);
    auto targets = f.targets_of(30);
    for (auto member : f.members) CHECK(targets.count(member) == 10);
    f.set(f.members[1], ActorState::kFailed);
    targets = f.targets_of(30);
    CHECK(targets.count(f.members[1]) == 0);
    CHECK(targets.count(f.members[0]) == 15);
  }
  PoolFixture f(config::Routing::kRandom);
  auto targets = f.targets_of(60);
  for (auto member : f.members) CHECK(targets.count(member) > 0);
}

TEST_CASE("the least loaded member is the one that has answered", "[call][pool]") {
  PoolFixture f(config::Routing::kLeastLoaded);
  for (int i = 0; i < 3; ++i) (void)f.ref("pool").call(Calculator::add, 1, 1);
  REQUIRE(f.responder.step());
  auto answered = f.responder.targets.back();
  f.receive_answers();
  (void)f.ref("pool").call(Calculator::add, 1, 1);
  while (f.responder.step()) {
  }
  CHECK(f.responder.targets.back() == answered);
}

TEST_CASE("a pool whose members have all failed says why", "[call][pool]") {
  PoolFixture f(config::Routing::kLeastLoaded);
  for (auto member : f.members) f.set(member, ActorState::kFailed, "no model");
  auto result = f.ref("pool").call(Calculator::add, 1, 1).get(60s);
  CHECK(result.error().code == Errc::kNotDelivered);
  CHECK(result.error().message.find("no member of pool \"pool\"") != std::string::npos);
  CHECK(result.error().message.find("no model") != std::string::npos);
}

}  // namespace
}  // namespace tv::ipc
