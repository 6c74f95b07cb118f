// tensorctl logs and events with a real daemon, whose workers say what they are told to.
#include <signal.h>
#include <nlohmann/json.hpp>

#include <sstream>

#include "tests/supervisor/daemon_process.h"
#include "tests/support/catch.h"
#include "tests/support/process.h"

using namespace tv;
using test::DaemonProcess;

namespace {

std::string config(const std::string& words, const std::string& more = "") {
  return more + "[arena]\nsize = \"64MiB\"\n[[worker]]\nname = \"cpu\"\ncount = 2\nenv = { TV_FAKE = \"" + words +
         "\" }\nrestart = { min = \"1ms\" }\n[[actor]]\nname = \"a\"\ntype = \"torchscript\"\nworker = \"cpu/0\"\n";
}

test::Output tensorctl(DaemonProcess& daemon, std::vector<std::string> words) {
  words.insert(words.begin(), {TV_TENSORCTL, "--runtime-dir", daemon.runtime_dir()});
  return test::run(std::move(words));
}

std::vector<nlohmann::json> objects(const std::string& text) {
  std::vector<nlohmann::json> all;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) all.push_back(nlohmann::json::parse(line));
  return all;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("logs has the daemon's events and workers' lines with their names, and events only the events", "[logs]") {
  DaemonProcess daemon(config("say=hello from the worker"));
  daemon.wait_ready();
  daemon.eventually("the line is there", [&] { return has(tensorctl(daemon, {"logs", "cpu/1"}).out, "cpu/1: hello from the worker\n"); });
  auto all = tensorctl(daemon, {"logs"});
  CHECK(all.status == 0);
  CHECK(has(all.out, "tensorvisord: daemon started version="));
  CHECK(has(all.out, "tensorvisord: worker ready worker=cpu/0"));
  CHECK_FALSE(has(tensorctl(daemon, {"logs", "cpu/0"}).out, "cpu/1: hello"));
  CHECK(has(tensorctl(daemon, {"logs", "a"}).out, "actor ready actor=a"));
  auto events = tensorctl(daemon, {"events"});
  CHECK(has(events.out, "worker ready"));
  CHECK_FALSE(has(events.out, "hello from the worker"));
  // What workers print still reaches the daemon's own log, as they have printed it.
  CHECK(has("\n" + daemon.log(), "\nhello from the worker\n"));
  daemon.stop();
}

TEST_CASE("logs as JSON is an object a line, with fields, times and who said it", "[logs]") {
  DaemonProcess daemon(config("say=hello"));
  daemon.wait_ready();
  int pid = daemon.worker("cpu/0").pid;
  REQUIRE(tensorctl(daemon, {"kill", "cpu/0"}).status == 0);
  daemon.eventually("the death is told of", [&] {
    return has(tensorctl(daemon, {"events", "cpu/0", "--level", "warning"}).out, "worker died");
  });
  auto records = objects(tensorctl(daemon, {"logs", "cpu/0", "-o", "json"}).out);
  REQUIRE(records.size() > 3);
  bool died = false, said = false;
  std::uint64_t before = 0;
  for (const auto& record : records) {
    CHECK(record["seq"].get<std::uint64_t>() > before);
    before = record["seq"];
    CHECK(record["time"].get<std::string>().size() == std::string("2026-01-01T00:00:00.000Z").size());
    if (record["event"] == "worker died") {
      died = true;
      CHECK(record["level"] == "warning");
      CHECK(record["said_by"].is_null());
      CHECK(record["fields"]["cause"] == "killed by SIGKILL");
      CHECK(record["fields"]["pid"] == std::to_string(pid));
    }
    if (record["message"] == "hello") {
      said = true;
      CHECK(record["said_by"] == "cpu/0");
      CHECK(record["event"] == "worker output");
    }
  }
  CHECK(died);
  CHECK(said);
  auto last = objects(tensorctl(daemon, {"logs", "-n", "2", "-o", "json"}).out);
  CHECK(last.size() == 2);
  CHECK(objects(tensorctl(daemon, {"logs", "--since", "1h", "-o", "json"}).out).size() >= records.size());
  CHECK(tensorctl(daemon, {"logs", "-n", "0"}).out.empty());
  daemon.stop();
}

TEST_CASE("logs knows names, levels and times that cannot be", "[logs]") {
  DaemonProcess daemon(config(""));
  daemon.wait_ready();
  auto unknown = tensorctl(daemon, {"logs", "cpu/7"});
  CHECK(unknown.status == 4);
  CHECK(has(unknown.err, "\"cpu/7\""));
  CHECK(tensorctl(daemon, {"logs", "--level", "loud"}).status == 2);
  CHECK(tensorctl(daemon, {"logs", "--since", "soon"}).status == 2);
  CHECK(tensorctl(daemon, {"logs", "-n", "some"}).status == 2);
  daemon.stop();
}

TEST_CASE("where [log] keep is 0 nothing is kept, and workers write to the daemon's standard error by themselves", "[logs]") {
  DaemonProcess daemon(config("say=hello", "[log]\nkeep = 0\n"));
  daemon.wait_ready();
  daemon.eventually("the line is there", [&] { return has("\n" + daemon.log(), "\nhello\n"); });
  auto logs = tensorctl(daemon, {"logs"});
  CHECK(logs.status == 1);
  CHECK(has(logs.err, "[log] keep"));
  daemon.stop();
}

TEST_CASE("a worker that prints without end is cut in what is kept, which is bounded, and in nothing else", "[logs]") {
  DaemonProcess daemon(config("chatter=30000", "[log]\nkeep = \"128KiB\"\n"));
  daemon.wait_ready();
  daemon.eventually("all of it has been printed", [&] { return has(daemon.log(), "line 29999\n"); });
  daemon.eventually("it is said that lines are missing",
                    [&] { return has(tensorctl(daemon, {"events"}).out, "worker output suppressed"); });
  CHECK(tensorctl(daemon, {"logs"}).out.size() < (256 << 10));
  CHECK_FALSE(has(daemon.log(), "worker output suppressed"));
  daemon.stop();
}

TEST_CASE("logs -f ends in order when its time is over", "[logs]") {
  DaemonProcess daemon(config(""));
  daemon.wait_ready();
  auto begun = monotonic_ns();
  auto followed = tensorctl(daemon, {"logs", "-f", "-n", "100", "--timeout", "500ms"});
  CHECK(followed.status == 0);
  CHECK(has(followed.out, "worker ready"));
  CHECK(monotonic_ns() - begun >= Nanoseconds(500ms).count());
  // One that does not answer has not been followed.
  daemon.signal(SIGSTOP);
  followed = tensorctl(daemon, {"logs", "-f", "--timeout", "100ms"});
  daemon.signal(SIGCONT);
  CHECK(followed.status == 1);
  CHECK(has(followed.err, "does not take messages"));
  daemon.stop();
}

TEST_CASE("logs -f goes on with what comes, until its reader goes", "[logs]") {
  DaemonProcess daemon(config(""));
  daemon.wait_ready();
  test::TempDir temp;
  std::string file = temp / "followed";
  test::Process follower(
      {.arguments = {TV_TENSORCTL, "--runtime-dir", daemon.runtime_dir(), "events", "-f", "cpu/1", "-o", "json"}, .output_file = file});
  daemon.eventually("it shows what was before", [&] { return has(test::read_text(file), "worker ready"); });
  REQUIRE(tensorctl(daemon, {"kill", "cpu/1"}).status == 0);
  daemon.eventually("it shows what comes", [&] { return has(test::read_text(file), "\"worker died\""); });
  CHECK(follower.running());
  daemon.stop();
  follower.signal(SIGINT);
  CHECK(follower.wait(Deadline::in(10s)) == 128 + SIGINT);
  for (const auto& record : objects(test::read_text(file))) CHECK(record.contains("seq"));
}
