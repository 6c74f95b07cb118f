// The real binary, where no daemon runs.
#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "config/fd.h"
#include "tests/support/catch.h"
#include "tests/tools/temp_dir.h"

extern char** environ;

namespace {

using namespace tv;

struct Ended {
  int exit_code = -1;
  std::string out;
  std::string err;
};

Ended run(const test::TempDir& dir, std::vector<std::string> words, const std::string& out_path = "") {
  words.insert(words.begin(), TENSORCTL);
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  auto out = out_path.empty() ? dir.file("out") : out_path, err = dir.file("err");
  posix_spawn_file_actions_t actions;
  REQUIRE(posix_spawn_file_actions_init(&actions) == 0);
  REQUIRE(posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600) == 0);
  REQUIRE(posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600) == 0);
  pid_t child = 0;
  REQUIRE(posix_spawn(&child, TENSORCTL, &actions, nullptr, argv.data(), environ) == 0);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return {WEXITSTATUS(status), out_path.empty() ? test::read_bytes(out) : "", test::read_bytes(err)};
}

void check_not_running(const test::TempDir& dir, const std::string& runtime_dir, const std::vector<std::string>& words) {
  auto with_dir = words;
  with_dir.insert(with_dir.end(), {"--runtime-dir", runtime_dir});
  auto ended = run(dir, with_dir);
  INFO(words.front() << ": " << ended.err);
  CHECK(ended.exit_code == 3);
  CHECK(ended.out.empty());
  CHECK(ended.err.starts_with("tensorctl: "));
  CHECK(std::count(ended.err.begin(), ended.err.end(), '\n') == 1);
  CHECK(ended.err.find(runtime_dir) != std::string::npos);
}

const std::vector<std::vector<std::string>> kNeedADaemon = {
    {"status"},    {"list", "workers"}, {"describe", "actor", "x"}, {"call", "x", "y", "1"}, {"kill", "x"}, {"restart", "x"},
    {"stop", "x"}, {"shutdown"},        {"arena", "stats"},         {"arena", "fsck"},
    {"drain", "x"}, {"scale", "x", "2"},  {"start", "x"},           {"list"},          {"describe", "x"},
    {"restart", "-l", "team=vision"},     {"stop", "x", "--dry-run"}, {"restart", "x", "--wait"}, {"list", "workers", "--watch"}};

}  // namespace

TEST_CASE("without a daemon every verb that needs one ends with exit code 3 and one line", "[tensorctl]") {
  test::TempDir dir;
  for (const auto& words : kNeedADaemon) check_not_running(dir, dir.path(), words);
  check_not_running(dir, dir.file("no-such-directory"), {"status"});
}

TEST_CASE("sockets that a dead daemon has left behind mean that none is running", "[tensorctl]") {
  test::TempDir dir;
  std::vector<Fd> dead;
  for (const char* name : {"admin.sock", "attach.sock"}) {
    // Bound and never listened on: what connects is refused, as after a crash.
    Fd fd(::socket(AF_UNIX, std::string(name) == "admin.sock" ? SOCK_STREAM : SOCK_SEQPACKET, 0));
    REQUIRE(fd);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    auto path = dir.file(name);
    REQUIRE(path.size() < sizeof address.sun_path);
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  for (const auto& words : kNeedADaemon) check_not_running(dir, dir.path(), words);
  auto ended = run(dir, {"status", "-r", dir.path()});
  CHECK(ended.err.find("admin.sock is there, but nobody listens on it") != std::string::npos);
  CHECK(ended.err.find("(no ") == std::string::npos);
}

TEST_CASE("version and help need no daemon", "[tensorctl]") {
  test::TempDir dir;
  auto version = run(dir, {"version"});
  CHECK(version.exit_code == 0);
  CHECK(version.out.starts_with("tensorctl "));
  CHECK(run(dir, {"--help"}).exit_code == 0);
}

TEST_CASE("misuse ends with exit code 2 before anybody is asked", "[tensorctl]") {
  test::TempDir dir;
  CHECK(run(dir, {"frobnicate"}).exit_code == 2);
  auto broken = run(dir, {"call", "x", "y", "[1, 2", "-r", dir.path()});
  CHECK(broken.exit_code == 2);
  CHECK(broken.err.find("argument 1") != std::string::npos);
  CHECK(run(dir, {"call", "x", "y", "@file.txt", "-r", dir.path()}).exit_code == 2);
}

TEST_CASE("output that cannot be written is a failure", "[tensorctl]") {
  test::TempDir dir;
  auto ended = run(dir, {"version"}, "/dev/full");
  CHECK(ended.exit_code == 1);
  CHECK(ended.err.find("standard output") != std::string::npos);
}
