// A method that throws while the device is lost leaves its message unread, as a death would: the next incarnation finds it at hand.
#include "tests/worker/runtime_fixture.h"
#include "worker/delivery.h"

namespace tv::test {
namespace {

struct Mortal : RuntimeFixture {
  explicit Mortal(config::Delivery delivery = {}) {
    plan("a", "test.counter").delivery = delivery;
    last_death = "killed by SIGSEGV";
    start();
  }
  // The worker dies of the message that it has next, and comes back.
  void die() {
    devices.fatal = "the device fell off the bus";
    REQUIRE(runtime->run() == worker::kExitDeviceError);
    devices.fatal.reset();
    lose_worker();
    start();
  }
  // Orders the worker to stop once it has begun a message.
  void stop_in_the_middle() {
    std::thread stopper([this] {
      auto deadline = Deadline::in(30s);
      while (cell().at_hand.load() == 0 && !deadline.passed()) std::this_thread::yield();
      orders->stop();
    });
    CHECK(runtime->run() == worker::kExitStopped);
    stopper.join();
    CHECK(cell().handled.load() == 0);
  }
  const shm::ActorCell& cell() const { return arena->cell(0); }
  Ref<Counter> a() { return actor<Counter>("a"); }
};

constexpr config::Delivery kOnce{config::DeliveryMode::kAtMostOnce, 1};

}  // namespace

TEST_CASE("a message that was at hand at a death is handled again, and counted as one more try", "[runtime]") {
  Mortal f;
  auto call = f.a().call(Counter::fail, "not this time");
  f.die();
  CHECK(shm::unpack_at_hand(f.cell().at_hand.load()).tries == 1);
  auto outcome = call.get();
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().message == "a.fail: not this time");
  CHECK(shm::unpack_at_hand(f.cell().at_hand.load()).tries == 2);
  CHECK(f.control.letters.empty());
}

TEST_CASE("a message that has killed three workers goes to the dead letters, and its neighbours are handled as if it were not there",
          "[runtime]") {
  Mortal f;
  auto before = f.a().call(Counter::add, 1);
  auto tensor = make_tensor(*f.client_store, 16);
  auto handle = tensor.handle();
  auto poison = f.client->start({false, 0}, "fail",
                                [&](wire::Value::Builder out, ipc::Encoder& encoder) {
                                  auto list = out.initList(1);
                                  ipc::Codec<std::string>::write(list[0], "x", encoder);
                                  encoder.tensors.push_back(std::move(tensor));
                                },
                                {});
  auto behind = f.a().call(Counter::add, 10);
  for (int death = 0; death < 3; ++death) f.die();
  shm::Tensor held;
  f.control.on_letter = [&](const worker::DeadLetter& letter) { held = f.must(f.other_store->get(letter.envelope)); };

  CHECK(f.must(behind.get()) == 11);
  CHECK(f.must(before.get()) == 1);
  REQUIRE(poison->ready());
  auto outcome = ipc::guard([&] { return poison->answer(); });
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().code == Errc::kOutcomeUnknown);
  CHECK(outcome.error().message ==
        "a.fail: given up after 3 deaths of its worker: killed by SIGSEGV; it is dead letter 1 (tensorctl dead-letters show 1)");

  REQUIRE(f.control.letters.size() == 1);
  const auto& letter = f.control.letters.front();
  CHECK(letter.actor == 0);
  CHECK(letter.method == "fail");
  CHECK(letter.from == 2);
  CHECK(letter.from_name == "p2");
  CHECK(letter.tries == 3);
  CHECK(letter.cause == "killed by SIGSEGV");
  CHECK(letter.tensors == std::vector{handle});
  kj::ArrayPtr<const capnp::word> words{static_cast<const capnp::word*>(held.data()), held.bytes() / sizeof(capnp::word)};
  capnp::SegmentArrayMessageReader copy(kj::arrayPtr(&words, 1));
  CHECK(copy.getRoot<wire::Envelope>().getRequest().getMethod() == "fail");
  CHECK(f.cell().dead_letters.load() == 1);
  CHECK(f.cell().handled.load() == 3);
  CHECK(f.cell().failed.load() == 1);
}

// Its count began anew whenever the next incarnation found the mail of another sender before it: it killed for ever.
TEST_CASE("a message that kills is counted, though each incarnation finds other mail before it", "[runtime]") {
  Mortal f;
  auto channel = f.open_channel(f.other_store);
  auto poison = [](wire::Envelope::Builder envelope, ipc::Encoder& encoder) {
    envelope.setTarget(0);
    envelope.setCallId(1);
    envelope.setDeadline(Deadline::in(60s).ns);
    auto request = envelope.initRequest();
    request.setMethod("fail");
    ipc::Codec<std::tuple<std::string>>::write(request.initArgs(), {"x"}, encoder);
  };
  REQUIRE(channel->send(1, poison, Deadline::in(1s)).ok());
  for (int death = 0; death < 3; ++death) {
    REQUIRE(f.a().call(Counter::add, 1).get().ok());
    f.die();
  }
  REQUIRE(f.a().call(Counter::add, 1).get().ok());
  REQUIRE(f.run_until([&] { return !f.control.letters.empty(); }, Deadline::in(30s)).ok());
  REQUIRE(f.control.letters.size() == 1);
  CHECK(f.control.letters.front().tries == 3);
}

TEST_CASE("two messages that kill in turn are both counted to their end, whichever is begun first", "[runtime]") {
  Mortal f;
  auto first = f.a().call(Counter::fail, "first");
  f.die();
  // Of another sender, which may be read before the first one, and kills as well.
  auto other = f.actor<Counter>("a");
  std::vector<Future<void>> killers;
  for (int i = 0; i < 3; ++i) killers.push_back(other.call_with(CallOptions{.priority = true}, Counter::fail, "urgent"));
  // Each of the urgent ones is begun before the first one, and kills three times: the first one is not begun meanwhile, and keeps its one try.
  for (int death = 0; death < 9; ++death) {
    f.die();
    bool stands = shm::unpack_at_hand(f.cell().suspect.load()).tries == 1;
    CHECK(stands);
  }
  f.die();
  f.die();
  // Now it has been begun three times: it is given up without a fourth.
  auto outcome = first.get();
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().message.find("given up after 3 deaths") != std::string::npos);
  CHECK(f.control.letters.size() == 4);
}

TEST_CASE("a message that cannot be kept is given up all the same, and its caller learns that", "[runtime]") {
  Mortal f({config::DeliveryMode::kAtLeastOnce, 1});
  f.control.letter_refusal = Error{Errc::kArenaFull, "no room"};
  auto call = f.a().call(Counter::fail, "x");
  f.die();
  auto outcome = call.get();
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().code == Errc::kOutcomeUnknown);
  CHECK(outcome.error().message.find("after 1 death of its worker") != std::string::npos);
  CHECK(outcome.error().message.find("could not be kept as a dead letter: no room") != std::string::npos);
}

TEST_CASE("a message that is given up while the supervisor is lost stays for the next incarnation", "[runtime]") {
  Mortal f({config::DeliveryMode::kAtLeastOnce, 1});
  auto call = f.a().call(Counter::fail, "x");
  f.die();
  f.control.letter_refusal = Error{Errc::kUnavailable, "the supervisor is gone"};
  REQUIRE(f.runtime->turn(Deadline::in(0ns)));
  f.lose_worker();
  f.control.letter_refusal.reset();
  f.start();
  CHECK(call.get().error().code == Errc::kOutcomeUnknown);
  CHECK(f.control.letters.size() == 1);
}

TEST_CASE("at most once, the message that a worker died with is answered and never begun again", "[runtime]") {
  Mortal f(kOnce);
  auto call = f.a().call(Counter::fail, "begun");
  auto behind = f.a().call(Counter::add, 1);
  f.die();
  auto outcome = call.get();
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().code == Errc::kOutcomeUnknown);
  CHECK(outcome.error().message == "a.fail: its worker died while it ran: killed by SIGSEGV; this actor takes each message at most once");
  CHECK(f.must(behind.get()) == 1);
  CHECK(f.control.letters.empty());
}

TEST_CASE("a message left because of a stop is begun again, also by an actor that takes each at most once", "[runtime]") {
  Mortal f(kOnce);
  auto slow = f.a().call(Counter::slow, 60'000);
  f.stop_in_the_middle();
  CHECK(f.cell().at_hand.load() == 0);
  f.lose_worker();
  f.start();
  f.stop_in_the_middle();
  CHECK_FALSE(slow.ready());
}

}  // namespace tv::test
