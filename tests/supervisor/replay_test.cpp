#include "supervisor/replay.h"

#include "tests/supervisor/dead_letter_fixture.h"

using namespace tv;
using namespace tv::test;
using supervisor::DeadLetters;

namespace {

struct Fixture : DeadLetterFixture {
  Fixture() {
    auto made = supervisor::EventLoop::create();
    REQUIRE(made);
    loop = std::move(*made);
    inbox = *ipc::RingChannel::open(worker);
    replay = std::make_unique<supervisor::Replay>(*loop, own);
  }
  // Lets the loop run for as long as the replay has something to look after: its timer is the only thing in it.
  void run_until(const std::function<bool()>& holds) {
    std::function<void()> look = [&] {
      if (holds()) return loop->quit();
      timer = loop->after(5ms, look);
    };
    auto give_up = loop->after(30s, [&] { loop->quit(); });
    look();
    REQUIRE(loop->run());
    REQUIRE(holds());
  }

  std::unique_ptr<supervisor::EventLoop> loop;
  supervisor::Source timer;
  std::unique_ptr<ipc::RingChannel> inbox;
  DeadLetters letters{own};
  std::unique_ptr<supervisor::Replay> replay;
};

}  // namespace

TEST_CASE("a replayed letter arrives as a one-way request with a deadline that has not passed, and its tensors are held until it is read",
          "[replay]") {
  Fixture f;
  shm::Handle handle;
  {
    auto tensor = make_tensor(*f.worker, 100, 7);
    handle = tensor.handle();
    auto words = f.envelope(5, handle);
    REQUIRE(f.take(f.letters, {words.handle(), {handle}}));
  }
  REQUIRE(f.replay->send(**f.letters.find(1), 1));
  f.letters.remove(1);
  auto mail = f.inbox->receive();
  REQUIRE(mail);
  auto envelope = (*mail)->envelope();
  CHECK((*mail)->from() == kSupervisor);
  CHECK(envelope.getTarget() == 0);
  CHECK_FALSE(Deadline::at(envelope.getDeadline()).passed());
  auto request = envelope.getRequest();
  CHECK(request.getOneWay());
  CHECK(request.getMethod() == "train");
  CHECK(request.getArgs().getList()[0].getInt() == 5);
  CHECK(request.getArgs().getList()[1].getTensor() == handle.bits());
  REQUIRE((*mail)->handles().size() == 1);
  CHECK((*mail)->handles()[0] == handle.bits());
  CHECK(f.worker->get(handle));
  f.inbox->done(std::move(*mail));
  f.run_until([&] { return !f.worker->get(handle); });
  f.require_consistent();
}

TEST_CASE("a letter for a full mailbox is refused and sent no part of", "[replay]") {
  Fixture f;
  auto words = f.envelope(5, {});
  auto taken = f.take(f.letters, {words.handle(), {}});
  REQUIRE(taken);
  std::size_t sent = 0;
  Result<void> last;
  while ((last = f.replay->send(*taken->letter, 1)).ok() && sent < 100'000) ++sent;
  REQUIRE_FALSE(last);
  CHECK(last.error().code == Errc::kOverloaded);
  std::size_t arrived = 0;
  while (auto mail = f.inbox->receive()) {
    ++arrived;
    f.inbox->done(std::move(*mail));
  }
  CHECK(arrived == sent);
  CHECK(f.replay->send(*taken->letter, 1));
}

TEST_CASE("a letter that holds nonsense is refused", "[replay]") {
  Fixture f;
  auto noise = make_tensor(*f.worker, 64, 0xff);
  auto taken = f.take(f.letters, {noise.handle(), {}});
  REQUIRE(taken);
  CHECK_FALSE(f.replay->send(*taken->letter, 1));
  CHECK_FALSE(f.inbox->receive());
}
