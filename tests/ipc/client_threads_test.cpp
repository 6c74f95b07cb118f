// A client against a supervisor and an actor that are threads: the client's own threads are the real ones.
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <thread>

#include "ipc/admin_client.h"
#include "ipc/client.h"
#include "ipc/seqpacket.h"
#include "ipc/spawn.capnp.h"
#include "tests/ipc/calls.h"

namespace tv::ipc {
namespace {

using test::Calculator;

// Attaches clients as participants 2, 3, ... and hosts the actor "calculator" as participant 1.
class FakeDaemon {
 public:
  FakeDaemon() : responder_(arena_.attach(1)) {
    auto added = arena_.directory->add_actor("calculator", Calculator::kType, 1);
    if (!added) FAIL(added.error().message);
    arena_.directory->set_actor(*added, {1, shm::ActorState::kReady, 0, 1});
    auto listener = listen_on(attach_socket(dir_.path()), SOCK_SEQPACKET, 8);
    if (!listener) FAIL(listener.error().message);
    listener_ = std::move(*listener);
    actor_thread_ = std::thread([this] { host(); });
  }
  ~FakeDaemon() {
    stopping_ = true;
    responder_.channel().wake();
    actor_thread_.join();
  }

  // Connects a client, answering its request from this thread's helper.
  Result<std::unique_ptr<Client>> connect(std::uint16_t version = wire::SPAWN_VERSION) {
    std::thread helper([&] { accept_one(version); });
    auto client = Client::connect({.name = "test", .runtime_dir = dir_.path()});
    helper.join();
    return client;
  }
  void hang_up() { sockets_.clear(); }
  // True once the client's end of its attachment is closed.
  bool is_detached(std::size_t client) {
    pollfd item{sockets_[client].get(), POLLIN, 0};
    return ::poll(&item, 1, 0) == 1 && (item.revents & POLLHUP) != 0;
  }
  test::ArenaFixture& arena() { return arena_; }
  const std::string path() const { return dir_.path(); }

 private:
  void accept_one(std::uint16_t version) {
    if (!wait_readable(listener_.get(), test::patience())) return;
    Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    auto request = receive_packet(socket.get(), test::patience());
    if (!request) return;
    ParticipantId id = static_cast<ParticipantId>(2 + sockets_.size());
    arena_.directory->set_participant(id, shm::ParticipantKind::kClient, 0, 1, "client");
    capnp::MallocMessageBuilder builder;
    auto reply = builder.initRoot<wire::AttachReply>();
    reply.setVersion(version);
    reply.initAttached().setParticipant(id);
    reply.getAttached().setIncarnation(1);
    auto fds = *arena_.arena->share(shm::Arena::Access::kClient);
    (void)send_packet(socket.get(), builder, fds.numbers());
    sockets_.push_back(std::move(socket));
  }

  void host() {
    while (!stopping_) {
      while (responder_.step()) {
      }
      responder_.channel().wait(Deadline::in(1s));
    }
  }

  test::TempDir dir_;
  test::ArenaFixture arena_{64 * test::kMiB, 64 << 10, 4096, 16 * test::kMiB};
  test::Responder responder_;
  Fd listener_;
  std::vector<Fd> sockets_;
  std::atomic<bool> stopping_{false};
  std::thread actor_thread_;
};

std::unique_ptr<Client> connected(FakeDaemon& daemon) {
  auto client = daemon.connect();
  if (!client) FAIL(client.error().message);
  return *std::move(client);
}

Ref<Calculator> calculator(Client& client) {
  auto ref = client.actor<Calculator>("calculator");
  if (!ref) FAIL(ref.error().message);
  return *ref;
}

TEST_CASE("a client calls an actor and gets its answers", "[client][threads]") {
  FakeDaemon daemon;
  auto client = connected(daemon);
  CHECK(client->connected());
  CHECK(client->participant() == 2);
  auto ref = calculator(*client);
  for (int i = 0; i < 200; ++i) {
    auto sum = ref.call(Calculator::add, i, 1).get();
    INFO(test::error_text(sum));
    REQUIRE(sum.ok());
    CHECK(*sum == i + 1);
  }
  auto tensor = ref.call(Calculator::fill, 3).get();
  REQUIRE(tensor.ok());
  CHECK(*static_cast<const std::uint8_t*>(tensor->data()) == 3);
  CHECK(client->unmatched_answers() == 0);
}

TEST_CASE("threads of a client call at the same time", "[client][threads]") {
  FakeDaemon daemon;
  auto client = connected(daemon);
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      auto ref = calculator(*client);
      for (int i = 0; i < 100; ++i) {
        auto sum = ref.call(Calculator::add, t * 1000, i).get();
        right += sum && *sum == t * 1000 + i;
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(right == 400);
}

TEST_CASE("waiting inside a continuation is refused instead of never ending", "[client][threads]") {
  FakeDaemon daemon;
  auto client = connected(daemon);
  auto ref = calculator(*client);
  std::atomic<int> code{-1};
  auto first = ref.call(Calculator::add, 1, 1);
  std::atomic<bool> ran{false};
  // Long enough ahead that the continuation is there first or runs at once: either way the inner call is not answered yet.
  auto wait_inside = [&](const Result<std::int64_t>&) {
    auto inner = ref.call(Calculator::add, 1, 1).get();
    code = inner ? 0 : static_cast<int>(inner.error().code);
    ran = true;
  };
  auto gate = ref.call(Calculator::echo, "x");
  gate.then([&](const Result<std::string>&) { ref.call(Calculator::add, 2, 2).then(wait_inside); });
  REQUIRE(first.get().ok());
  for (auto deadline = test::patience(); !ran && !deadline.passed();) (void)ref.call(Calculator::add, 0, 0).get();
  CHECK(code == static_cast<int>(Errc::kInvalidArgument));
}

TEST_CASE("a continuation's call without anybody waiting still fails at its deadline", "[client][threads]") {
  FakeDaemon daemon;
  auto client = connected(daemon);
  daemon.arena().directory->set_actor(0, {9, shm::ActorState::kRestarting, 0, 1});  // its mail will wait
  daemon.arena().directory->set_participant(9, shm::ParticipantKind::kWorker, 0, 1, "away");
  std::atomic<int> code{-1};
  CallOptions options;
  options.timeout = 10ms;
  auto call = calculator(*client).call_with(options, Calculator::add, 1, 1);
  call.then([&](const Result<std::int64_t>& result) { code = static_cast<int>(result.error().code); });
  for (auto deadline = test::patience(); code < 0 && !deadline.passed();) std::this_thread::yield();
  CHECK(code == static_cast<int>(Errc::kNotDelivered));
}

TEST_CASE("when the supervisor goes away open calls fail and new ones are refused", "[client][threads]") {
  FakeDaemon daemon;
  auto client = connected(daemon);
  daemon.arena().directory->set_actor(0, {9, shm::ActorState::kRestarting, 0, 1});
  daemon.arena().directory->set_participant(9, shm::ParticipantKind::kWorker, 0, 1, "away");
  auto open = calculator(*client).call(Calculator::add, 1, 1);
  daemon.hang_up();
  auto result = open.get();
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == Errc::kUnavailable);
  CHECK(result.error().message == "the supervisor has gone away");
  CHECK_FALSE(client->connected());
  CHECK(calculator(*client).call(Calculator::add, 1, 1).get().error().code == Errc::kUnavailable);
}

TEST_CASE("a client that is closed fails its open calls and detaches", "[client][threads]") {
  FakeDaemon daemon;
  auto client = connected(daemon);
  daemon.arena().directory->set_actor(0, {9, shm::ActorState::kRestarting, 0, 1});
  daemon.arena().directory->set_participant(9, shm::ParticipantKind::kWorker, 0, 1, "away");
  {
    auto open = calculator(*client).call(Calculator::add, 1, 1);
    client.reset();
    CHECK(open.get().error().code == Errc::kCancelled);
    CHECK_FALSE(daemon.is_detached(0));  // the future still uses the participant's number
  }
  CHECK(daemon.is_detached(0));
}

TEST_CASE("a tensor that outlives its client keeps the process attached", "[client][threads]") {
  FakeDaemon daemon;
  auto client = connected(daemon);
  auto tensor = test::make_tensor(*client->store(), 100, 5);
  client.reset();
  CHECK_FALSE(daemon.is_detached(0));
  CHECK(*static_cast<const std::uint8_t*>(tensor.data()) == 5);
  tensor = {};
  CHECK(daemon.is_detached(0));
}

TEST_CASE("a client finds the newest tensor of a name", "[client][threads]") {
  FakeDaemon daemon;
  auto client = connected(daemon);
  CHECK(client->find("weights").error().code == Errc::kNotFound);
  auto keeper = daemon.arena().attach(20);
  auto tensor = test::make_tensor(*keeper, 10, 1);
  REQUIRE(daemon.arena().directory->publish("weights", tensor.handle()).ok());
  auto found = client->find("weights");
  REQUIRE(found.ok());
  CHECK(found->handle() == tensor.handle());
}

TEST_CASE("a call to a client is answered with an error", "[client][threads]") {
  FakeDaemon daemon;
  auto client = connected(daemon);
  auto other = connected(daemon);
  auto added = daemon.arena().directory->add_actor("mistaken", Calculator::kType, other->participant());
  REQUIRE(added.ok());
  auto ref = client->actor<Calculator>("mistaken");
  CHECK(ref->call(Calculator::add, 1, 1).get().error().code == Errc::kNotFound);
}

TEST_CASE("without a daemon, or with one of another version, a client does not connect", "[client][threads]") {
  test::TempDir dir;
  auto none = Client::connect({.name = "test", .runtime_dir = dir.path()});
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().code == Errc::kUnavailable);
  CHECK(none.error().message.find("start tensorvisord") != std::string::npos);
  FakeDaemon daemon;
  auto other = daemon.connect(99);
  REQUIRE_FALSE(other.ok());
  CHECK(other.error().code == Errc::kProtocol);
  CHECK(other.error().message.find("99") != std::string::npos);
}

}  // namespace
}  // namespace tv::ipc
