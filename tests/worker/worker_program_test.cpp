// The real tensorvisor-worker, from the zygote to the last exit code, with the test as its supervisor.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "ipc/caller.h"
#include "shm/state.h"
#include "tests/support/arena_fixture.h"
#include "tests/support/plugins/bank.h"
#include "tests/worker/fake_supervisor.h"
#include "tests/worker/zygote_client.h"
#include "worker/exit_codes.h"

namespace tv::test {
namespace {

class WorkerProgram : public ArenaFixture {
 public:
  WorkerProgram() {
    become_subreaper();
    start_zygote();
    actor = add("a", "test.counter");
    client_store = attach(2);
    auto channel = ipc::RingChannel::open(client_store);
    REQUIRE(channel);
    client_channel = *std::move(channel);
    client = std::make_shared<ipc::Caller>(client_channel, 1,
                                           [this](const auto& ready, Deadline deadline) { return receive_until(ready, deadline); });
  }
  ~WorkerProgram() {
    socket.reset();
    if (pid > 0) wait_for_exit(pid);
  }

  ActorId add(const std::string& name, const std::string& type) {
    auto id = directory->add_actor(name, type, 1);
    REQUIRE(id);
    directory->set_actor(*id, {1, shm::ActorState::kReady, 0, 1});
    return *id;
  }

  Forked start_worker(const std::string& device = "cpu", Incarnation incarnation = 1) {
    directory->set_participant(1, shm::ParticipantKind::kWorker, 0, incarnation, "w");
    auto forked = fork_one(socket.get());
    capnp::MallocMessageBuilder message;
    auto root = message.initRoot<wire::Assignment>();
    root.setVersion(wire::SPAWN_VERSION);
    root.setWorker("w");
    root.setParticipant(1);
    root.setIncarnation(incarnation);
    root.setDevice(device);
    root.setThreads(1);
    root.setControlEndpoint(supervisor.endpoint());
    root.setLogLevel("debug");
    auto spec = root.initActors(1)[0];
    spec.setId(actor);
    spec.setName("a");
    spec.setType("test.counter");
    spec.setPlugin(std::string(TV_TEST_PLUGINS) + "/bank.so");
    spec.setEveryMessages(1);
    spec.setIncarnation(incarnation);
    auto fds = *arena->share(shm::Arena::Access::kWorker);
    REQUIRE(ipc::send_packet(forked.socket.get(), message, fds.numbers()));
    return forked;
  }

  Ref<Counter> counter() { return Ref<Counter>(client, {false, actor}); }

  FakeSupervisor supervisor;
  ActorId actor;
  Fd socket;
  int pid = -1;
  std::shared_ptr<shm::Store> client_store;
  std::shared_ptr<ipc::RingChannel> client_channel;
  std::shared_ptr<ipc::Caller> client;

 private:
  void start_zygote() {
    auto pair = ipc::seqpacket_pair();
    REQUIRE(pair);
    pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      ::fcntl(pair->second.get(), F_SETFD, 0);
      auto argument = "--zygote-fd=" + std::to_string(pair->second.get());
      ::execl(TV_WORKER_PROGRAM, TV_WORKER_PROGRAM, argument.c_str(), nullptr);
      ::_exit(127);
    }
    socket = std::move(pair->first);
    REQUIRE(next_answer(socket.get()).ready);
  }

  Result<void> receive_until(const std::function<bool()>& ready, Deadline deadline) {
    while (!ready()) {
      if (deadline.passed()) return Error{Errc::kDeadlineExceeded, "no answer yet"};
      if (auto mail = client_channel->receive()) {
        client->complete(**mail);
        client_channel->done(std::move(*mail));
      } else {
        client_channel->wait(Deadline::in(1s));
        client->check();
      }
    }
    return {};
  }
};

}  // namespace

TEST_CASE("the worker program works from assignment to an orderly stop", "[worker]") {
  WorkerProgram f;
  auto worker = f.start_worker();
  CHECK(f.supervisor.told("actorReady 0"));
  CHECK(f.supervisor.told("ready"));
  auto sum = f.counter().call(Counter::add, 5).get();
  REQUIRE(sum);
  CHECK(*sum == 5);
  CHECK(*f.counter().call(Counter::pid).get() == worker.pid);
  f.supervisor.order([](wire::ToWorker::Builder out) { out.setStop(); });
  CHECK(f.supervisor.told("stopping"));
  CHECK(wait_for_exit(worker.pid) == worker::kExitStopped);
  // The commit outlives the process: its bit is for the supervisor to take over.
  CHECK(f.client_store->get(shm::committed(*f.arena, f.actor)));
}

TEST_CASE("a worker whose supervisor is gone leaves with its exit code, also in the middle of a method", "[worker]") {
  WorkerProgram f;
  auto worker = f.start_worker();
  REQUIRE(f.supervisor.told("ready"));
  auto crash = f.counter().call(Counter::slow, 60'000);
  worker.socket.reset();
  CHECK(wait_for_exit(worker.pid) == worker::kExitSupervisorLost);
}

TEST_CASE("a device that is not there is refused with the reason and what is visible", "[worker]") {
  WorkerProgram f;
  auto worker = f.start_worker("cuda:61");
  CHECK(f.supervisor.told("cannotWork worker \"w\": device cuda:61 not found"));
  CHECK(f.supervisor.told("visible here: cpu"));
  CHECK(wait_for_exit(worker.pid) == worker::kExitCannotWork);
}

TEST_CASE("a worker that crashes in a method takes nobody with it", "[worker]") {
  WorkerProgram f;
  auto worker = f.start_worker();
  REQUIRE(f.supervisor.told("ready"));
  auto crashed = f.counter().call(Counter::crash, "segv");
  CHECK(wait_for_exit(worker.pid) == 128 + SIGSEGV);
  auto again = fork_one(f.socket.get());
  again.socket.reset();
  CHECK(wait_for_exit(again.pid) == 0);
}

}  // namespace tv::test
