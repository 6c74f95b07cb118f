// The supervisor's end of a zygote: asks for forks, is the parent of what is forked.
#pragma once

#include <sys/prctl.h>
#include <sys/wait.h>

#include <optional>
#include <string>

#include "ipc/seqpacket.h"
#include "ipc/spawn.capnp.h"
#include "tests/support/catch.h"

namespace tv::test {

struct ForkAnswer {
  bool ready = false;
  std::optional<int> pid;
  std::string failure;
};

inline ForkAnswer next_answer(int socket) {
  auto packet = ipc::receive_packet(socket, Deadline::in(60s));
  if (!packet) FAIL(packet.error().message);
  auto root = packet->message.root<wire::ForkReply>();
  ForkAnswer answer;
  answer.ready = root.isReady();
  if (root.isPid()) answer.pid = root.getPid();
  if (root.isFailure()) answer.failure = root.getFailure().getMessage();
  return answer;
}

inline ForkAnswer ask_for_fork(int socket, std::span<const int> fds, int version = wire::SPAWN_VERSION) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<wire::ForkRequest>();
  root.setVersion(static_cast<std::uint16_t>(version));
  root.setToken(1);
  REQUIRE(ipc::send_packet(socket, message, fds));
  return next_answer(socket);
}

// A forked worker with the supervisor's end of its socket.
struct Forked {
  int pid;
  Fd socket;
};
inline Forked fork_one(int zygote) {
  auto pair = ipc::seqpacket_pair();
  REQUIRE(pair);
  int fd = pair->second.get();
  auto answer = ask_for_fork(zygote, {&fd, 1});
  INFO(answer.failure);
  REQUIRE(answer.pid);
  return {*answer.pid, std::move(pair->first)};
}

// Exit code of a child, or 128 + signal. Works for workers because the test is their subreaper.
inline int wait_for_exit(int pid) {
  int status = 0;
  auto reaped = ::waitpid(pid, &status, 0);
  REQUIRE(reaped == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

inline void become_subreaper() { REQUIRE(::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0); }

}  // namespace tv::test
