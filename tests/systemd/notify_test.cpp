#include "systemd/notify.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

#include "config/fd.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

using namespace tv;
using namespace tv::systemd;

namespace {

// The service manager's end, for as long as it lives.
struct Manager {
  Manager() : fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    std::string path = dir.path() + "/notify";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  }
  ~Manager() { ::unsetenv("NOTIFY_SOCKET"); }
  std::string heard() {
    char text[4096];
    auto n = ::recv(fd.get(), text, sizeof text, MSG_DONTWAIT);
    return {text, n > 0 ? static_cast<std::size_t>(n) : 0};
  }

  test::TempDir dir;
  Fd fd;
};

}  // namespace

TEST_CASE("the service manager is told of readiness and status, each in one line") {
  Manager manager;
  notify_ready("3 workers,\n6 actors ready");
  CHECK(manager.heard() == "READY=1\nSTATUS=3 workers, 6 actors ready");
  notify_status("2 of 3 workers");
  CHECK(manager.heard() == "STATUS=2 of 3 workers");
  notify_stopping("stopping workers");
  CHECK(manager.heard() == "STOPPING=1\nSTATUS=stopping workers");
}

TEST_CASE("progress asks for more time, in microseconds") {
  Manager manager;
  notify_progress("starting", 90s);
  CHECK(manager.heard() == "EXTEND_TIMEOUT_USEC=90000000\nSTATUS=starting");
}

TEST_CASE("a reload is told with its time, which is the manager's clock") {
  Manager manager;
  auto before = monotonic_ns() / 1000;
  notify_reloading();
  auto text = manager.heard();
  const std::string head = "RELOADING=1\nMONOTONIC_USEC=";
  REQUIRE(text.starts_with(head));
  auto told = std::stoll(text.substr(head.size()));
  CHECK(told >= before);
  CHECK(told <= monotonic_ns() / 1000);
}

TEST_CASE("without a service manager nothing is told, and nothing fails") {
  ::unsetenv("NOTIFY_SOCKET");
  notify_ready("ready");
  notify_reloading();
}

TEST_CASE("what the service manager meant for the daemon alone is not handed on to its children") {
  CHECK(is_private_variable("NOTIFY_SOCKET=/run/x"));
  CHECK(is_private_variable("LISTEN_FDS=1"));
  CHECK(is_private_variable("WATCHDOG_USEC=1"));
  CHECK_FALSE(is_private_variable("NOTIFY_SOCKETS=/run/x"));
  CHECK_FALSE(is_private_variable("PATH=/bin"));
}
