#include "ipc/seqpacket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/spawn.capnp.h"
#include "tests/ipc/support.h"

namespace tv::ipc {
namespace {

struct Fork {
  capnp::MallocMessageBuilder builder;
  explicit Fork(std::uint64_t token, std::size_t padding = 0) {
    auto request = builder.initRoot<wire::AttachRequest>();
    request.setVersion(static_cast<std::uint16_t>(token));
    request.setName(std::string(padding, 'x'));
  }
};

Result<std::uint16_t> version_of(const PacketIn& packet) {
  return guard([&] { return packet.message.root<wire::AttachRequest>().getVersion(); });
}

std::pair<Fd, Fd> make_pair() {
  auto made = seqpacket_pair();
  if (!made) FAIL(made.error().message);
  return *std::move(made);
}

bool same_file(int a, int b) {
  struct stat sa {}, sb {};
  return ::fstat(a, &sa) == 0 && ::fstat(b, &sb) == 0 && sa.st_ino == sb.st_ino && sa.st_dev == sb.st_dev;
}

std::size_t open_descriptors() {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++n;
  return n;
}

TEST_CASE("a packet arrives with its descriptors, close-on-exec", "[seqpacket]") {
  auto [a, b] = make_pair();
  test::TempDir dir;
  Fd file(::open(dir.file("x").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  Fork message(7);
  int fds[] = {file.get(), a.get()};
  REQUIRE(send_packet(a.get(), message.builder, fds).ok());
  auto packet = receive_packet(b.get(), test::patience());
  INFO(test::error_text(packet));
  REQUIRE(packet.ok());
  CHECK(*version_of(*packet) == 7);
  REQUIRE(packet->fds.size() == 2);
  CHECK(same_file(packet->fds[0].get(), file.get()));
  CHECK((::fcntl(packet->fds[0].get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("packets keep their order and their bounds", "[seqpacket]") {
  auto [a, b] = make_pair();
  for (std::uint16_t i = 1; i <= 3; ++i) {
    Fork message(i, i * 1000);
    REQUIRE(send_packet(a.get(), message.builder).ok());
  }
  for (std::uint16_t i = 1; i <= 3; ++i) CHECK(*version_of(*receive_packet(b.get(), test::patience())) == i);
}

TEST_CASE("a peer that is gone is unavailable to sender and receiver", "[seqpacket]") {
  auto [a, b] = make_pair();
  b.reset();
  Fork message(1);
  CHECK(send_packet(a.get(), message.builder).error().code == Errc::kUnavailable);
  CHECK(receive_packet(a.get(), test::patience()).error().code == Errc::kUnavailable);
}

TEST_CASE("a peer that says nothing costs the deadline and no more", "[seqpacket]") {
  auto [a, b] = make_pair();
  CHECK(receive_packet(a.get(), Deadline::in(5ms)).error().code == Errc::kDeadlineExceeded);
}

TEST_CASE("a peer that does not read is overloaded", "[seqpacket]") {
  auto [a, b] = make_pair();
  Fork message(1, 100'000);
  Result<void> sent;
  for (int i = 0; i < 1000 && sent; ++i) sent = send_packet(a.get(), message.builder);
  REQUIRE_FALSE(sent.ok());
  CHECK(sent.error().code == Errc::kOverloaded);
}

TEST_CASE("a packet beyond the limit is not sent", "[seqpacket]") {
  auto [a, b] = make_pair();
  Fork message(1, kMaxPacketBytes);
  CHECK(send_packet(a.get(), message.builder).error().code == Errc::kLimit);
  Fork largest(1, kMaxPacketBytes - 100);
  REQUIRE(send_packet(a.get(), largest.builder).ok());
  CHECK(receive_packet(b.get(), test::patience()).ok());
}

TEST_CASE("a truncated or malformed packet is refused and its descriptors are closed", "[seqpacket][hostile]") {
  auto [a, b] = make_pair();
  auto raw_send = [&a = a](std::span<const std::byte> bytes, std::size_t fd_count) {
    iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    std::vector<int> fds(fd_count, a.get());
    std::vector<std::byte> control(CMSG_SPACE(fd_count * sizeof(int)));
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    std::memcpy(CMSG_DATA(c), fds.data(), fd_count * sizeof(int));
    REQUIRE(::sendmsg(a.get(), &header, MSG_NOSIGNAL) > 0);
  };
  auto before = open_descriptors();
  raw_send(std::vector<std::byte>(kMaxPacketBytes + 8), 2);
  CHECK(receive_packet(b.get(), test::patience()).error().code == Errc::kProtocol);
  raw_send(std::vector<std::byte>(24, std::byte{0xee}), 3);
  CHECK(receive_packet(b.get(), test::patience()).error().code == Errc::kProtocol);
  raw_send(std::vector<std::byte>(3), 1);
  CHECK(receive_packet(b.get(), test::patience()).error().code == Errc::kProtocol);
  raw_send(std::vector<std::byte>(16), kMaxPacketFds + 4);
  CHECK(receive_packet(b.get(), test::patience()).error().code == Errc::kProtocol);
  CHECK(open_descriptors() == before);
}

TEST_CASE("a listening socket is for its owner alone and tells who connects", "[seqpacket]") {
  test::TempDir dir;
  auto path = dir.file("s");
  auto listener = listen_on(path, SOCK_SEQPACKET, 4);
  REQUIRE(listener.ok());
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  auto client = seqpacket_connect(path);
  REQUIRE(client.ok());
  Fd server(::accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC));
  auto peer = peer_credentials(server.get());
  REQUIRE(peer.ok());
  CHECK(peer->pid == ::getpid());
  CHECK(peer->uid == ::getuid());
}

TEST_CASE("connecting where nobody listens is unavailable, to a path too long an invalid argument", "[seqpacket]") {
  test::TempDir dir;
  CHECK(seqpacket_connect(dir.file("none")).error().code == Errc::kUnavailable);
  CHECK(seqpacket_connect(std::string(200, 'x')).error().code == Errc::kInvalidArgument);
  { auto listener = listen_on(dir.file("stale"), SOCK_SEQPACKET, 1); }
  CHECK(seqpacket_connect(dir.file("stale")).error().code == Errc::kUnavailable);
}

}  // namespace
}  // namespace tv::ipc
