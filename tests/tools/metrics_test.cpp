#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "config/clock.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"
#include "tools/metrics/exposition.h"
#include "tools/metrics/server.h"

using namespace tv;
using namespace tv::metrics;
using tv::test::TempDir;

namespace {

// A server on a socket of its own, until the end of the test.
class Served {
 public:
  explicit Served(std::string page) {
    auto listener = listen_at("unix:" + path());
    REQUIRE(listener);
    thread_ = std::thread([this, fd = std::make_shared<Fd>(std::move(*listener)), page] {
      Server server(std::move(*fd), [page] { return page; });
      ran_ = server.run(stop_.get()).ok();
    });
  }
  ~Served() {
    (void)::eventfd_write(stop_.get(), 1);
    thread_.join();
    CHECK(ran_);
  }

  std::string path() const { return dir_.path() + "/metrics.sock"; }
  Fd connected() const {
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path().c_str(), sizeof address.sun_path - 1);
    REQUIRE(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    return fd;
  }
  static void say(const Fd& fd, const std::string& text) {
    REQUIRE(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
  }
  // All that comes until the server has closed the connection.
  static std::string all_of(const Fd& fd) {
    std::string text;
    char bytes[4096];
    auto deadline = Deadline::in(30s);
    while (wait_readable(fd.get(), deadline).value_or(false)) {
      ssize_t n = ::recv(fd.get(), bytes, sizeof bytes, 0);
      if (n <= 0) return text;
      text.append(bytes, static_cast<std::size_t>(n));
    }
    FAIL("the server does not end the connection");
    return text;
  }
  std::string ask(const std::string& request) const {
    auto fd = connected();
    say(fd, request);
    return all_of(fd);
  }

 private:
  TempDir dir_;
  Fd stop_{::eventfd(0, EFD_CLOEXEC)};
  bool ran_ = false;
  std::thread thread_;
};

}  // namespace

TEST_CASE("a label may be any text, and the page stays a page") {
  Exposition out;
  out.gauge("tensorvisor_thing", "A thing.");
  out.sample(7, {{"name", "a\"b\\c\nd"}, {"other", "caf\xc3\xa9 \xff"}});
  CHECK(out.text() ==
        "# HELP tensorvisor_thing A thing.\n# TYPE tensorvisor_thing gauge\ntensorvisor_thing{name=\"a\\\"b\\\\c\\nd\",other=\"caf\xc3\xa9 "
        "?\"} 7\n");
}

TEST_CASE("a value without labels stands alone, and fractions are kept") {
  Exposition out;
  out.counter("tensorvisor_seconds_total", "Time.");
  out.sample(0.25);
  CHECK(out.text().ends_with("# TYPE tensorvisor_seconds_total counter\ntensorvisor_seconds_total 0.25\n"));
}

TEST_CASE("the server answers GET /metrics with the page, and refuses everything else") {
  Served served("the page\n");
  auto good = served.ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(good.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(good.ends_with("\r\n\r\nthe page\n"));
  CHECK(served.ask("GET /metrics?x=1 HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200 "));
  CHECK(served.ask("GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
  CHECK(served.ask("POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
  CHECK(served.ask("nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
  CHECK(served.ask(std::string(kMaxRequestBytes + 1, 'x')).starts_with("HTTP/1.1 431 "));
}

TEST_CASE("a peer that says nothing holds up nobody, and is sent away") {
  Served served("the page\n");
  std::vector<Fd> silent;
  for (std::size_t i = 0; i + 1 < kMaxConnections; ++i) silent.push_back(served.connected());
  CHECK(served.ask("GET /metrics HTTP/1.1\r\n\r\n").ends_with("the page\n"));
  // With all places taken the next one is served when the first have been sent away.
  silent.push_back(served.connected());
  CHECK(served.ask("GET /metrics HTTP/1.1\r\n\r\n").ends_with("the page\n"));
  for (const auto& fd : silent) CHECK(Served::all_of(fd).empty());
}

TEST_CASE("a large page reaches a peer that reads it slowly") {
  std::string page(1 << 20, 'x');
  Served served(page);
  auto fd = served.connected();
  Served::say(fd, "GET /metrics HTTP/1.1\r\n");
  Served::say(fd, "\r\n");
  auto answer = Served::all_of(fd);
  CHECK(answer.size() > page.size());
  CHECK(answer.ends_with("xxx"));
}

TEST_CASE("what is no address is refused, a stale socket is replaced, and a live one is not") {
  for (const char* bad :
       {"", "9477", "localhost:9477", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:99999", "[::1:9477", "unix:", "unix:relative"}) {
    INFO(bad);
    auto listener = listen_at(bad);
    REQUIRE_FALSE(listener);
    CHECK(listener.error().code == Errc::kInvalidArgument);
  }
  TempDir dir;
  auto address = "unix:" + dir.path() + "/socket";
  CHECK(listen_at(address));
  auto again = listen_at(address);
  REQUIRE(again);
  CHECK_FALSE(listen_at(address));
}
