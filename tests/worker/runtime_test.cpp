#include "tests/support/plugins/ledger.h"
#include "tests/support/temp_dir.h"
#include "tests/worker/runtime_fixture.h"

namespace tv::test {

TEST_CASE("a method's result comes back to its caller", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  CHECK(f.control.is_ready);
  auto a = f.actor<Counter>("a");
  CHECK(f.must(a.call(Counter::add, 5).get()) == 5);
  CHECK(f.must(a.call(Counter::add, 2).get()) == 7);
  CHECK(f.arena->cell(0).handled.load() == 2);
  CHECK(f.arena->cell(0).failed.load() == 0);
}

TEST_CASE("values of every kind survive the way to a method and back", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  Echoed sent{true, -3, 0.5, "text with \"quotes\" and \n lines", {1, 2, 3}, {{"pi", 3.14}}};
  auto got = f.must(f.actor<Counter>("a").call(Counter::echo, sent).get());
  CHECK(got.flag == sent.flag);
  CHECK(got.number == sent.number);
  CHECK(got.real == sent.real);
  CHECK(got.text == sent.text);
  CHECK(got.list == sent.list);
  CHECK(got.map == sent.map);
}

TEST_CASE("tensors travel to a method and back by handle", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  auto a = f.actor<Counter>("a");
  auto tensor = f.must(a.call(Counter::put_tensor, 100).get());
  CHECK(tensor.spec().elements() == 100);
  CHECK(f.must(a.call(Counter::sum, tensor).get()) == 4950.0);
}

TEST_CASE("an exception in a method is the caller's error and the actor goes on", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  auto a = f.actor<Counter>("a");
  auto failed = a.call(Counter::fail, "out of paint").get();
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == Errc::kActorError);
  CHECK(failed.error().message == "a.fail: out of paint");
  CHECK(f.arena->cell(0).failed.load() == 1);
  CHECK(f.must(a.call(Counter::add, 1).get()) == 1);
}

TEST_CASE("an argument of the wrong kind is refused with actor, method and what came", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  auto call = f.client->start({false, 0}, "add", [](wire::Value::Builder out, ipc::Encoder&) { out.initList(1)[0].setText("five"); }, {});
  REQUIRE(f.run_until([&] { return call->ready(); }, Deadline::in(30s)));
  auto answer = ipc::guard([&] { return call->answer(); });
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Errc::kInvalidArgument);
  CHECK(answer.error().message.find("a.add: ") == 0);
  CHECK(answer.error().message.find("integer") != std::string::npos);
}

TEST_CASE("an unknown method is refused with the nearest one", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  static constexpr Method<Counter, std::int64_t()> typo{"vaule"};
  auto failed = f.actor<Counter>("a").call(typo).get();
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == Errc::kNotFound);
  CHECK(failed.error().message.find("did you mean \"value\"?") != std::string::npos);
}

TEST_CASE("a message whose deadline has passed is answered and not executed", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  auto sent = f.client_channel->send(
      1,
      [](wire::Envelope::Builder envelope, ipc::Encoder&) {
        envelope.setTarget(0);
        envelope.setDeadline(monotonic_ns() - 1);
        auto request = envelope.initRequest();
        request.setMethod("add");
        request.initArgs().initList(1)[0].setInt(5);
      },
      Deadline::in(30s));
  REQUIRE(sent);
  REQUIRE(f.run_until([&] { return f.arena->cell(0).expired.load() == 1; }, Deadline::in(30s)));
  CHECK(f.arena->cell(0).handled.load() == 0);
  CHECK(f.must(f.actor<Counter>("a").call(Counter::value).get()) == 0);
}

TEST_CASE("an answer that is too large for the ring is the caller's error", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  // Fits a ring with its request's few fields, not with the answer's copy of it twice: 31 KiB of a limit just below 32 KiB.
  std::string text(20 << 10, 'x');
  auto a = f.actor<Counter>("a");
  CHECK(f.must(a.call(Counter::echo_text, text).get()) == text);
  CHECK_FALSE(a.call(Counter::echo_text, std::string(40 << 10, 'x')).get());
}

TEST_CASE("an actor that cannot start keeps nobody else from starting and answers with the reason", "[runtime]") {
  RuntimeFixture f;
  f.plan("bad", "test.bad_start");
  f.plan("typo", "test.countr");
  f.plan("missing", "test.counter").plugin = plugin_path("no-such-file");
  f.plan("good", "test.counter");
  f.start();
  CHECK(f.control.is_ready);
  CHECK(f.control.failed.at(0).find("this actor never starts") != std::string::npos);
  CHECK(f.control.failed.at(1).find("did you mean \"test.counter\"?") != std::string::npos);
  CHECK(f.control.failed.at(2).find("no-such-file.so") != std::string::npos);
  CHECK(f.control.started.count(3) == 1);
  auto call = f.actor<BadStart>("bad").call(BadStart::ping);
  f.say(0, shm::ActorState::kFailed);
  auto refused = call.get();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::kNotDelivered);
  CHECK(refused.error().message.find("this actor never starts") != std::string::npos);
  CHECK(f.must(f.actor<Counter>("good").call(Counter::add, 1).get()) == 1);
}

TEST_CASE("a restored commit lies in the memory of the living: dead incarnations leave no block behind for it", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  CHECK(f.must(f.actor<Counter>("a").call(Counter::add, 5).get()) == 5);
  for (int life = 2; life <= 5; ++life) {
    f.lose_worker();
    CHECK(shm::use_by_participant(*f.arena)[kSupervisor].blocks_leased > 0);  // until it has been restored
    f.start();
    f.custody.release_state(0);  // as the supervisor does when it is told that the actor is ready
    CHECK(shm::use_by_participant(*f.arena)[kSupervisor].blocks_leased == 0);
    f.require_consistent();
  }
  CHECK(f.must(f.actor<Counter>("a").call(Counter::value).get()) == 5);
}

TEST_CASE("the next incarnation goes on from the last commit with the mail that is left", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  auto a = f.actor<Counter>("a");
  CHECK(f.must(a.call(Counter::add, 5).get()) == 5);
  f.lose_worker();
  auto waiting = a.call(Counter::add, 2);
  CHECK_FALSE(waiting.ready());
  f.start();
  CHECK(f.control.started.at(0));  // restored
  CHECK(f.must(waiting.get()) == 7);
  CHECK(f.must(a.call(Counter::incarnation).get()) == 2);
}

TEST_CASE("a commit happens after as many messages as the configuration says", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter").every_messages = 3;
  f.start();
  auto a = f.actor<Counter>("a");
  for (int i = 0; i < 5; ++i) f.must(a.call(Counter::add, 1).get());
  CHECK(f.arena->cell(0).commits.load() == 1);
  f.lose_worker();
  f.start();
  CHECK(f.must(a.call(Counter::value).get()) == 3);
}

TEST_CASE("a commit happens when the configured time has passed since the last", "[runtime]") {
  RuntimeFixture f;
  auto& plan = f.plan("a", "test.counter");
  plan.every_messages = 0;
  plan.interval = 1ms;
  f.start();
  f.must(f.actor<Counter>("a").call(Counter::add, 1).get());
  CHECK(f.run_until([&] { return f.arena->cell(0).commits.load() > 0; }, Deadline::in(30s)));
}

TEST_CASE("failing commits are counted, told once for all that follow each other, and end with one that succeeds", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  auto full = make_tensor(*f.other_store, static_cast<std::int64_t>(f.arena->geometry().worker_blocks() * limits::kBlockBytes));
  auto a = f.actor<Counter>("a");
  auto failed = a.call(Counter::add, 5).get();
  REQUIRE_FALSE(failed);
  INFO(failed.error().message);
  CHECK(failed.error().code == Errc::kOutcomeUnknown);
  CHECK(failed.error().message.find("stands in the living actor") != std::string::npos);
  CHECK(failed.error().message.find("a crash before the next commit would lose") != std::string::npos);
  const auto& cell = f.arena->cell(0);
  auto since = cell.commit_failing_since_ns.load();
  CHECK(since != 0);
  CHECK_FALSE(a.call(Counter::add, 1).get());
  CHECK(cell.commits_failed.load() == 2);
  CHECK(cell.commit_failing_since_ns.load() == since);
  REQUIRE(f.control.uncommitted.at(0).size() == 1);
  CHECK(f.control.uncommitted.at(0).front().find("the arena is full") != std::string::npos);
  full = {};
  CHECK(f.must(a.call(Counter::value).get()) == 6);
  CHECK(cell.commit_failing_since_ns.load() == 0);
  CHECK(cell.commits_failed.load() == 2);
}

TEST_CASE("the effect of a message whose commit failed dies with the worker, and so does the complaint", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  auto full = make_tensor(*f.other_store, static_cast<std::int64_t>(f.arena->geometry().worker_blocks() * limits::kBlockBytes));
  CHECK_FALSE(f.actor<Counter>("a").call(Counter::add, 5).get());
  CHECK(f.arena->cell(0).commit_failing_since_ns.load() != 0);
  f.lose_worker();
  full = {};
  f.start();
  CHECK(f.arena->cell(0).commit_failing_since_ns.load() == 0);
  CHECK(f.must(f.actor<Counter>("a").call(Counter::value).get()) == 0);
}

TEST_CASE("a fatal device error ends the worker with the message unread", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  f.devices.fatal = "an illegal memory access was encountered";
  auto failing = f.actor<Counter>("a").call(Counter::fail, "device");
  CHECK(f.runtime->run() == worker::kExitDeviceError);
  CHECK_FALSE(failing.ready());
  CHECK(f.arena->cell(0).handled.load() == 0);
}

TEST_CASE("a method that says that its device is lost ends the worker with the message unread, whatever LibTorch thinks", "[runtime]") {
  RuntimeFixture f;
  TempDir dir;
  f.plan("a", Saboteur::kType).plugin = plugin_path("ledger");
  f.start();
  auto failing = f.actor<Saboteur>("a").call(Saboteur::crash_once, dir.path() + "/once", std::string("device"));
  CHECK(f.runtime->run() == worker::kExitDeviceError);
  CHECK_FALSE(failing.ready());
  CHECK(f.arena->cell(0).handled.load() == 0);
}

TEST_CASE("an actor whose start finds the device lost ends the worker before it is ready", "[runtime]") {
  RuntimeFixture f;
  f.plan("bad", BadStart::kType);
  f.plan("good", "test.counter");
  f.devices.fatal = "an illegal memory access was encountered";
  f.start();
  CHECK_FALSE(f.control.is_ready);
  CHECK(f.control.failed.empty());
  CHECK(f.control.started.empty());
  CHECK(f.runtime->run() == worker::kExitDeviceError);
}

TEST_CASE("random bytes in a ring end no worker and leave other mail alone", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.counter");
  f.start();
  auto writer = shm::RingWriter::open(f.arena, 3, 1);
  REQUIRE(writer);
  for (int i = 0; i < 100; ++i) {
    auto room = writer->reserve(64, 0, Deadline::in(30s));
    REQUIRE(room);
    for (std::size_t b = 0; b < room->size(); ++b) (*room)[b] = static_cast<std::byte>(i * 31 + b * 7);
    writer->commit(64, {});
    shm::ring_doorbell(*f.arena, 1, 3);
  }
  CHECK(f.must(f.actor<Counter>("a").call(Counter::add, 1).get()) == 1);
}

}  // namespace tv::test
