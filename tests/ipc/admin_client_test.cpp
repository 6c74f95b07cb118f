#include "ipc/admin_client.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <thread>

#include "config/fd.h"
#include "tests/ipc/support.h"

namespace tv::ipc {
namespace {

// Answers requests on a thread of its own until it has answered `count`.
class FakeDaemon {
 public:
  using Answer = std::function<void(wire::AdminRequest::Reader, wire::AdminReply::Builder)>;

  FakeDaemon(const std::string& runtime_dir, int count, Answer answer) : router_(open(context_, runtime_dir)) {
    thread_ = std::thread([this, count, answer = std::move(answer)] {
      for (int i = 0; i < count; ++i) serve(answer);
    });
  }
  ~FakeDaemon() { thread_.join(); }

 private:
  static Router open(ZmqContext& context, const std::string& runtime_dir) {
    auto router = Router::bind(context, admin_socket(runtime_dir), limits::kMaxControlMessageBytes);
    if (!router) FAIL(router.error().message);
    return *std::move(router);
  }

  void serve(const Answer& answer) {
    std::optional<Router::Packet> packet;
    for (auto deadline = test::patience(); !packet && !deadline.passed(); packet = router_.receive())
      (void)wait_readable(router_.fd(), Deadline::in(20ms));
    if (!packet) return;
    auto request = Message::parse(packet->payload, limits::kMaxControlMessageBytes);
    capnp::MallocMessageBuilder builder;
    auto reply = builder.initRoot<wire::AdminReply>();
    reply.setVersion(wire::ADMIN_VERSION);
    (void)guard([&] {
      auto root = request->root<wire::AdminRequest>();
      reply.setId(root.getId());
      answer(root, reply);
    });
    router_.send(packet->peer, serialize(builder));
  }

  ZmqContext context_;
  Router router_;
  std::thread thread_;
};

AdminClient client_for(const test::TempDir& dir) {
  auto client = AdminClient::connect(dir.path());
  if (!client) FAIL(client.error().message);
  return *std::move(client);
}

TEST_CASE("without a daemon the client says so and what to do", "[admin]") {
  test::TempDir dir;
  auto client = AdminClient::connect(dir.path());
  REQUIRE_FALSE(client.ok());
  CHECK(client.error().code == Errc::kUnavailable);
  CHECK(client.error().message == "no daemon is running in " + dir.path() + " (no " + dir.path() +
                                      "/admin.sock); start tensorvisord, or name another with --runtime-dir");
}

TEST_CASE("a socket that a dead daemon left is no daemon", "[admin]") {
  test::TempDir dir;
  {
    // Bound and closed by the kernel's means: the file stays.
    Fd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, admin_socket(dir.path()).c_str(), sizeof address.sun_path - 1);
    REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(fd.get(), 1) == 0);
  }
  auto client = AdminClient::connect(dir.path());
  REQUIRE_FALSE(client.ok());
  CHECK(client.error().code == Errc::kUnavailable);
}

TEST_CASE("a reply comes back to its request", "[admin]") {
  test::TempDir dir;
  FakeDaemon daemon(dir.path(), 2, [](auto request, auto reply) { reply.setDone(request.getRestart()); });
  auto client = client_for(dir);
  for (std::string name : {"one", "two"}) {
    auto reply = client.request([&](auto request) { request.setRestart(name); }, 60s);
    INFO(test::error_text(reply));
    REQUIRE(reply.ok());
    auto done = guard([&] { return std::string(reply->template root<wire::AdminReply>().getDone().cStr()); });
    CHECK(*done == name);
  }
}

TEST_CASE("a failure comes back as the error that it is", "[admin]") {
  test::TempDir dir;
  FakeDaemon daemon(dir.path(), 1, [](auto, auto reply) {
    auto failure = reply.initFailure();
    failure.setCode(static_cast<std::uint16_t>(Errc::kNotFound));
    failure.setMessage("no worker \"x\"");
  });
  auto reply = client_for(dir).request([](auto request) { request.setStop("x"); }, 60s);
  REQUIRE_FALSE(reply.ok());
  CHECK(reply.error().code == Errc::kNotFound);
  CHECK(reply.error().message == "no worker \"x\"");
}

TEST_CASE("a daemon of another version is refused with both versions", "[admin]") {
  test::TempDir dir;
  FakeDaemon daemon(dir.path(), 1, [](auto, auto reply) { reply.setVersion(99); });
  auto reply = client_for(dir).request([](auto request) { request.setStatus(); }, 60s);
  REQUIRE_FALSE(reply.ok());
  CHECK(reply.error().code == Errc::kProtocol);
  CHECK(reply.error().message.find("99") != std::string::npos);
}

TEST_CASE("a late reply to an earlier request is passed over", "[admin]") {
  test::TempDir dir;
  ZmqContext context;
  auto router = Router::bind(context, admin_socket(dir.path()), limits::kMaxControlMessageBytes);
  REQUIRE(router.ok());
  auto client = client_for(dir);
  REQUIRE(client.request([](auto request) { request.setStatus(); }, 1ms).error().code == Errc::kDeadlineExceeded);
  std::thread daemon([&] {
    int answered = 0;
    for (auto deadline = test::patience(); answered < 1 && !deadline.passed();) {
      (void)wait_readable(router->fd(), Deadline::in(20ms));
      while (auto packet = router->receive()) {
        auto request = Message::parse(packet->payload, limits::kMaxControlMessageBytes);
        (void)guard([&] {
          auto root = request->root<wire::AdminRequest>();
          if (!root.isStop()) return;
          for (auto id : {root.getId() - 1, root.getId()}) {
            capnp::MallocMessageBuilder builder;
            auto reply = builder.initRoot<wire::AdminReply>();
            reply.setVersion(wire::ADMIN_VERSION);
            reply.setId(id);
            reply.setDone(std::to_string(id));
            router->send(packet->peer, serialize(builder));
          }
          ++answered;
        });
      }
    }
  });
  auto reply = client.request([](auto request) { request.setStop("x"); }, 60s);
  daemon.join();
  INFO(test::error_text(reply));
  REQUIRE(reply.ok());
  CHECK(*guard([&] { return std::string(reply->root<wire::AdminReply>().getDone().cStr()); }) == "2");
}

}  // namespace
}  // namespace tv::ipc
