#include "supervisor/children.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/catch.h"

using namespace tv;
using namespace tv::supervisor;

namespace {

struct Fixture {
  std::unique_ptr<EventLoop> loop = *EventLoop::create();
  Children children{*loop};
  Source patience = loop->after(30s, [this] {
    timed_out = true;
    loop->quit();
  });
  bool timed_out = false;

  Fixture() { REQUIRE(children.start()); }
  void run() {
    REQUIRE(loop->run());
    REQUIRE_FALSE(timed_out);
  }
};

template <class Body>
pid_t child(Body body) {
  pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    body();
    ::_exit(0);
  }
  return pid;
}

bool is_reaped(pid_t pid) { return ::kill(pid, 0) != 0; }

}  // namespace

TEST_CASE("a child's end is reported once, with its cause, and its number is forgotten", "[children]") {
  Fixture f;
  pid_t pid = child([] { ::_exit(70); });
  auto adopted = f.children.adopt(pid);
  REQUIRE(adopted);
  Cause seen;
  (*adopted)->on_exit([&](const Cause& cause, std::int64_t) {
    seen = cause;
    adopted->reset();
    f.loop->quit();
  });
  f.run();
  CHECK(seen.text == "exit code 70 (actor bug)");
  CHECK(is_reaped(pid));
  CHECK(f.children.known() == 0);
}

TEST_CASE("a child that ended before it was adopted is reported as well", "[children]") {
  Fixture f;
  pid_t pid = child([] { ::_exit(3); });
  siginfo_t info{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) == 0);
  auto adopted = f.children.adopt(pid);
  REQUIRE(adopted);
  CHECK((*adopted)->ended());
  Cause seen;
  (*adopted)->on_exit([&](const Cause& cause, std::int64_t) {
    seen = cause;
    f.loop->quit();
  });
  f.run();
  CHECK(seen.text == "exit code 3");
  CHECK_FALSE((*adopted)->signal(SIGKILL));
}

TEST_CASE("a grandchild whose parent has died is inherited and reaped", "[children]") {
  Fixture f;
  int number[2], life[2];
  REQUIRE(::pipe(number) == 0);
  REQUIRE(::pipe(life) == 0);
  pid_t parent = child([&] {
    pid_t orphan = ::fork();
    if (orphan == 0) {
      char byte;
      ::close(life[1]);
      while (::read(life[0], &byte, 1) < 0 && errno == EINTR) {
      }
      ::_exit(0);
    }
    [[maybe_unused]] auto n = ::write(number[1], &orphan, sizeof orphan);
  });
  auto adopted = f.children.adopt(parent);
  REQUIRE(adopted);
  pid_t orphan = 0;
  bool read_all = false;
  (*adopted)->on_exit([&](const Cause&, std::int64_t) {
    ::close(number[1]);
    read_all = ::read(number[0], &orphan, sizeof orphan) == sizeof orphan;
    ::close(life[1]);  // lets the orphan go
  });
  std::function<void()> look = [&] {
    if (orphan != 0 && is_reaped(orphan)) return f.loop->quit();
    f.loop->post(look);
  };
  look();
  f.run();
  CHECK(read_all);
  ::close(number[0]);
  ::close(life[0]);
}

TEST_CASE("a stranger is left alone while a fork is under way, since it may be ours", "[children]") {
  Fixture f;
  f.children.fork_begins();
  pid_t pid = child([] { ::_exit(5); });
  siginfo_t info{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) == 0);
  Cause seen;
  std::unique_ptr<Child> adopted;
  auto timer = f.loop->after(5ms, [&] {
    auto taken = f.children.adopt(pid);
    REQUIRE(taken);
    adopted = std::move(*taken);
    adopted->on_exit([&](const Cause& cause, std::int64_t) {
      seen = cause;
      f.loop->quit();
    });
    f.children.fork_ends();
  });
  f.run();
  CHECK(seen.text == "exit code 5");
}

TEST_CASE("dismissed children are waited for, and killed when nobody wants to wait", "[children]") {
  Fixture f;
  pid_t pid = child([] {
    for (;;) ::pause();
  });
  auto adopted = f.children.adopt(pid);
  REQUIRE(adopted);
  f.children.dismiss(std::move(*adopted));
  bool none = false;
  f.children.when_none([&] {
    none = true;
    f.loop->quit();
  });
  CHECK_FALSE(none);
  f.children.kill_dismissed();
  f.run();
  CHECK(none);
  CHECK(is_reaped(pid));
}

TEST_CASE("strangers that were inherited are killed at the end", "[children]") {
  Fixture f;
  pid_t pid = child([] {
    for (;;) ::pause();
  });
  f.children.kill_strangers();
  CHECK(is_reaped(pid));
}
