// The daemon among strangers: other daemons, dead daemons, clients that talk nonsense.
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <filesystem>

#include "config/ids.h"
#include "ipc/seqpacket.h"
#include "ipc/spawn.capnp.h"
#include "ipc/zmq_channel.h"
#include "tests/support/catch.h"
#include "tests/supervisor/daemon_process.h"

using namespace tv;
using test::DaemonProcess;

namespace {

const std::string kConfig =
    "[supervisor]\nlog_level = \"debug\"\n[arena]\nsize = \"64MiB\"\n[[worker]]\nname = \"w\"\ndevice = \"cpu\"\n"
    "[[actor]]\nname = \"a\"\ntype = \"torchscript\"\n";

struct Attached {
  Fd socket;
  std::optional<ParticipantId> participant;
  std::string failure;
};

// Nothing when the daemon closes the connection without reading what we say.
std::optional<Attached> try_attach(const DaemonProcess& daemon, std::uint16_t version = wire::SPAWN_VERSION) {
  auto socket = ipc::seqpacket_connect(ipc::attach_socket(daemon.runtime_dir()));
  REQUIRE(socket);
  capnp::MallocMessageBuilder message;
  auto request = message.initRoot<wire::AttachRequest>();
  request.setVersion(version);
  request.setName("test");
  if (!ipc::send_packet(socket->get(), message)) return std::nullopt;
  auto packet = ipc::receive_packet(socket->get(), Deadline::in(test::kPatience));
  if (!packet) return std::nullopt;
  auto reply = packet->message.root<wire::AttachReply>();
  Attached attached{std::move(*socket), {}, {}};
  if (reply.isAttached()) {
    CHECK(packet->fds.size() == 3);
    attached.participant = reply.getAttached().getParticipant();
  } else {
    attached.failure = reply.getFailure().getMessage().cStr();
  }
  return attached;
}

Attached attach(const DaemonProcess& daemon, std::uint16_t version = wire::SPAWN_VERSION) {
  auto attached = try_attach(daemon, version);
  REQUIRE(attached);
  return std::move(*attached);
}

unsigned clients(DaemonProcess& daemon) {
  auto reply = daemon.ask([](auto request) { request.setStatus(); });
  REQUIRE(reply);
  return reply->root<wire::AdminReply>().getStatus().getClients();
}

}  // namespace

TEST_CASE("a second daemon on the same directory is refused and the first goes on", "[daemon]") {
  DaemonProcess first(kConfig);
  first.wait_ready();
  DaemonProcess second(kConfig, first.runtime_dir());
  CHECK(second.wait() == 1);
  CHECK(second.log().find("already running (pid " + std::to_string(first.pid()) + ")") != std::string::npos);
  CHECK(first.health() == "ok");
  CHECK(first.stop() == 0);
}

TEST_CASE("after a daemon was killed its workers go by themselves and the next daemon takes its place", "[daemon]") {
  test::TempDir temp;
  DaemonProcess first(kConfig, temp / "run");
  first.wait_ready();
  int worker = first.worker("w").pid;
  first.signal(SIGKILL);
  CHECK(first.wait() == -SIGKILL);
  REQUIRE(std::filesystem::exists(ipc::admin_socket(temp / "run")));
  DaemonProcess second(kConfig, temp / "run");
  second.wait_ready();
  CHECK(second.health() == "ok");
  second.eventually("the end of the first one's worker", [&] { return ::kill(worker, 0) != 0; });
  CHECK(second.stop() == 0);
}

TEST_CASE("clients get numbers above the workers, one each, and give them back", "[daemon]") {
  DaemonProcess daemon(kConfig);
  daemon.wait_ready();
  {
    std::vector<Attached> attached;
    for (ParticipantId expected = 2; expected < limits::kMaxParticipants; ++expected) {
      attached.push_back(attach(daemon));
      REQUIRE(attached.back().participant);
    }
    auto refused = attach(daemon);
    REQUIRE_FALSE(refused.participant);
    CHECK(refused.failure.find("all 63 participants") != std::string::npos);
    CHECK(clients(daemon) == limits::kMaxParticipants - 2);
  }
  daemon.eventually("the end of all clients", [&] { return clients(daemon) == 0; });
  CHECK(attach(daemon).participant);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("an attach request of another version is answered with both versions", "[daemon]") {
  DaemonProcess daemon(kConfig);
  daemon.wait_ready();
  auto refused = attach(daemon, 99);
  REQUIRE_FALSE(refused.participant);
  CHECK(refused.failure.find("99") != std::string::npos);
  CHECK(refused.failure.find("speaks 1") != std::string::npos);
}

TEST_CASE("nonsense on the attach socket is dropped and counted", "[daemon]") {
  DaemonProcess daemon(kConfig);
  daemon.wait_ready();
  auto before = daemon.malformed();
  auto socket = ipc::seqpacket_connect(ipc::attach_socket(daemon.runtime_dir()));
  REQUIRE(socket);
  REQUIRE(::send(socket->get(), "nonsense", 8, 0) == 8);
  CHECK(ipc::receive_packet(socket->get(), Deadline::in(test::kPatience)).error().code == Errc::kUnavailable);
  CHECK(daemon.malformed() == before + 1);
}

TEST_CASE("more silent connections than are waited for are turned away, and clients still get in", "[daemon]") {
  DaemonProcess daemon(kConfig);
  daemon.wait_ready();
  std::vector<Fd> silent;
  for (int i = 0; i < 128; ++i) silent.push_back(*ipc::seqpacket_connect(ipc::attach_socket(daemon.runtime_dir())));
  auto turned_away = ipc::seqpacket_connect(ipc::attach_socket(daemon.runtime_dir()));
  REQUIRE(turned_away);
  auto reply = ipc::receive_packet(turned_away->get(), Deadline::in(test::kPatience));
  REQUIRE(reply);
  CHECK(reply->message.root<wire::AttachReply>().isFailure());
  silent.clear();
  daemon.eventually("an end of the silence", [&] {
    auto attached = try_attach(daemon);
    return attached && attached->participant;
  });
}

TEST_CASE("a daemon without free descriptors turns clients away and recovers", "[daemon]") {
  DaemonProcess daemon(kConfig);
  daemon.wait_ready();
  CHECK(daemon.health() == "ok");  // the admin connection is there before descriptors are used up
  std::size_t open = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(daemon.pid()) + "/fd")) ++open;
  rlimit before{}, tight{open, 4096};
  REQUIRE(::prlimit(daemon.pid(), RLIMIT_NOFILE, nullptr, &before) == 0);
  tight.rlim_max = before.rlim_max;
  REQUIRE(::prlimit(daemon.pid(), RLIMIT_NOFILE, &tight, nullptr) == 0);
  // More connections than there may be gaps among its descriptors: the ones that find none are closed at once.
  std::vector<Fd> sockets;
  for (int i = 0; i < 16; ++i) {
    auto socket = ipc::seqpacket_connect(ipc::attach_socket(daemon.runtime_dir()));
    REQUIRE(socket);
    sockets.push_back(std::move(*socket));
  }
  CHECK(ipc::receive_packet(sockets.back().get(), Deadline::in(test::kPatience)).error().code == Errc::kUnavailable);
  // The connection is closed before the event is logged.
  daemon.eventually("the log entry", [&] { return daemon.log().find("no file descriptor is left") != std::string::npos; });
  sockets.clear();
  CHECK(daemon.health() == "ok");
  REQUIRE(::prlimit(daemon.pid(), RLIMIT_NOFILE, &before, nullptr) == 0);
  CHECK(attach(daemon).participant);
  CHECK(daemon.stop() == 0);
}

TEST_CASE("nonsense and other versions on the ZeroMQ sockets do not disturb the daemon", "[daemon]") {
  DaemonProcess daemon(kConfig);
  daemon.wait_ready();
  auto before = daemon.malformed();
  ipc::ZmqContext context;
  for (const auto& path : {ipc::admin_socket(daemon.runtime_dir()), ipc::control_socket(daemon.runtime_dir())}) {
    auto dealer = ipc::Dealer::connect(context, path, limits::kMaxAdminReplyBytes);
    REQUIRE(dealer);
    std::vector<std::byte> bytes(1000);
    unsigned seed = 1;
    for (int i = 0; i < 50; ++i) {
      for (auto& byte : bytes) byte = static_cast<std::byte>((seed = seed * 1664525 + 1013904223) >> 24);
      REQUIRE(dealer->send(bytes, Deadline::in(test::kPatience)));
    }
  }
  daemon.eventually("the count", [&] { return daemon.malformed() >= before + 100; });

  auto dealer = ipc::Dealer::connect(context, ipc::admin_socket(daemon.runtime_dir()), limits::kMaxAdminReplyBytes);
  REQUIRE(dealer);
  capnp::MallocMessageBuilder message;
  auto request = message.initRoot<wire::AdminRequest>();
  request.setVersion(7);
  request.setId(42);
  REQUIRE(dealer->send(ipc::serialize(message), Deadline::in(test::kPatience)));
  auto bytes = dealer->receive(Deadline::in(test::kPatience));
  REQUIRE(bytes);
  auto reply = ipc::Message::parse(*bytes, limits::kMaxAdminReplyBytes);
  REQUIRE(reply);
  auto root = reply->root<wire::AdminReply>();
  CHECK(root.getId() == 42);
  REQUIRE(root.isFailure());
  std::string why = root.getFailure().getMessage().cStr();
  CHECK(why.find("protocol 7") != std::string::npos);
  CHECK(why.find("speaks 1") != std::string::npos);
  CHECK(daemon.health() == "ok");
  CHECK(daemon.stop() == 0);
}
