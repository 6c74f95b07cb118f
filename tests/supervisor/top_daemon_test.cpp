// tensorctl top with a real daemon: in a pipe, as JSON, and on a terminal of the test's own.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "tests/supervisor/daemon_process.h"
#include "tests/support/catch.h"
#include "tests/support/process.h"

using namespace tv;
using test::DaemonProcess;

namespace {

constexpr const char* kLeave = "\x1b[?1049l";  // back from the alternate screen

std::string config(const std::string& device = "cpu") {
  std::string text =
      "[arena]\nsize = \"64MiB\"\n[[worker]]\nname = \"w\"\ndevice = \"" + device + "\"\nenv = { TV_FAKE = \"commits=3\" }\n";
  for (int i = 0; i < 40; ++i) text += "[[actor]]\nname = \"actor" + std::to_string(i) + "\"\ntype = \"torchscript\"\n";
  return text;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// tensorctl top as the leader of a session with a terminal of its own, of which we have the other end.
class OnTerminal {
 public:
  OnTerminal(const std::string& runtime_dir, unsigned short columns, unsigned short lines, const char* kind = "xterm")
      : main_(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
    REQUIRE((main_ && ::grantpt(main_.get()) == 0 && ::unlockpt(main_.get()) == 0));
    std::string name = ::ptsname(main_.get());
    resize(columns, lines);
    // Held open, so that its settings can be looked at when the program is gone.
    terminal_ = Fd(::open(name.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
    REQUIRE(::tcgetattr(terminal_.get(), &before_) == 0);
    int told[2];
    REQUIRE(::pipe2(told, O_CLOEXEC) == 0);
    Fd reads(told[0]), writes(told[1]);
    leader_ = ::fork();
    REQUIRE(leader_ >= 0);
    if (leader_ == 0) lead(name, kind, runtime_dir, writes.get());
    writes.reset();
    REQUIRE(::read(reads.get(), &pid_, sizeof pid_) == sizeof pid_);
  }
  ~OnTerminal() {
    if (leader_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(leader_, nullptr, 0);
  }

  void resize(unsigned short columns, unsigned short lines) {
    winsize size{.ws_row = lines, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
    REQUIRE(::ioctl(main_.get(), TIOCSWINSZ, &size) == 0);
  }
  void type(char key) { REQUIRE(::write(main_.get(), &key, 1) == 1); }
  void signal(int number) { REQUIRE(::kill(pid_, number) == 0); }
  void forget() { shown_.clear(); }
  const std::string& shown() const { return shown_; }
  // Reads until it has been written.
  void until(const std::string& text) {
    for (auto deadline = Deadline::in(test::kPatience); !has(shown_, text);) {
      INFO("waiting for " << text << " in\n" << shown_);
      REQUIRE_FALSE(deadline.passed());
      read_some(deadline);
    }
  }
  // The frame that comes next, from its beginning to the next one's.
  std::string next_frame() {
    forget();
    std::size_t begin = std::string::npos, end = std::string::npos;
    for (auto deadline = Deadline::in(test::kPatience); end == std::string::npos;) {
      REQUIRE_FALSE(deadline.passed());
      read_some(deadline);
      begin = shown_.find("\x1b[H");
      if (begin != std::string::npos) end = shown_.find("\x1b[H", begin + 1);
    }
    return shown_.substr(begin, end - begin);
  }
  int end() {
    int status = 0;
    auto deadline = Deadline::in(test::kPatience);
    while (::waitpid(leader_, &status, WNOHANG) == 0) {
      REQUIRE_FALSE(deadline.passed());
      read_some(Deadline::in(5ms));
    }
    leader_ = 0;
    while (read_some(Deadline::in(5ms))) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  bool is_as_before() const {
    termios now{};
    return ::tcgetattr(terminal_.get(), &now) == 0 && now.c_lflag == before_.c_lflag;
  }
  bool stopped() const { return has(test::read_text("/proc/" + std::to_string(pid_) + "/stat"), ") T "); }
  bool read_some(Deadline deadline) {
    pollfd wait{main_.get(), POLLIN, 0};
    if (::poll(&wait, 1, deadline.left_ms()) <= 0) return false;
    char buffer[4096];
    ssize_t n = ::read(main_.get(), buffer, sizeof buffer);
    if (n > 0) shown_.append(buffer, static_cast<std::size_t>(n));
    return n > 0;
  }

 private:
  // As a shell does it: the program is a foreground job of its own, which can be stopped. Ends as the program ends.
  [[noreturn]] static void lead(const std::string& terminal, const char* kind, const std::string& runtime_dir, int tell) {
    ::setsid();
    ::signal(SIGTTOU, SIG_IGN);
    int fd = ::open(terminal.c_str(), O_RDWR);
    pid_t job = ::fork();
    if (job == 0) {
      ::setpgid(0, 0);
      ::tcsetpgrp(fd, ::getpid());
      ::signal(SIGTTOU, SIG_DFL);
      for (int i = 0; i < 3; ++i) ::dup2(fd, i);
      ::setenv("TERM", kind, 1);
      ::execl(TV_TENSORCTL, "tensorctl", "--runtime-dir", runtime_dir.c_str(), "top", "--interval", "100ms", nullptr);
      ::_exit(127);
    }
    if (::write(tell, &job, sizeof job) != sizeof job) ::_exit(126);
    int status = 0;
    while (::waitpid(job, &status, 0) != job) {
    }
    if (WIFEXITED(status)) ::_exit(WEXITSTATUS(status));
    ::signal(WTERMSIG(status), SIG_DFL);
    ::raise(WTERMSIG(status));
    ::_exit(125);
  }

  Fd main_, terminal_;
  termios before_{};
  pid_t leader_ = 0, pid_ = 0;
  std::string shown_;
};

// Of printed lines, without what steers the terminal.
std::size_t lines_of(const std::string& frame) { return 1 + static_cast<std::size_t>(std::count(frame.begin(), frame.end(), '\n')); }

}  // namespace

TEST_CASE("top in a pipe is plain text of one interval, and JSON for programs", "[top]") {
  DaemonProcess daemon(config());
  daemon.wait_ready();
  std::vector<std::string> words = {TV_TENSORCTL, "--runtime-dir", daemon.runtime_dir(), "top", "--interval", "100ms"};
  auto text = test::run(words);
  INFO(text.out << text.err);
  CHECK(text.status == 0);
  CHECK(has(text.out, "actor39"));
  CHECK_FALSE(has(text.out, "\x1b"));
  words.insert(words.end(), {"-o", "json"});
  auto json = nlohmann::json::parse(test::run(words).out);
  CHECK(json["interval_s"].get<double>() >= 0.1);
  CHECK(json["daemon"]["pid"] == daemon.pid());
  CHECK(json["workers"][0]["pid"] == daemon.worker("w").pid);
  CHECK(json["workers"][0]["cpu_percent"].is_number());
  CHECK(json["workers"][0]["memory_bytes"].get<std::uint64_t>() > 1'000'000);
  CHECK(json["actors"].size() == 40);
  CHECK(json["actors"][0]["state_bytes"].get<std::uint64_t>() > 0);
  CHECK(json["actors"][0]["last_commit"].is_string());
  CHECK(json["machine"]["cores"].get<int>() > 0);
  CHECK(json["devices"][0]["device"] == "cpu");
  daemon.stop();
}

TEST_CASE("processor time of a worker is told as the kernel counts it", "[top]") {
  DaemonProcess daemon("[arena]\nsize = \"64MiB\"\n[[worker]]\nname = \"w\"\n");
  daemon.wait_ready();
  auto cpu = [&] {
    auto reply = daemon.ask([](auto request) { request.setListWorkers(); });
    REQUIRE(reply);
    return reply->root<wire::AdminReply>().getWorkers()[0].getCpuNs();
  };
  clockid_t clock;
  REQUIRE(::clock_getcpuclockid(daemon.worker("w").pid, &clock) == 0);
  timespec before{}, after{};
  REQUIRE(::clock_gettime(clock, &before) == 0);
  auto told = cpu();
  REQUIRE(::clock_gettime(clock, &after) == 0);
  constexpr std::int64_t kTicks = 40'000'000;  // the file counts in hundredths of a second, user and system apart
  CHECK(told >= before.tv_sec * 1'000'000'000 + before.tv_nsec - kTicks);
  CHECK(told <= after.tv_sec * 1'000'000'000 + after.tv_nsec + kTicks);
  daemon.stop();
}

TEST_CASE("top asks NVML where the machine has it, and says that it has not", "[top]") {
  DaemonProcess daemon(config("cuda:0"));
  daemon.wait_ready();
  std::vector<std::string> words = {TV_TENSORCTL, "--runtime-dir", daemon.runtime_dir(), "top", "--interval", "50ms", "-o", "json"};
  auto there = nlohmann::json::parse(test::run(words, {{"LD_LIBRARY_PATH", TV_FAKE_NVML_DIR}}).out)["devices"][0];
  CHECK(there["name"] == "Fake 0");
  CHECK(there["memory_used_bytes"] == 1u << 30);
  CHECK(there["utilisation_percent"] == 37);
  CHECK(there["temperature_celsius"] == 45);
  CHECK(there["power_watts"] == 123.5);
  auto doctor = nlohmann::json::parse(test::run({TV_TENSORCTL, "--runtime-dir", daemon.runtime_dir(), "doctor", "-o", "json"}).out);
  bool found = false;
  for (const auto& finding : doctor["findings"])
    found = found || (finding["check"] == "daemon" && has(finding["what"], "pid " + std::to_string(daemon.pid())));
  CHECK(found);
  daemon.stop();
}

TEST_CASE("top on a terminal fits the window, follows its size, and leaves the terminal as it was", "[top]") {
  DaemonProcess daemon(config());
  daemon.wait_ready();
  OnTerminal top(daemon.runtime_dir(), 120, 24);
  top.until("more actors");
  CHECK_FALSE(top.is_as_before());
  CHECK(has(top.shown(), "\x1b[?1049h"));
  auto frame = top.next_frame();
  INFO(frame);
  CHECK(lines_of(frame) <= 24);
  top.resize(120, 70);
  top.until("actor39");
  CHECK(lines_of(top.next_frame()) <= 70);
  top.type('x');
  top.type('q');
  CHECK(top.end() == 0);
  CHECK(has(top.shown(), kLeave));
  CHECK(top.is_as_before());
  daemon.stop();
}

TEST_CASE("top on a terminal whose cursor cannot be moved is plain text of one interval", "[top]") {
  DaemonProcess daemon(config());
  daemon.wait_ready();
  OnTerminal top(daemon.runtime_dir(), 120, 24, "dumb");
  CHECK(top.end() == 0);
  CHECK(has(top.shown(), "actor39"));
  CHECK_FALSE(has(top.shown(), "\x1b"));
  daemon.stop();
}

TEST_CASE("top leaves the terminal as it was on every signal that ends it, and with the daemon's end", "[top]") {
  DaemonProcess daemon(config());
  daemon.wait_ready();
  for (int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
    INFO(signal);
    OnTerminal top(daemon.runtime_dir(), 100, 30);
    top.until("more actors");
    top.signal(signal);
    CHECK(top.end() == -signal);
    CHECK(has(top.shown(), kLeave));
    CHECK(top.is_as_before());
  }
  // Stopped, and on again.
  OnTerminal top(daemon.runtime_dir(), 100, 30);
  top.until("more actors");
  top.forget();
  top.signal(SIGTSTP);
  daemon.eventually("it is stopped", [&] {
    top.read_some(Deadline::in(1ms));
    return top.stopped();
  });
  while (top.read_some(Deadline::in(20ms))) {
  }
  CHECK(has(top.shown(), kLeave));
  CHECK(top.is_as_before());
  top.forget();
  top.signal(SIGCONT);
  top.until("more actors");
  // A daemon that goes is said to be gone; q still ends it.
  daemon.stop();
  top.until("has not answered");
  top.type('q');
  CHECK(top.end() == 0);
  CHECK(top.is_as_before());
}
