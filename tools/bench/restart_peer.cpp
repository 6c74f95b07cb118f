// tv-bench-peer STATE SOCKET: what `tv-bench restart` lets other supervisors keep alive. Reads its state from a file and then answers whoever
// connects with its process number. Loads nothing else, so that a peer's figure is the supervisor's own time and that of reading the state.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: tv-bench-peer STATE SOCKET\n", stderr);
    return 2;
  }
  std::ifstream file(argv[1], std::ios::binary | std::ios::ate);
  if (!file) {
    std::fprintf(stderr, "tv-bench-peer: cannot read %s\n", argv[1]);
    return 1;
  }
  std::vector<char> state(static_cast<std::size_t>(file.tellg()));
  file.seekg(0);
  file.read(state.data(), static_cast<std::streamsize>(state.size()));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, argv[2], sizeof address.sun_path - 1);
  ::unlink(argv[2]);
  int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0 || ::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(listener, 8) != 0) {
    std::perror("tv-bench-peer");
    return 1;
  }
  for (;;) {
    int peer = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (peer < 0) continue;
    std::int64_t pid = ::getpid();
    if (::write(peer, &pid, sizeof pid) < 0) std::perror("tv-bench-peer");
    ::close(peer);
  }
}
