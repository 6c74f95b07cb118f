#include "worker/parked.h"

#include "ipc/seqpacket.h"

namespace tv::worker {
namespace {

// The socket's end is what ends the wait; the deadline only makes each turn of it finite.
Result<ipc::PacketIn> next_packet(int socket) {
  for (;;) {
    auto packet = ipc::receive_packet(socket, Deadline::in(1h));
    if (packet || packet.error().code != Errc::kDeadlineExceeded) return packet;
  }
}

}  // namespace

Result<Assigned> wait_for_assignment(int socket) {
  auto packet = TV_TRY(next_packet(socket));
  auto version = TV_TRY(ipc::guard([&] { return packet.message.root<wire::Assignment>().getVersion(); }));
  if (version != wire::SPAWN_VERSION)
    return Error{Errc::kProtocol, "the supervisor speaks spawn protocol " + std::to_string(version) + ", this worker " +
                                      std::to_string(wire::SPAWN_VERSION) + ": install both from one release"};
  return Assigned{std::move(packet.message), TV_TRY(shm::ArenaFds::from(std::move(packet.fds)))};
}

}  // namespace tv::worker
