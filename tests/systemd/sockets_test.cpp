#include "systemd/sockets.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

#include "systemd/fd_store.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

using namespace tv;
using namespace tv::systemd;

namespace {

Fd bound(const std::string& path, int type, bool listens) {
  Fd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  if (listens) REQUIRE(::listen(fd.get(), 4) == 0);
  return fd;
}

}  // namespace

TEST_CASE("a passed socket has to listen, as a stream, where it is wanted") {
  test::TempDir dir;
  std::string path = dir.path() + "/a";
  CHECK(check_listens_on(bound(path, SOCK_STREAM, true), path, SOCK_STREAM).ok());
  auto elsewhere = check_listens_on(bound(dir.path() + "/b", SOCK_STREAM, true), path, SOCK_STREAM);
  REQUIRE_FALSE(elsewhere);
  CHECK(elsewhere.error().message.find("ListenStream=" + path) != std::string::npos);
  CHECK_FALSE(check_listens_on(bound(dir.path() + "/c", SOCK_STREAM, false), dir.path() + "/c", SOCK_STREAM).ok());
  CHECK_FALSE(check_listens_on(bound(dir.path() + "/d", SOCK_DGRAM, false), dir.path() + "/d", SOCK_STREAM).ok());
}

TEST_CASE("who was passed nothing has no descriptors") { CHECK(take_passed().empty()); }
