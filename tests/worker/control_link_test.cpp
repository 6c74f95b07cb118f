#include "worker/control_link.h"

#include <capnp/message.h>
#include <sys/socket.h>

#include "ipc/seqpacket.h"
#include "ipc/spawn.capnp.h"
#include "shm/heartbeat.h"
#include "tests/worker/fake_supervisor.h"

namespace tv::test {
namespace {

const ipc::NameOrder kPublish{ipc::NameOrder::Kind::kPublish, "weights", shm::Handle::make(1, 1)};
const ipc::NameOrder kRemove{ipc::NameOrder::Kind::kRemove, "weights"};

struct Linked {
  Linked() {
    auto pair = ipc::seqpacket_pair();
    REQUIRE(pair);
    supervisor_end = std::move(pair->first);
    worker_end = std::move(pair->second);
    auto opened = worker::ControlLink::open({supervisor.endpoint(), 1, 1, worker_end.get()}, orders);
    if (!opened) FAIL(opened.error().message);
    link = *std::move(opened);
  }
  // Waits for an order to arrive.
  template <class Test>
  bool eventually(Test test) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(60), test);
  }

  FakeSupervisor supervisor;
  Fd supervisor_end, worker_end;
  std::mutex mutex;
  std::condition_variable changed;
  worker::Orders orders;
  std::unique_ptr<worker::ControlLink> link;
};

}  // namespace

TEST_CASE("a worker is welcomed and its notices arrive", "[control]") {
  Linked f;
  f.link->actor_ready(3, true);
  f.link->actor_failed(4, Error{Errc::kActorError, "no such file"});
  f.link->commit_failed(3, Error{Errc::kArenaFull, "no room"});
  f.link->health(3, Health::unhealthy("too cold"));
  f.link->health(4, {});
  f.link->ready();
  CHECK(f.supervisor.told("health 3 too cold"));
  CHECK(f.supervisor.told("health 4 healthy"));
  CHECK(f.supervisor.told("commitFailed 3 no room"));
  CHECK(f.supervisor.told("actorReady 3 restored"));
  CHECK(f.supervisor.told("actorFailed 4 no such file"));
  CHECK(f.supervisor.told("ready"));
  CHECK(f.supervisor.told("beat"));
}

TEST_CASE("a loop that waits for the supervisor's answer beats meanwhile", "[control]") {
  Linked f;
  f.supervisor.answers_requests = false;
  shm::Word word{0};
  shm::Heartbeat heart(word);
  auto asked = f.link->ask(kPublish, Deadline::in(Nanoseconds{200ms}));
  REQUIRE_FALSE(asked);
  CHECK(asked.error().code == Errc::kDeadlineExceeded);
  CHECK(word.load() >= 2);
}

TEST_CASE("a publish is answered with its version and a failed request with its reason", "[control]") {
  Linked f;
  auto version = f.link->ask(kPublish, Deadline::in(60s));
  REQUIRE(version);
  CHECK(*version == 9);
  auto withdrawn = f.link->ask(kRemove, Deadline::in(60s));
  REQUIRE_FALSE(withdrawn);
  CHECK(withdrawn.error().code == Errc::kNotFound);
}

TEST_CASE("a dead letter reaches the supervisor with everything in it and is answered with its number", "[control]") {
  Linked f;
  worker::DeadLetter letter{
      shm::Handle::from_bits(40), {shm::Handle::from_bits(41), shm::Handle::from_bits(42)}, 3, "train", 2, "client", 96, 3,
      "killed by SIGSEGV"};
  auto id = f.link->dead_letter(letter, Deadline::in(60s));
  REQUIRE(id);
  CHECK(*id == 17);
  CHECK(f.supervisor.told("deadLetter 3 train from 2 client at 96 tries 3 killed by SIGSEGV tensors 41 42 envelope 40"));
}

TEST_CASE("a request that is not answered ends at its deadline", "[control]") {
  Linked f;
  f.supervisor.answers_requests = false;
  auto version = f.link->ask(kPublish, Deadline::in(20ms));
  REQUIRE_FALSE(version);
  CHECK(version.error().code == Errc::kDeadlineExceeded);
}

TEST_CASE("what a worker has to say waits for a supervisor that has taken over and takes no messages yet", "[control]") {
  TempDir dir;
  auto path = dir.path() + "/control.sock";
  auto listener = ipc::listen_on(path, SOCK_STREAM, 8);
  REQUIRE(listener);
  auto copy = [&] {
    auto made = listener->duplicate();
    REQUIRE(made);
    return *std::move(made);
  };
  auto sockets = ipc::seqpacket_pair();
  REQUIRE(sockets);
  std::optional<FakeSupervisor> supervisor;
  supervisor.emplace(path, copy());
  worker::Orders orders;
  auto link = worker::ControlLink::open({path, 1, 1, sockets->second.get()}, orders);
  REQUIRE(link);
  (*link)->actor_ready(3, false);
  (*link)->actor_ready(4, false);
  CHECK(supervisor->told("actorReady 4"));

  supervisor.reset();
  capnp::MallocMessageBuilder renewal;
  renewal.initRoot<wire::Renewal>().setVersion(wire::SPAWN_VERSION);
  REQUIRE(ipc::send_packet(sockets->first.get(), renewal));
  auto unanswered = (*link)->ask(kPublish, Deadline::in(2500ms));
  REQUIRE_FALSE(unanswered);
  CHECK(unanswered.error().code == Errc::kDeadlineExceeded);
  (*link)->actor_stopped(3);

  supervisor.emplace(path, copy());
  CHECK(supervisor->told("hello renewed"));
  CHECK(supervisor->told("actorReady 4"));
  CHECK(supervisor->told("actorStopped 3"));
  (*link)->ready();
  CHECK(supervisor->told("ready"));
  (*link)->close();
}

TEST_CASE("a link closes while nobody takes its messages", "[control]") {
  Linked f;
  f.supervisor.end();
  f.link->actor_ready(3, true);
  f.link->close();
  CHECK_FALSE(f.link->ask(kPublish, Deadline::in(60s)));
}

TEST_CASE("orders reach the loop", "[control]") {
  Linked f;
  f.orders.on_order([&] { f.changed.notify_all(); });
  f.supervisor.order([](wire::ToWorker::Builder out) { out.setStopActor(5); });
  f.supervisor.order([](wire::ToWorker::Builder out) { out.setStartActor(5); });
  f.supervisor.order([](wire::ToWorker::Builder out) { out.setStop(); });
  CHECK(f.eventually([&] { return f.orders.stopping(); }));
  auto orders = f.orders.take();
  REQUIRE(orders.size() == 2);
  CHECK(orders[0].actor == 5);
}

TEST_CASE("a refused worker gets the supervisor's reason", "[control]") {
  FakeSupervisor supervisor("participant 1 is somebody else");
  worker::Orders orders;
  auto link = worker::ControlLink::open({supervisor.endpoint(), 1, 1, -1}, orders);
  REQUIRE_FALSE(link);
  CHECK(link.error().code == Errc::kPermission);
  CHECK(link.error().message.find("somebody else") != std::string::npos);
}

TEST_CASE("without a supervisor the link gives up", "[control]") {
  TempDir dir;
  worker::Orders orders;
  worker::ControlLink::Settings settings{dir.path() + "/nobody.sock", 1, 1, -1};
  settings.welcome_timeout = 50ms;
  CHECK_FALSE(worker::ControlLink::open(settings, orders));
}

TEST_CASE("the end of the assignment's socket is the supervisor's end", "[control]") {
  Linked f;
  f.orders.on_order([&] { f.changed.notify_all(); });
  f.supervisor.answers_requests = false;
  f.supervisor_end.reset();
  CHECK(f.eventually([&] { return f.orders.supervisor_lost(); }));
  auto version = f.link->ask(kPublish, Deadline::in(60s));
  REQUIRE_FALSE(version);
  CHECK(version.error().code == Errc::kUnavailable);
  f.link->close();
}

}  // namespace tv::test
