#include "config/fd.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "tests/config/loading.h"

using namespace tv;
using tv::config::contains;
using tv::config::TemporaryFolder;

namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

struct Pipe {
  Pipe() {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    reader = Fd(ends[0]);
    writer = Fd(ends[1]);
  }
  Fd reader, writer;
};

}  // namespace

TEST_CASE("a descriptor is closed once by its last owner") {
  int number;
  {
    Pipe pipe;
    number = pipe.reader.get();
    Fd moved = std::move(pipe.reader);
    CHECK_FALSE(pipe.reader);
    CHECK(moved.get() == number);
    CHECK(is_open(number));
    auto& same = moved;
    moved = std::move(same);
    CHECK(is_open(number));
  }
  CHECK_FALSE(is_open(number));
}

TEST_CASE("a released descriptor stays open") {
  Pipe pipe;
  int number = pipe.reader.release();
  CHECK_FALSE(pipe.reader);
  CHECK(is_open(number));
  ::close(number);
}

TEST_CASE("a duplicate is another descriptor that programs do not inherit") {
  Pipe pipe;
  auto copy = pipe.reader.duplicate();
  REQUIRE(copy);
  CHECK(copy->get() != pipe.reader.get());
  CHECK((::fcntl(copy->get(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK_FALSE(Fd().duplicate());
}

TEST_CASE("a file is read whole up to the limit and refused beyond it") {
  TemporaryFolder folder;
  std::string content(50'000, 'x');
  auto path = folder.write("a", content);
  CHECK(read_file(path, 50'000).value() == content);
  auto refused = read_file(path, 49'999);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::kLimit);
  CHECK(read_file(folder.write("empty", ""), 0).value().empty());
}

TEST_CASE("what is no regular file is refused without waiting for it") {
  TemporaryFolder folder;
  REQUIRE(::mkfifo(folder.path("fifo").c_str(), 0600) == 0);
  for (const auto& path : {folder.path("fifo"), folder.path(), std::string("/dev/zero")}) {
    auto refused = read_file(path, 100);
    INFO(path);
    REQUIRE_FALSE(refused);
    CHECK(contains(refused.error().message, "not a regular file"));
  }
  CHECK(contains(read_file(folder.path("none"), 100).error().message, "No such file"));
}

TEST_CASE("a file is replaced with its mode and nothing is left beside it") {
  TemporaryFolder folder;
  auto path = folder.write("a", "old and longer");
  REQUIRE(write_file_atomically(path, "new", 0600));
  CHECK(read_file(path, 100).value() == "new");
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  CHECK_FALSE(std::filesystem::exists(path + ".new"));
}

TEST_CASE("a file that cannot be replaced is left as it was") {
  TemporaryFolder folder;
  REQUIRE(std::filesystem::create_directories(folder.path("target/child")));
  CHECK_FALSE(write_file_atomically(folder.path("target"), "new", 0600));
  CHECK(std::filesystem::is_directory(folder.path("target/child")));
  CHECK_FALSE(std::filesystem::exists(folder.path("target.new")));
  CHECK_FALSE(write_file_atomically(folder.path("none/a"), "new", 0600));
}

TEST_CASE("writing to a full device is an error") {
  Fd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  REQUIRE(full);
  CHECK(contains(write_all(full.get(), std::as_bytes(std::span("x", 1))).error().message, "No space left"));
}

TEST_CASE("waiting ends at readiness or at the end of the stream or at the deadline") {
  Pipe pipe;
  CHECK_FALSE(wait_readable(pipe.reader.get(), Deadline::in(1ms)).value());
  REQUIRE(write_all(pipe.writer.get(), std::as_bytes(std::span("x", 1))));
  CHECK(wait_readable(pipe.reader.get(), Deadline::in(10s)).value());
  Pipe ended;
  ended.writer.reset();
  CHECK(wait_readable(ended.reader.get(), Deadline::in(10s)).value());
}

TEST_CASE("a pidfd tells of its process's end") {
  pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  auto pidfd = open_pidfd(child);
  REQUIRE(pidfd);
  CHECK_FALSE(wait_readable(pidfd->get(), Deadline::in(1ms)).value());
  ::kill(child, SIGKILL);
  CHECK(wait_readable(pidfd->get(), Deadline::in(30s)).value());
  ::waitpid(child, nullptr, 0);
  CHECK_FALSE(open_pidfd(child));
}
