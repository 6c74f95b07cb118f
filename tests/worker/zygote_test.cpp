#include "worker/zygote.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <thread>

#include "tests/worker/zygote_client.h"
#include "worker/parked.h"

namespace tv::test {
namespace {

// A zygote as a child of the test. Its workers end with code 7 when their socket does.
struct ZygoteProcess {
  ZygoteProcess() {
    become_subreaper();
    auto pair = ipc::seqpacket_pair();
    REQUIRE(pair);
    pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      pair->first.reset();
      worker::Zygote zygote(std::move(pair->second), [](Fd socket) {
        auto assigned = worker::wait_for_assignment(socket.get());
        std::puts("out");  // a whole line leaves at once
        (void)!::write(STDERR_FILENO, "err\n", 4);
        return assigned ? 8 : assigned.error().code == Errc::kUnavailable ? 7 : 9;
      });
      ::_exit(zygote.serve() ? 0 : 1);
    }
    socket = std::move(pair->first);
    CHECK(next_answer(socket.get()).ready);
  }

  int pid;
  Fd socket;
};

}  // namespace

TEST_CASE("a forked worker is the supervisor's child and ends with its own code", "[zygote]") {
  ZygoteProcess zygote;
  auto first = fork_one(zygote.socket.get());
  auto second = fork_one(zygote.socket.get());
  CHECK(first.pid != second.pid);
  first.socket.reset();
  CHECK(wait_for_exit(first.pid) == 7);
  second.socket.reset();
  CHECK(wait_for_exit(second.pid) == 7);
  zygote.socket.reset();
  CHECK(wait_for_exit(zygote.pid) == 0);
}

TEST_CASE("a parked worker refuses an assignment of another version or without an arena", "[zygote]") {
  ZygoteProcess zygote;
  auto worker = fork_one(zygote.socket.get());
  capnp::MallocMessageBuilder message;
  message.initRoot<wire::Assignment>().setVersion(wire::SPAWN_VERSION);
  REQUIRE(ipc::send_packet(worker.socket.get(), message));
  CHECK(wait_for_exit(worker.pid) == 9);
  auto other = fork_one(zygote.socket.get());
  message.getRoot<wire::Assignment>().setVersion(wire::SPAWN_VERSION + 1);
  REQUIRE(ipc::send_packet(other.socket.get(), message));
  CHECK(wait_for_exit(other.pid) == 9);
  zygote.socket.reset();
  CHECK(wait_for_exit(zygote.pid) == 0);
}

TEST_CASE("a request without a descriptor or of another version is answered with a failure", "[zygote]") {
  ZygoteProcess zygote;
  CHECK(ask_for_fork(zygote.socket.get(), {}).failure.find("descriptor") != std::string::npos);
  int fd = STDERR_FILENO;
  CHECK(ask_for_fork(zygote.socket.get(), {&fd, 1}, wire::SPAWN_VERSION + 1).failure.find("protocol") != std::string::npos);
  auto worker = fork_one(zygote.socket.get());
  worker.socket.reset();
  CHECK(wait_for_exit(worker.pid) == 7);
  zygote.socket.reset();
  CHECK(wait_for_exit(zygote.pid) == 0);
}

TEST_CASE("workers that are asked for at once are each other's equals: one number and one socket each", "[zygote]") {
  constexpr int kMany = 11;
  ZygoteProcess zygote;
  std::map<std::uint64_t, Fd> sockets;
  for (std::uint64_t token = 0; token < kMany; ++token) {
    auto pair = ipc::seqpacket_pair();
    REQUIRE(pair);
    capnp::MallocMessageBuilder message;
    message.initRoot<wire::ForkRequest>().setVersion(wire::SPAWN_VERSION);
    message.getRoot<wire::ForkRequest>().setToken(token);
    int fd = pair->second.get();
    // One in the middle is refused, and keeps no other from its answer.
    REQUIRE(ipc::send_packet(zygote.socket.get(), message, token == 5 ? std::span<const int>() : std::span<const int>(&fd, 1)));
    sockets[token] = std::move(pair->first);
  }
  std::map<std::uint64_t, int> pids;
  std::set<int> distinct;
  for (int i = 0; i < kMany; ++i) {
    auto packet = ipc::receive_packet(zygote.socket.get(), Deadline::in(60s));
    REQUIRE(packet);
    auto reply = packet->message.root<wire::ForkReply>();
    CHECK(reply.isPid() == (reply.getToken() != 5));
    if (!reply.isPid()) continue;
    pids[reply.getToken()] = reply.getPid();
    distinct.insert(reply.getPid());
  }
  CHECK(distinct.size() == kMany - 1);
  // A worker whose socket ends leaves, and none of the others with it: nobody else has its end.
  for (const auto& [token, pid] : pids) {
    sockets[token].reset();
    CHECK(wait_for_exit(pid) == 7);
    for (const auto& [later, other] : pids)
      if (later > token) CHECK(::kill(other, 0) == 0);
  }
  zygote.socket.reset();
  CHECK(wait_for_exit(zygote.pid) == 0);
}

TEST_CASE("a fork prints to the descriptor that came with the request, line by line, and leaves it to nobody else", "[zygote]") {
  ZygoteProcess zygote;
  int pipe[2];
  REQUIRE(::pipe2(pipe, O_CLOEXEC) == 0);
  Fd read_end(pipe[0]);
  auto pair = ipc::seqpacket_pair();
  REQUIRE(pair);
  int fds[] = {pair->second.get(), pipe[1]};
  auto answer = ask_for_fork(zygote.socket.get(), fds);
  ::close(pipe[1]);
  INFO(answer.failure);
  REQUIRE(answer.pid);
  auto other = fork_one(zygote.socket.get());  // prints where the zygote does
  pair->first.reset();
  pair->second.reset();
  CHECK(wait_for_exit(*answer.pid) == 7);
  // To the end of the pipe, which would not come if somebody else had it.
  std::string text;
  for (char bytes[64]; *wait_readable(read_end.get(), Deadline::in(30s));) {
    auto n = ::read(read_end.get(), bytes, sizeof bytes);
    if (n <= 0) break;
    text.append(bytes, static_cast<std::size_t>(n));
  }
  CHECK(text == "out\nerr\n");
  other.socket.reset();
  CHECK(wait_for_exit(other.pid) == 7);
  zygote.socket.reset();
  CHECK(wait_for_exit(zygote.pid) == 0);
}

TEST_CASE("a zygote whose supervisor has gone before it is ready ends in order", "[zygote]") {
  auto pair = ipc::seqpacket_pair();
  REQUIRE(pair);
  pair->first.reset();
  int pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    worker::Zygote zygote(std::move(pair->second), [](Fd) { return 9; });
    ::_exit(zygote.serve() ? 0 : 1);
  }
  CHECK(wait_for_exit(pid) == 0);
}

TEST_CASE("a process with a second thread may not be forked", "[zygote]") {
  CHECK(worker::check_forkable());
  std::atomic<bool> end{false};
  std::thread second([&] { end.wait(false); });
  auto refused = worker::check_forkable();
  end = true;
  end.notify_all();
  second.join();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("2 threads") != std::string::npos);
}

}  // namespace tv::test
