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

TEST_CASE("a call that has been begun and is not answered has an unknown outcome at its deadline, and a late answer is counted", "[call]") {
  CallFixture f;
  f.responding = false;
  CallOptions options;
  options.timeout = 20ms;
  auto late = f.ref().call_with(options, Calculator::add, 1, 1);
  auto& worker = f.responder.channel();
  auto mail = worker.receive();
  REQUIRE(mail);
  REQUIRE(worker.begin(**mail));
  auto result = late.get();
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == Errc::kDeadlineExceeded);
  CHECK(delivery_of(result.error()) == Delivery::kUnknown);
  CHECK(result.error().message == "no answer from calculator.add within its timeout; whether it took effect is unknown");
  CHECK((*mail)->withdrawn());  // the method sees it
  CHECK(late.ready());
  CHECK(f.caller->open() == 0);
  auto answer = [&](wire::Envelope::Builder envelope, Encoder&) {
    envelope.setCallId((*mail)->envelope().getCallId());
    envelope.initReply().setInt(2);
  };
  REQUIRE(worker.send(2, answer, test::patience()).ok());
  worker.done(std::move(*mail));
  f.receive_answers();
  CHECK(f.caller->unmatched() == 1);
}

TEST_CASE("a call that is still unread at its deadline is withdrawn, and never runs", "[call]") {
  CallFixture f;
  f.responding = false;
  CallOptions options;
  options.timeout = 5ms;
  auto late = f.ref().call_with(options, Calculator::add, 1, 1);
  auto kept = f.ref().call(Calculator::add, 2, 2);
  auto result = late.get();
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == Errc::kNotDelivered);
  CHECK(delivery_of(result.error()) == Delivery::kNotDelivered);
  CHECK(result.error().message == "calculator.add was withdrawn before it was begun: its deadline has passed");
  f.responding = true;
  CHECK(*kept.get(60s) == 4);
  CHECK(f.responder.withdrawn == 1);
  CHECK(f.responder.targets.size() == 1);
  CHECK(f.caller->unmatched() == 0);
}

TEST_CASE("a call that is cancelled while it is unread never runs, and others do", "[call]") {
  CallFixture f;
  f.responding = false;
  std::vector<Future<std::int64_t>> calls;
  for (int i = 0; i < 5; ++i) calls.push_back(f.ref().call(Calculator::add, i, i));
  CHECK(calls[1].cancel());
  CHECK(calls[3].cancel());
  CHECK_FALSE(calls[3].cancel());  // over already
  CHECK(calls[1].ready());
  CHECK(calls[1].get(60s).error().code == Errc::kNotDelivered);
  CHECK(calls[1].get(60s).error().message == "calculator.add was withdrawn before it was begun: it was cancelled");
  CHECK(f.caller->open() == 3);
  f.responding = true;
  for (int i : {0, 2, 4}) CHECK(*calls[static_cast<std::size_t>(i)].get(60s) == 2 * i);
  CHECK(f.responder.withdrawn == 2);
  CHECK(f.responder.targets.size() == 3);
}

TEST_CASE("a call that has been begun cannot be cancelled: its answer comes as ever", "[call]") {
  CallFixture f;
  f.responding = false;
  auto sum = f.ref().call(Calculator::add, 1, 2);
  REQUIRE(f.responder.step());
  CHECK_FALSE(sum.cancel());
  CHECK_FALSE(sum.ready());
  CHECK(*sum.get(60s) == 3);
  CHECK_FALSE(sum.cancel());
}

TEST_CASE("the memory of a withdrawn message is not touched once its receiver has passed it", "[call]") {
  CallFixture f;
  f.responding = false;
  auto passed = f.ref().call(Calculator::add, 1, 2);
  REQUIRE(f.responder.step());
  // Round the ring and over the place where it lay.
  for (int i = 0; i < 200; ++i) {
    auto echo = f.ref().call(Calculator::echo, std::string(1000, 'x'));
    REQUIRE(f.responder.step());
    f.receive_answers();
    REQUIRE(echo.get(60s).ok());
  }
  auto next = f.ref().call(Calculator::add, 2, 2);
  CHECK_FALSE(passed.cancel());
  REQUIRE(f.responder.step());
  CHECK(f.responder.withdrawn == 0);
  CHECK(*next.get(60s) == 4);
}

TEST_CASE("control messages are read before ordinary mail, and each lane keeps its order", "[call]") {
  CallFixture f;
  f.responding = false;
  auto second = f.add_actor("second", 1);
  CallOptions control;
  control.priority = true;
  std::vector<Future<std::int64_t>> calls;
  for (int i = 0; i < 3; ++i) {
    calls.push_back(f.ref().call(Calculator::add, i, 0));
    calls.push_back(f.ref("second").call_with(control, Calculator::add, i, 0));
  }
  while (f.responder.step()) {
  }
  CHECK(f.responder.targets == std::vector<ActorId>{second, second, second, f.calculator, f.calculator, f.calculator});
  for (std::size_t i = 0; i < calls.size(); ++i) CHECK(*calls[i].get(60s) == static_cast<std::int64_t>(i / 2));
}

TEST_CASE("a control message comes through when ordinary mail is full, and is withdrawn like any other", "[call]") {
  CallFixture f;
  f.responding = false;
  CallOptions options;
  options.wait_when_full = false;
  while (!f.ref().call_with(options, Calculator::echo, std::string(1000, 'x')).ready()) {
  }
  options.priority = true;
  auto urgent = f.ref().call_with(options, Calculator::add, 1, 1);
  auto taken_back = f.ref().call_with(options, Calculator::add, 2, 2);
  CHECK_FALSE(urgent.ready());
  CHECK(taken_back.cancel());
  REQUIRE(f.responder.step());
  f.receive_answers();
  CHECK(*urgent.get(60s) == 2);
  REQUIRE(f.responder.step());
  CHECK(f.responder.withdrawn == 1);
}

TEST_CASE("a full lane of control messages makes the sender wait, whatever it says of waiting, and ends as overloaded", "[call]") {
  CallFixture f;
  f.responding = false;
  CallOptions options;
  options.priority = true;
  options.wait_when_full = false;
  options.timeout = 30ms;
  for (int i = 0; i < 1000; ++i) {
    auto begin = monotonic_ns();
    auto result = f.ref().tell_with(options, Calculator::echo, std::string(1000, 'x'));
    if (result) continue;
    CHECK(result.error().code == Errc::kOverloaded);
    CHECK(delivery_of(result.error()) == Delivery::kNotDelivered);
    CHECK(monotonic_ns() - begin >= Nanoseconds{options.timeout}.count());
    CHECK(result.error().message.find("the lane of control messages") != std::string::npos);
    return;
  }
  FAIL("it was never full");
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
  CHECK(result.error().message == "actor \"calculator\" is failed: its plug-in threw; see tensorctl describe actor calculator");
  f.set(f.calculator, ActorState::kStopped);
  CHECK(f.ref().tell(Calculator::add, 1, 1).error().code == Errc::kNotDelivered);
  CHECK_FALSE(f.responder.step());
}

TEST_CASE("mail waits for an actor that is being started or restarted, or is suspended", "[call]") {
  CallFixture f;
  f.responding = false;
  for (auto state : {ActorState::kStarting, ActorState::kRestarting, ActorState::kSuspended}) {
    f.set(f.calculator, state);
    auto sum = f.ref().call(Calculator::add, 1, 1);
    f.caller->check();
    CHECK_FALSE(sum.ready());
  }
  CHECK(f.caller->open() == 3);
}

TEST_CASE("an open call to an actor that fails was not delivered if it had not been begun, else its outcome is unknown", "[call]") {
  CallFixture f;
  f.responding = false;
  auto sum = f.ref().call(Calculator::add, 1, 1);
  auto unread = f.ref().call(Calculator::add, 2, 2);
  auto mail = f.responder.channel().receive();
  REQUIRE(mail);
  REQUIRE(f.responder.channel().begin(**mail));
  f.set(f.calculator, ActorState::kFailed, "it crashed too often");
  CHECK((f.channel->wait(test::patience()) & bit(kSupervisor)) != 0);
  f.caller->check();
  REQUIRE(sum.ready());
  auto result = sum.get(60s);
  CHECK(result.error().code == Errc::kOutcomeUnknown);
  CHECK(result.error().message.find("it crashed too often") != std::string::npos);
  REQUIRE(unread.ready());
  CHECK(unread.get(60s).error().code == Errc::kNotDelivered);
  CHECK(unread.get(60s).error().message.find("it crashed too often") != std::string::npos);
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
  CHECK(waited.get(60s).error().code == Errc::kOverloaded);
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

TEST_CASE("a drained actor is sent nothing new, and calls that it has are answered", "[call][pool]") {
  PoolFixture f(config::Routing::kRoundRobin);
  f.responding = false;
  auto before = f.ref("pool/1").call(Calculator::add, 1, 1);
  f.set(f.members[1], ActorState::kReady, "", shm::kActorDrained);
  f.caller->check();
  CHECK_FALSE(before.ready());
  auto refused = f.ref("pool/1").call(Calculator::add, 1, 1).get(60s);
  CHECK(refused.error().code == Errc::kNotDelivered);
  CHECK(refused.error().message.find("tensorctl undrain pool/1") != std::string::npos);
  CHECK(f.ref("pool/1").tell(Calculator::add, 1, 1).error().code == Errc::kNotDelivered);
  f.responding = true;
  CHECK(*before.get(60s) == 2);
  f.responder.targets.clear();
  CHECK(f.targets_of(10).count(f.members[1]) == 0);
  for (auto member : f.members) f.set(member, ActorState::kReady, "", shm::kActorDrained);
  CHECK(f.ref("pool").call(Calculator::add, 1, 1).get(60s).error().code == Errc::kNotDelivered);
}

// Whoever is held up between looking and sending would send to one whose worker has looked for its last message already.
TEST_CASE("a message that was under way when its receiver was drained is taken back and goes to another member", "[call][pool]") {
  PoolFixture f(config::Routing::kRoundRobin);
  bool first = true;
  auto drain_while_writing = [&](wire::Value::Builder out, Encoder& encoder) {
    Codec<std::tuple<std::int64_t, std::int64_t>>::write(out, {2, 3}, encoder);
    if (!std::exchange(first, false)) return;
    for (int i : {0, 1}) f.set(f.members[static_cast<std::size_t>(i)], ActorState::kReady, "", shm::kActorDrained);
    f.set(f.members[2], ActorState::kReady);
  };
  auto target = f.caller->resolve("pool", Calculator::kType);
  REQUIRE(target);
  for (bool one_way : {false, true}) {
    first = true;
    for (int i : {0, 1}) f.set(f.members[static_cast<std::size_t>(i)], ActorState::kReady);
    f.set(f.members[2], ActorState::kFailed);
    f.responder.targets.clear();
    if (one_way) {
      REQUIRE(f.caller->send_one_way(*target, "add", drain_while_writing, {}));
    } else {
      auto call = f.caller->start(*target, "add", drain_while_writing, {});
      REQUIRE(call->wait(Deadline::in(60s)));
      CHECK(call->answer().ok());
    }
    while (f.responder.step()) {
    }
    f.receive_answers();
    CHECK_FALSE(first);
    REQUIRE_FALSE(f.responder.targets.empty());
    CHECK(f.responder.targets.back() == f.members[2]);
  }
  CHECK(f.caller->open() == 0);
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
