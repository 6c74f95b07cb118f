#include "supervisor/runtime_dir.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "ipc/admin_client.h"
#include "tests/support/catch.h"
#include "tests/supervisor/path_in.h"

using namespace tv;
using namespace tv::supervisor;
namespace fs = std::filesystem;

TEST_CASE("a missing runtime directory is made, private, and removed at the end", "[runtime_dir]") {
  test::TempDir temp;
  std::string path = temp / "a/b";
  {
    auto dir = RuntimeDir::claim(path);
    REQUIRE(dir);
    struct stat info {};
    REQUIRE(::stat(path.c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0700);
    CHECK(fs::exists(path + "/lock"));
  }
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("a runtime directory that was there stays, without our files", "[runtime_dir]") {
  test::TempDir temp;
  {
    auto dir = RuntimeDir::claim(temp.path());
    REQUIRE(dir);
    std::ofstream(ipc::admin_socket(temp.path())) << "left";
  }
  CHECK(fs::exists(temp.path()));
  CHECK(fs::is_empty(temp.path()));
}

TEST_CASE("files of others survive in a directory that we made", "[runtime_dir]") {
  test::TempDir temp;
  std::string path = temp / "run";
  {
    auto dir = RuntimeDir::claim(path);
    REQUIRE(dir);
    std::ofstream(path + "/notes") << "mine";
  }
  CHECK(fs::exists(path + "/notes"));
  CHECK_FALSE(fs::exists(path + "/lock"));
}

TEST_CASE("a second daemon is refused and told the number of the first and what to do", "[runtime_dir]") {
  test::TempDir temp;
  auto first = RuntimeDir::claim(temp.path());
  REQUIRE(first);
  auto second = RuntimeDir::claim(temp.path());
  REQUIRE_FALSE(second);
  CHECK(second.error().code == Errc::kAlreadyExists);
  CHECK(second.error().message == "already running (pid " + std::to_string(::getpid()) + ") in " + temp.path() +
                                      "; stop it or choose another [supervisor] runtime_dir");
  CHECK(fs::exists(temp / "lock"));
}

TEST_CASE("what a dead daemon left behind is taken over", "[runtime_dir]") {
  test::TempDir temp;
  pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    auto dir = RuntimeDir::claim(temp.path());
    for (const auto& socket : {ipc::admin_socket(temp.path()), ipc::control_socket(temp.path()), ipc::attach_socket(temp.path())})
      std::ofstream{socket};
    ::kill(::getpid(), dir ? SIGKILL : SIGTERM);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WTERMSIG(status) == SIGKILL);
  REQUIRE(fs::exists(ipc::admin_socket(temp.path())));
  auto dir = RuntimeDir::claim(temp.path());
  REQUIRE(dir);
  CHECK_FALSE(fs::exists(ipc::admin_socket(temp.path())));
  CHECK_FALSE(fs::exists(ipc::attach_socket(temp.path())));
}

TEST_CASE("a file or a symbolic link in the place of the directory is refused, and left alone", "[runtime_dir]") {
  test::TempDir temp;
  std::string path = temp / "run";
  SECTION("file") { std::ofstream(path) << "mine"; }
  SECTION("symbolic link") {
    fs::create_directory(temp / "target");
    fs::create_symlink(temp / "target", path);
  }
  auto dir = RuntimeDir::claim(path);
  REQUIRE_FALSE(dir);
  CHECK(dir.error().message.find(path) != std::string::npos);
  CHECK(dir.error().message.find("[supervisor] runtime_dir") != std::string::npos);
  CHECK(fs::exists(path));
}

TEST_CASE("a directory that cannot be made because a file is in the way says so", "[runtime_dir]") {
  test::TempDir temp;
  std::ofstream(temp / "file") << "mine";
  auto dir = RuntimeDir::claim(temp / "file/run");
  REQUIRE_FALSE(dir);
  CHECK(dir.error().message.find("Not a directory") != std::string::npos);
}

TEST_CASE("a directory that others can write is refused", "[runtime_dir]") {
  test::TempDir temp;
  REQUIRE(::chmod(temp.path().c_str(), 0777) == 0);
  auto dir = RuntimeDir::claim(temp.path());
  REQUIRE_FALSE(dir);
  CHECK(dir.error().code == Errc::kPermission);
}

TEST_CASE("a path that leaves no room for a socket's name is refused", "[runtime_dir]") {
  test::TempDir temp;
  auto dir = RuntimeDir::claim(temp / std::string(100, 'x'));
  REQUIRE_FALSE(dir);
  CHECK(dir.error().message.find("at most 80") != std::string::npos);
}

TEST_CASE("a socket that the service manager has made is removed neither at the start nor at the end", "[runtime_dir]") {
  test::TempDir temp;
  auto admin = ipc::admin_socket(temp.path());
  std::ofstream(admin) << "theirs";
  std::ofstream(ipc::attach_socket(temp.path())) << "left";
  {
    auto dir = RuntimeDir::claim(temp.path(), {admin});
    REQUIRE(dir);
    CHECK(fs::exists(admin));
    CHECK_FALSE(fs::exists(ipc::attach_socket(temp.path())));
  }
  CHECK(fs::exists(admin));
}
