#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <random>

#include "ipc/seqpacket.h"
#include "tests/integration/bank_config.h"

using namespace tv;
using namespace tv::test;

namespace {

Fd raw_connection(const std::string& path, int type) {
  Fd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return Fd();
  return fd;
}

void require_alive(Daemon& daemon) {
  auto client = daemon.connect();
  auto counter = *client->actor<Counter>("counter");
  auto answer = counter.call(Counter::value).get(30s);
  INFO((answer ? "" : answer.error().message) << daemon.log());
  REQUIRE(answer.ok());
}

std::uint64_t malformed(Daemon& daemon) {
  auto reply = daemon.admin().request([](wire::AdminRequest::Builder request) { request.setStatus(); }, 10s);
  REQUIRE(reply.ok());
  return reply->root<wire::AdminReply>().getStatus().getMalformed();
}

}  // namespace

TEST_CASE("random bytes on every socket are dropped and counted, and the daemon goes on", "[integration]") {
  std::uint32_t seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  Daemon daemon({.config = counter_config()});
  for (int round = 0; round < 50; ++round) {
    std::string noise(1 + random() % 5000, '\0');
    for (char& c : noise) c = static_cast<char>(random());
    for (const auto& path : {ipc::admin_socket(daemon.runtime_dir()), ipc::control_socket(daemon.runtime_dir())}) {
      Fd fd = raw_connection(path, SOCK_STREAM);
      REQUIRE(fd);
      (void)::send(fd.get(), noise.data(), noise.size(), MSG_NOSIGNAL);
    }
    Fd attach = raw_connection(ipc::attach_socket(daemon.runtime_dir()), SOCK_SEQPACKET);
    if (attach) (void)::send(attach.get(), noise.data(), noise.size(), MSG_NOSIGNAL);
  }
  require_alive(daemon);
  daemon.wait_until("the nonsense is counted", [&] { return malformed(daemon) > 0; });
  CHECK(daemon.worker("cpu").incarnation == 1);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("well-framed nonsense on the admin socket is answered or dropped and counted", "[integration]") {
  std::uint32_t seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  Daemon daemon({.config = counter_config()});
  ipc::ZmqContext context;
  auto dealer = ipc::Dealer::connect(context, ipc::admin_socket(daemon.runtime_dir()), limits::kMaxAdminReplyBytes);
  REQUIRE(dealer.ok());
  auto before = malformed(daemon);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::byte> noise(8 * (1 + random() % 100));
    for (auto& b : noise) b = static_cast<std::byte>(random() % (round % 2 == 0 ? 256 : 3));
    REQUIRE(dealer->send(noise, Deadline::in(10s)).ok());
  }
  require_alive(daemon);
  daemon.wait_until("the nonsense is counted", [&] { return malformed(daemon) > before; });
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an admin request of another version is answered with both versions", "[integration]") {
  Daemon daemon({.config = counter_config()});
  ipc::ZmqContext context;
  auto dealer = ipc::Dealer::connect(context, ipc::admin_socket(daemon.runtime_dir()), limits::kMaxAdminReplyBytes);
  REQUIRE(dealer.ok());
  capnp::MallocMessageBuilder message;
  auto request = message.initRoot<wire::AdminRequest>();
  request.setVersion(77);
  request.setId(5);
  request.setStatus();
  REQUIRE(dealer->send(ipc::serialize(message), Deadline::in(10s)).ok());
  auto bytes = dealer->receive(Deadline::in(10s));
  REQUIRE(bytes.ok());
  auto reply = ipc::Message::parse(*bytes, limits::kMaxAdminReplyBytes);
  REQUIRE(reply.ok());
  auto root = reply->root<wire::AdminReply>();
  CHECK(root.getId() == 5);
  REQUIRE(root.isFailure());
  CHECK(std::string(root.getFailure().getMessage().cStr()).find("77") != std::string::npos);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a message of a gigabyte ends its connection, and costs the daemon nothing", "[integration]") {
  Daemon daemon({.config = counter_config()});
  Fd fd = raw_connection(ipc::admin_socket(daemon.runtime_dir()), SOCK_STREAM);
  REQUIRE(fd);
  // ZMTP 3.0 greeting and NULL handshake (rfc.zeromq.org/spec/23), then the header of a frame of 1 GiB.
  std::string bytes("\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL", 16);
  bytes.resize(64, '\0');
  constexpr char kReady[] = "\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06" "DEALER";
  static_assert(sizeof kReady - 1 - 2 == 0x1c);
  bytes += std::string(kReady, sizeof kReady - 1);
  bytes += std::string("\x02\0\0\0\0\x40\0\0\0", 9);
  REQUIRE(::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
  std::string chunk(1 << 20, 'x');
  Deadline deadline = Deadline::in(60s);
  std::uint64_t sent = 0;
  for (;;) {
    ssize_t n = ::send(fd.get(), chunk.data(), chunk.size(), MSG_NOSIGNAL);
    if (n < 0) break;
    sent += static_cast<std::uint64_t>(n);
    REQUIRE(sent < (std::uint64_t{1} << 30));
    REQUIRE_FALSE(deadline.passed());
  }
  require_alive(daemon);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("a daemon whose open files are used up by silent connections goes on and serves again when they close", "[integration]") {
  DaemonOptions options;
  options.config = counter_config();
  options.max_open_files = 128;
  Daemon daemon(options);
  std::vector<Fd> connections;
  for (int i = 0; i < 300; ++i) {
    Fd fd = raw_connection(ipc::attach_socket(daemon.runtime_dir()), SOCK_SEQPACKET | SOCK_NONBLOCK);
    if (fd) connections.push_back(std::move(fd));
    Fd admin = raw_connection(ipc::admin_socket(daemon.runtime_dir()), SOCK_STREAM | SOCK_NONBLOCK);
    if (admin) connections.push_back(std::move(admin));
  }
  CHECK(connections.size() > 100);
  CHECK(daemon.process().running());
  connections.clear();
  daemon.wait_until("it serves again", [&] {
    auto client = Client::connect({.name = "again", .runtime_dir = daemon.runtime_dir(), .connect_timeout = 1s});
    if (!client) return false;
    auto counter = (*client)->actor<Counter>("counter");
    return counter && counter->call(Counter::value).get(10s).ok();
  });
  CHECK(daemon.stop() == 0);
}
