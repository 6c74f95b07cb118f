#include "ipc/gate.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <condition_variable>
#include <cstring>
#include <mutex>

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

// A router behind a gate.
struct Guarded {
  explicit Guarded(Gate::Admit admit) : gate(open(context, std::move(admit))), router(bind(context, path)) {}

  static std::unique_ptr<Gate> open(ZmqContext& context, Gate::Admit admit) {
    auto gate = Gate::open(context, std::move(admit));
    if (!gate) FAIL(gate.error().message);
    return *std::move(gate);
  }
  static Router bind(ZmqContext& context, const std::string& path) {
    auto router = Router::bind(context, path, 4096, {.domain = "here"});
    if (!router) FAIL(router.error().message);
    return *std::move(router);
  }
  Dealer dial() {
    auto dealer = Dealer::connect(context, path, 4096);
    if (!dealer) FAIL(dealer.error().message);
    return *std::move(dealer);
  }
  Fd raw_connection() const {
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    REQUIRE(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    return fd;
  }

  test::TempDir dir;
  const std::string path = dir.path() + "/s";
  ZmqContext context;
  std::unique_ptr<Gate> gate;
  Router router;
};

void write_to(const Fd& fd, const std::string& text) { REQUIRE(write_all(fd.get(), bytes_of(text)).ok()); }

std::string greeting(char major) {
  std::string bytes("\xff\0\0\0\0\0\0\0\x01\x7f", 10);
  bytes += major;
  if (major < 3) return bytes;
  bytes += '\0';
  bytes += "NULL";
  return bytes + std::string(64 - bytes.size(), '\0');
}

std::string property(const std::string& name, const std::string& value) {
  std::string bytes(1, static_cast<char>(name.size()));
  return bytes + name + std::string("\0\0\0", 3) + static_cast<char>(value.size()) + value;
}

std::string frame(char flags, const std::string& body) { return std::string(1, flags) + static_cast<char>(body.size()) + body; }

}  // namespace

TEST_CASE("credentials are the last three parts of an address") {
  auto peer = credentials_in("localhost:1000:44:4711");
  REQUIRE(peer);
  CHECK(peer->uid == 1000);
  CHECK(peer->gid == 44);
  CHECK(peer->pid == 4711);
  CHECK(credentials_in(":0:0:1"));
  for (const char* none : {"", "localhost", "1000:44:4711x", "a:b:c:d", "x:-1:0:1", "x:0:0:", "x::0:1", "10.0.0.1"})
    CHECK_FALSE(credentials_in(none));
}

TEST_CASE("whom the gate lets in is known with each message, by the kernel's word") {
  std::mutex mutex;
  std::string domain;
  Guarded guarded([&](const std::string& asked, const PeerCredentials& peer) -> std::optional<std::string> {
    std::lock_guard lock(mutex);
    domain = asked;
    return std::to_string(peer.uid) + "/" + std::to_string(peer.gid) + "/" + std::to_string(peer.pid);
  });
  auto dealer = guarded.dial();
  for (int i = 0; i < 3; ++i) {
    REQUIRE(dealer.send(bytes_of("question"), test::patience()).ok());
    auto packet = receive(guarded.router, test::patience());
    REQUIRE(packet.has_value());
    CHECK(packet->known == std::to_string(::getuid()) + "/" + std::to_string(::getgid()) + "/" + std::to_string(::getpid()));
    REQUIRE(guarded.router.send(packet->peer, bytes_of("answer")));
    auto answer = dealer.receive(test::patience());
    REQUIRE(answer.ok());
    CHECK(text_of(*answer) == "answer");
  }
  std::lock_guard lock(mutex);
  CHECK(domain == "here");
}

TEST_CASE("whom the gate does not let in is told so, and nothing of it arrives") {
  Guarded guarded([](const std::string&, const PeerCredentials&) { return std::nullopt; });
  auto dealer = guarded.dial();
  auto sent = dealer.send(bytes_of("question"), test::patience());
  REQUIRE_FALSE(sent.ok());
  CHECK(sent.error().code == Errc::kPermission);
  CHECK(sent.error().message.find("[access]") != std::string::npos);
  CHECK_FALSE(guarded.router.receive());
  CHECK(guarded.router.malformed() == 0);
}

TEST_CASE("what a peer says of itself in its handshake does not count") {
  Guarded guarded([](const std::string&, const PeerCredentials&) { return "the kernel's word"; });
  auto fd = guarded.raw_connection();
  write_to(fd, greeting(3));
  write_to(fd, frame(4, std::string("\x05READY") + property("Socket-Type", "DEALER") + property("User-Id", "root") +
                            property("Peer-Address", "localhost:0:0:1")));
  // Only when the other side is ready as well: its greeting has 64 bytes, and a command follows.
  std::string heard;
  for (char buffer[256]; heard.find("READY") == std::string::npos;) {
    auto readable = wait_readable(fd.get(), test::patience());
    REQUIRE((readable && *readable));
    ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    REQUIRE(n > 0);
    heard.append(buffer, static_cast<std::size_t>(n));
  }
  write_to(fd, frame(0, "question"));
  auto packet = receive(guarded.router, test::patience());
  REQUIRE(packet.has_value());
  CHECK(text_of(packet->payload) == "question");
  CHECK(packet->known == "the kernel's word");
}

TEST_CASE("a connection by a protocol that knows no gate is refused") {
  Guarded guarded([](const std::string&, const PeerCredentials&) { return "somebody"; });
  auto version = GENERATE('\0', '\1');
  auto fd = guarded.raw_connection();
  write_to(fd, greeting(version) + '\x05' + std::string("\0\0", 2) + frame(0, "question"));
  std::byte buffer[256];
  for (auto deadline = test::patience();;) {
    auto readable = wait_readable(fd.get(), deadline);
    REQUIRE((readable && *readable));
    if (::read(fd.get(), buffer, sizeof buffer) <= 0) break;  // closed
  }
  CHECK_FALSE(guarded.router.receive());
}

TEST_CASE("while the gate makes up its mind about one, others are served") {
  std::mutex mutex;
  std::condition_variable changed;
  int asked = 0;
  bool decided = false;
  Guarded guarded([&](const std::string&, const PeerCredentials&) -> std::optional<std::string> {
    std::unique_lock lock(mutex);
    bool first = ++asked == 1;
    changed.notify_all();
    if (!first) changed.wait_for(lock, 30s, [&] { return decided; });
    return "somebody";
  });
  auto early = guarded.dial();
  REQUIRE(early.send(bytes_of("question"), test::patience()).ok());
  REQUIRE(receive(guarded.router, test::patience()).has_value());
  auto late = guarded.dial();
  {
    std::unique_lock lock(mutex);
    REQUIRE(changed.wait_for(lock, 30s, [&] { return asked == 2; }));
  }
  REQUIRE(early.send(bytes_of("another"), test::patience()).ok());
  auto packet = receive(guarded.router, test::patience());
  REQUIRE(packet.has_value());
  CHECK(text_of(packet->payload) == "another");
  {
    std::lock_guard lock(mutex);
    decided = true;
  }
  changed.notify_all();
  REQUIRE(late.send(bytes_of("late"), test::patience()).ok());
  CHECK(receive(guarded.router, test::patience()).has_value());
}

TEST_CASE("a socket's file has the mode that was asked for, whatever the umask") {
  test::TempDir dir;
  ZmqContext context;
  auto mode = [](const std::string& path) {
    struct stat info {};
    REQUIRE(::stat(path.c_str(), &info) == 0);
    return info.st_mode & 0777u;
  };
  auto narrow = Router::bind(context, dir.path() + "/narrow", 4096);
  auto wide = Router::bind(context, dir.path() + "/wide", 4096, {.domain = "", .mode = 0666});
  REQUIRE((narrow && wide));
  CHECK(mode(dir.path() + "/narrow") == 0600);
  CHECK(mode(dir.path() + "/wide") == 0666);
  auto narrow_packets = listen_on(dir.path() + "/packets", SOCK_SEQPACKET, 1);
  auto wide_packets = listen_on(dir.path() + "/wide-packets", SOCK_SEQPACKET, 1, 0666);
  REQUIRE((narrow_packets && wide_packets));
  CHECK(mode(dir.path() + "/packets") == 0600);
  CHECK(mode(dir.path() + "/wide-packets") == 0666);
}

}  // namespace tv::ipc
