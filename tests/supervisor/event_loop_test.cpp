#include "supervisor/event_loop.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

#include "config/fd.h"
#include "tests/support/catch.h"

using namespace tv;
using namespace tv::supervisor;

namespace {

struct Pipe {
  Fd read_end;
  Fd write_end;
  Pipe() {
    int fds[2];
    REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
    read_end = Fd(fds[0]);
    write_end = Fd(fds[1]);
  }
};

}  // namespace

TEST_CASE("a source may destroy itself inside its own callback", "[event_loop]") {
  auto loop = EventLoop::create();
  REQUIRE(loop);
  Source timer;
  std::string captured = "still alive after the source has gone, and too long for a small string";
  std::string seen;
  timer = (*loop)->after(0ns, [&, captured] {
    timer.reset();
    seen = captured;
    (*loop)->quit();
  });
  REQUIRE((*loop)->run());
  CHECK(seen == captured);
}

TEST_CASE("a callback that throws does not end the loop", "[event_loop]") {
  auto loop = EventLoop::create();
  REQUIRE(loop);
  (*loop)->post([] { throw std::runtime_error("on purpose"); });
  auto timer = (*loop)->after(1ms, [&] { (*loop)->quit(); });
  CHECK((*loop)->run());
}

TEST_CASE("posted work runs in order, and what it posts runs later", "[event_loop]") {
  auto loop = EventLoop::create();
  REQUIRE(loop);
  std::string order;
  (*loop)->post([&] {
    order += "a";
    (*loop)->post([&] {
      order += "c";
      (*loop)->quit();
    });
  });
  (*loop)->post([&] { order += "b"; });
  REQUIRE((*loop)->run());
  CHECK(order == "abc");
}

TEST_CASE("work that posts itself again each turn keeps neither timers nor descriptors from theirs", "[event_loop]") {
  auto loop = EventLoop::create();
  REQUIRE(loop);
  Pipe pipe;
  REQUIRE(::write(pipe.write_end.get(), "x", 1) == 1);
  bool read = false;
  bool timed = false;
  std::uint64_t turns = 0;
  std::function<void()> again = [&] {
    bool enough = (read && timed) || ++turns > 10'000'000;
    if (enough) return (*loop)->quit();
    (*loop)->post(again);
  };
  auto source = (*loop)->watch(pipe.read_end.get(), EPOLLIN, [&] {
    char byte;
    read = ::read(pipe.read_end.get(), &byte, 1) == 1;
  });
  auto timer = (*loop)->after(1ms, [&] { timed = true; });
  again();
  REQUIRE((*loop)->run());
  CHECK(read);
  CHECK(timed);
}

TEST_CASE("a descriptor that is watched for hang-up alone stays quiet while it has data", "[event_loop]") {
  auto loop = EventLoop::create();
  REQUIRE(loop);
  Pipe data, silence;
  REQUIRE(::write(data.write_end.get(), "x", 1) == 1);
  int hang_ups = 0;
  auto source = (*loop)->watch(data.read_end.get(), 0, [&] {
    ++hang_ups;
    (*loop)->quit();
  });
  REQUIRE(source);
  auto timer = (*loop)->after(5ms, [&] {
    CHECK(hang_ups == 0);
    data.write_end.reset();
  });
  REQUIRE((*loop)->run());
  CHECK(hang_ups == 1);
}

TEST_CASE("signals arrive as events", "[event_loop]") {
  auto loop = EventLoop::create();
  REQUIRE(loop);
  auto source = (*loop)->on_signal(SIGUSR1, [&] { (*loop)->quit(); });
  REQUIRE(source);
  REQUIRE(::kill(::getpid(), SIGUSR1) == 0);
  CHECK((*loop)->run());
}
