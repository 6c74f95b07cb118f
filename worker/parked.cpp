#include "worker/parked.h"

#include <dlfcn.h>

#include <string>
#include <thread>

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

constexpr Nanoseconds kSoon = 20ms;

// A fork begins without the page table entries of its libraries, and finds each by a fault. What the first steps of a worker look at is
// looked at here, before there is any hurry: the symbol tables that a plug-in's symbols are looked for in, and the stack of a thread.
void warm_up() {
  constexpr int kLookups = 64;  // each looks at other pages of the larger tables
  for (int i = 0; i < kLookups; ++i) (void)::dlsym(RTLD_DEFAULT, ("tensorvisor_no_such_symbol_" + std::to_string(i)).c_str());
  (void)::dlerror();
  std::thread([] {}).join();
}

}  // namespace

Result<Assigned> wait_for_assignment(int socket) {
  // One that is forked for a worker gets its assignment at once.
  if (auto soon = wait_readable(socket, Deadline::in(kSoon)); soon && !*soon) warm_up();
  auto packet = TV_TRY(next_packet(socket));
  auto version = TV_TRY(ipc::guard([&] { return packet.message.root<wire::Assignment>().getVersion(); }));
  if (version != wire::SPAWN_VERSION)
    return Error{Errc::kProtocol, "the supervisor speaks spawn protocol " + std::to_string(version) + ", this worker " +
                                      std::to_string(wire::SPAWN_VERSION) + ": install both from one release"};
  return Assigned{std::move(packet.message), TV_TRY(shm::ArenaFds::from(std::move(packet.fds)))};
}

}  // namespace tv::worker
