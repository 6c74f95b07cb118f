#include "ipc/zmq_channel.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "config/fd.h"
#include "tests/ipc/support.h"

namespace tv::ipc {
namespace {

std::vector<std::byte> bytes_of(const std::string& text) {
  auto* first = reinterpret_cast<const std::byte*>(text.data());
  return {first, first + text.size()};
}
std::string text_of(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// Waits on the socket's descriptor as an event loop does.
std::optional<Router::Packet> receive(Router& router, Deadline deadline) {
  for (;;) {
    if (auto packet = router.receive()) return packet;
    auto readable = wait_readable(router.fd(), Deadline{std::min(deadline.ns, Deadline::in(20ms).ns)});
    if (!readable || deadline.passed()) return std::nullopt;
  }
}

struct Pair {
  explicit Pair(std::size_t max_bytes = 4096) : router(open(context, dir.file("s"), max_bytes)), dealer(dial(context, dir.file("s"))) {}

  static Router open(ZmqContext& context, const std::string& path, std::size_t max_bytes) {
    auto router = Router::bind(context, path, max_bytes);
    if (!router) FAIL(router.error().message);
    return *std::move(router);
  }
  static Dealer dial(ZmqContext& context, const std::string& path) {
    auto dealer = Dealer::connect(context, path, 1 << 20);
    if (!dealer) FAIL(dealer.error().message);
    return *std::move(dealer);
  }
  void require_conversation() {
    REQUIRE(dealer.send(bytes_of("question"), test::patience()).ok());
    auto packet = receive(router, test::patience());
    REQUIRE(packet.has_value());
    CHECK(text_of(packet->payload) == "question");
    REQUIRE(router.send(packet->peer, bytes_of("answer")));
    auto answer = dealer.receive(test::patience());
    REQUIRE(answer.ok());
    CHECK(text_of(*answer) == "answer");
  }
  Fd raw_connection() const {
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, dir.file("s").c_str(), sizeof address.sun_path - 1);
    REQUIRE(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    return fd;
  }
  // What the router says until it closes the connection, or the deadline.
  static void read_to_end(int fd) {
    std::byte buffer[4096];
    for (auto deadline = test::patience(); !deadline.passed();) {
      auto readable = wait_readable(fd, deadline);
      if (!readable || !*readable || ::read(fd, buffer, sizeof buffer) <= 0) return;
    }
  }

  test::TempDir dir;
  ZmqContext context;
  Router router;
  Dealer dealer;
};

TEST_CASE("a question reaches the router and its answer the one who asked", "[zmq]") {
  Pair pair;
  pair.require_conversation();
  struct stat info {};
  REQUIRE(::stat(pair.dir.file("s").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  CHECK(pair.router.malformed() == 0);
}

TEST_CASE("a dealer knows of what has come also when its descriptor has told of it before", "[zmq]") {
  Pair pair;
  pair.require_conversation();
  CHECK_FALSE(pair.dealer.has_news(false));
  CHECK(pair.dealer.has_news(true));
  REQUIRE(pair.dealer.send(bytes_of("question"), test::patience()).ok());
  auto packet = receive(pair.router, test::patience());
  REQUIRE(packet.has_value());
  REQUIRE(pair.router.send(packet->peer, bytes_of("answer")));
  // The first look that finds it takes the descriptor's word away.
  auto deadline = test::patience();
  while (!pair.dealer.has_news(false) && !deadline.passed()) (void)wait_readable(pair.dealer.fd(), deadline);
  auto told = wait_readable(pair.dealer.fd(), Deadline::in(0ns));
  CHECK_FALSE((told && *told));
  CHECK(pair.dealer.has_news(false));
  CHECK(text_of(*pair.dealer.receive(test::patience())) == "answer");
  CHECK_FALSE(pair.dealer.has_news(false));
}

TEST_CASE("answers find their peers among several", "[zmq]") {
  Pair pair;
  auto other = Pair::dial(pair.context, pair.dir.file("s"));
  REQUIRE(pair.dealer.send(bytes_of("1"), test::patience()).ok());
  REQUIRE(other.send(bytes_of("2"), test::patience()).ok());
  for (int i = 0; i < 2; ++i) {
    auto packet = receive(pair.router, test::patience());
    REQUIRE(packet.has_value());
    REQUIRE(pair.router.send(packet->peer, packet->payload));
  }
  CHECK(text_of(*pair.dealer.receive(test::patience())) == "1");
  CHECK(text_of(*other.receive(test::patience())) == "2");
}

TEST_CASE("an answer to a peer that is gone is dropped and said so", "[zmq]") {
  Pair pair;
  CHECK_FALSE(pair.router.send("nobody", bytes_of("x")));
  std::string peer;
  {
    auto other = Pair::dial(pair.context, pair.dir.file("s"));
    REQUIRE(other.send(bytes_of("x"), test::patience()).ok());
    peer = receive(pair.router, test::patience())->peer;
  }
  bool delivered = true;
  for (auto deadline = test::patience(); delivered && !deadline.passed();) delivered = pair.router.send(peer, bytes_of("y"));
  CHECK_FALSE(delivered);
}

TEST_CASE("a dealer with nobody behind the socket fails by its deadline", "[zmq]") {
  test::TempDir dir;
  ZmqContext context;
  auto dealer = Pair::dial(context, dir.file("none"));
  CHECK(dealer.send(bytes_of("x"), Deadline::in(5ms)).error().code == Errc::kDeadlineExceeded);
  CHECK(dealer.receive(Deadline::in(5ms)).error().code == Errc::kDeadlineExceeded);
}

TEST_CASE("a message larger than allowed does not reach the router, which goes on", "[zmq][hostile]") {
  Pair pair(1024);
  auto large = Pair::dial(pair.context, pair.dir.file("s"));
  REQUIRE(large.send(std::vector<std::byte>(100'000), test::patience()).ok());
  pair.require_conversation();
  CHECK(large.send(std::vector<std::byte>(2 << 20), test::patience()).error().code == Errc::kLimit);
}

TEST_CASE("a connection that announces a gigabyte is dropped before it has sent it", "[zmq][hostile]") {
  Pair pair;
  Fd fd = pair.raw_connection();
  // A ZMTP 3.0 greeting and READY of a dealer, then the header of a long frame of 1 GiB.
  std::string greeting = std::string("\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL", 16) + std::string(48, '\0');
  std::string ready = std::string("\4\x29\5READY\13Socket-Type\0\0\0\6DEALER\10Identity\0\0\0\0", 43);
  std::string frame = std::string("\2\0\0\0\0\x40\0\0\0", 9) + std::string(1000, 'x');
  std::string all = greeting + ready + frame;
  REQUIRE(::send(fd.get(), all.data(), all.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(all.size()));
  Pair::read_to_end(fd.get());
  pair.require_conversation();
  CHECK(pair.router.malformed() == 0);  // its handshake was right: it was the frame that ended it
}

TEST_CASE("a connection whose handshake is nonsense is dropped and counted", "[zmq][hostile]") {
  Pair pair;
  Fd fd = pair.raw_connection();
  // Begins like a greeting and asks for a mechanism that nobody has.
  std::string greeting = std::string("\xff\0\0\0\0\0\0\0\1\x7f\3\0NONSENSE", 20) + std::string(44, '\0');
  REQUIRE(::send(fd.get(), greeting.data(), greeting.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(greeting.size()));
  Pair::read_to_end(fd.get());
  pair.require_conversation();
  for (auto deadline = test::patience(); pair.router.malformed() == 0 && !deadline.passed();) pair.require_conversation();
  CHECK(pair.router.malformed() == 1);
}

TEST_CASE("a connection that hangs up without a word is nobody's fault", "[zmq]") {
  Pair pair;
  for (int i = 0; i < 3; ++i) pair.raw_connection();
  pair.require_conversation();
  CHECK(pair.router.malformed() == 0);
}

TEST_CASE("random bytes on the socket leave the router at work", "[zmq][hostile]") {
  auto s = test::seed();
  INFO("TV_SEED=" << s);
  std::mt19937_64 random(s);
  Pair pair;
  for (int round = 0; round < 20; ++round) {
    Fd fd = pair.raw_connection();
    auto noise = test::random_bytes(random, 1 + random() % 20'000);
    if (round % 2 == 0) noise[0] = std::byte{0xff};
    (void)!::send(fd.get(), noise.data(), noise.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  REQUIRE(pair.dealer.send(bytes_of("still there?"), test::patience()).ok());
  // What the noise happened to spell as messages comes first; each is bounded.
  for (;;) {
    auto packet = receive(pair.router, test::patience());
    REQUIRE(packet.has_value());
    CHECK(packet->payload.size() <= 4096);
    if (text_of(packet->payload) == "still there?") break;
  }
}

TEST_CASE("a router takes over a socket that listens already, with the connections that wait on it, and leaves its file alone", "[zmq]") {
  test::TempDir dir;
  auto path = dir.file("s");
  Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::chmod(path.c_str(), 0640) == 0);
  REQUIRE(::listen(listener.get(), 16) == 0);
  auto managers = listener.duplicate();  // the service manager keeps its own
  REQUIRE(managers.ok());

  ZmqContext context;
  auto early = Pair::dial(context, path);
  for (int life = 0; life < 2; ++life) {
    auto given = managers->duplicate();
    auto router = Router::adopt(context, path, *std::move(given), 4096);
    if (!router) FAIL(router.error().message);
    // Again and again: one that is sent before the end of the connection before has been noticed goes with it.
    std::optional<Router::Packet> packet;
    for (Deadline deadline = test::patience(); !packet && !deadline.passed();) {
      REQUIRE(early.send(bytes_of("question"), deadline).ok());
      packet = receive(*router, Deadline::in(200ms));
    }
    REQUIRE(packet.has_value());
    CHECK(text_of(packet->payload) == "question");
    CHECK(router->send(packet->peer, bytes_of("answer")));
    CHECK(early.receive(test::patience()).ok());
  }
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0640);
}

}  // namespace
}  // namespace tv::ipc
