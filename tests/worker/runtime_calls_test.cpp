#include "tests/worker/runtime_fixture.h"

namespace tv::test {

TEST_CASE("an actor that waits for another of its own worker is told why it cannot", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.forward");
  f.plan("b", "test.counter");
  f.start();
  auto failed = f.actor<Forward>("a").call(Forward::add, "b", 1).get();
  REQUIRE_FALSE(failed);
  CHECK(failed.error().message.find("actor \"a\" waits for \"b\" on the same worker \"w\"") != std::string::npos);
}

TEST_CASE("an actor calls another of its own worker with then", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.forward");
  f.plan("b", "test.counter");
  f.start();
  auto a = f.actor<Forward>("a");
  REQUIRE(a.call(Forward::later, "b", 5).get());
  REQUIRE(f.run_until([&] { return f.must(a.call(Forward::answered).get()) == 5; }, Deadline::in(30s)));
}

TEST_CASE("one-way messages to an actor of the same worker arrive", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.forward");
  f.plan("b", "test.counter");
  f.start();
  REQUIRE(f.actor<Forward>("a").call(Forward::tell, "b", 7).get());
  REQUIRE(f.run_until([&] { return f.arena->cell(1).handled.load() == 1; }, Deadline::in(30s)));
  CHECK(f.must(f.actor<Counter>("b").call(Counter::value).get()) == 7);
}

namespace {

// Answers `add` for an actor of participant 3, from within the worker's own wait: what another worker would do.
class OtherWorker {
 public:
  explicit OtherWorker(RuntimeFixture& f) : channel_(RuntimeFixture::open_channel(f.other_store)) {
    thread_ = std::thread([this] { serve(); });
  }
  ~OtherWorker() {
    stop_ = true;
    channel_->wake();
    thread_.join();
  }
  std::function<void()> before_answer = [] {};

 private:
  void serve() {
    while (!stop_) {
      auto mail = channel_->receive();
      if (!mail) {
        channel_->wait(Deadline::in(1s));
        continue;
      }
      before_answer();
      auto call = (*mail)->envelope().getCallId();
      auto sent = channel_->send((*mail)->from(),
                                 [&](wire::Envelope::Builder envelope, ipc::Encoder&) {
                                   envelope.setCallId(call);
                                   envelope.initReply().setInt(42);
                                 },
                                 Deadline::in(30s));
      (void)sent;
      channel_->done(std::move(*mail));
    }
  }

  std::shared_ptr<ipc::RingChannel> channel_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace

TEST_CASE("an actor that waits for another worker gets its answer, and mail that comes meanwhile keeps its order", "[runtime]") {
  RuntimeFixture f;
  f.plan("a", "test.forward");
  f.plan("b", "test.counter");
  auto far = f.directory->add_actor("far", "test.counter", 3);
  REQUIRE(far);
  f.directory->set_actor(*far, {3, shm::ActorState::kReady, 0, 1});
  f.start();
  OtherWorker other(f);
  auto b = f.actor<Counter>("b");
  auto forwarded = f.actor<Forward>("a").call(Forward::add, "far", 1);
  std::vector<Future<std::int64_t>> sums;
  for (int i = 0; i < 10; ++i) sums.push_back(b.call(Counter::add, 1));
  CHECK(f.must(forwarded.get()) == 42);
  for (int i = 0; i < 10; ++i) CHECK(f.must(sums[static_cast<std::size_t>(i)].get()) == i + 1);
}

}  // namespace tv::test
