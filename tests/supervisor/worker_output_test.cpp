#include "supervisor/worker_output.h"

#include <fcntl.h>
#include <unistd.h>

#include <map>
#include <vector>

#include "config/log.h"
#include "tests/support/catch.h"

using namespace tv;
using namespace tv::supervisor;

namespace {

struct Said {
  log::Level level;
  std::string event, text;
  std::map<std::string, std::string> fields;
};

class Kept final : public log::Sink {
 public:
  explicit Kept(std::vector<Said>& said) : said_(said) {}
  void write(log::Level level, std::string_view event, std::span<const log::Field> fields) override {
    write_text(level, event, "", fields);
  }
  void write_text(log::Level level, std::string_view event, std::string_view text, std::span<const log::Field> fields) override {
    said_.push_back({level, std::string(event), std::string(text), {}});
    for (const auto& field : fields) said_.back().fields.emplace(field.key, field.value);
  }

 private:
  std::vector<Said>& said_;
};

// A worker's pipe with a loop that reads it, and what the log has got.
struct Scene {
  Scene() {
    log::set_sink(std::make_unique<Kept>(said));
    auto made = make_output_pipe();
    REQUIRE(made);
    pipe = std::move(*made);
    loop = *EventLoop::create();
    output = *WorkerOutput::create(*loop, std::move(pipe.read_end), "cpu");
    output->set_pid(7);
  }
  ~Scene() { log::set_sink(log::make_text_sink(STDERR_FILENO)); }
  void print(const std::string& text) { REQUIRE(write_all(pipe.write_end.get(), std::as_bytes(std::span(text)))); }
  // Until so many things were said.
  void run_until(std::size_t count) {
    auto given_up = loop->after(30s, [this] { loop->quit(); });
    std::function<void()> look = [&] {
      if (said.size() >= count) return loop->quit();
      timer = loop->after(1ms, look);
    };
    timer = loop->after(0ns, look);
    REQUIRE(loop->run());
    REQUIRE(said.size() >= count);
  }

  std::vector<Said> said;
  OutputPipe pipe;
  std::unique_ptr<EventLoop> loop;
  std::unique_ptr<WorkerOutput> output;
  Source timer;
};

}  // namespace

TEST_CASE("a worker's lines reach the log with its name and its process", "[output]") {
  Scene scene;
  scene.print("hello\n<3>that is bad\n");
  scene.run_until(2);
  CHECK(scene.said[0].text == "hello");
  CHECK(scene.said[0].event == "worker output");
  CHECK(scene.said[0].level == log::Level::kInfo);
  CHECK(scene.said[0].fields == std::map<std::string, std::string>{{"worker", "cpu"}, {"said_by", "cpu"}, {"pid", "7"}});
  CHECK(scene.said[1].text == "that is bad");
  CHECK(scene.said[1].level == log::Level::kError);
}

TEST_CASE("an event of a worker's own log keeps its level and its fields, but not a name that is not its own", "[output]") {
  Scene scene;
  log::Field fields[] = {{"device", "cuda:0"}, {"cause", "two words"}, {"worker", "another"}, {"said_by", "another"}};
  scene.print("2026-01-02T03:04:05.678Z " + log::format_line(log::Level::kError, "device lost", fields) + "\n");
  scene.run_until(1);
  CHECK(scene.said[0].event == "device lost");
  CHECK(scene.said[0].level == log::Level::kError);
  CHECK(scene.said[0].text == "device lost device=cuda:0 cause=\"two words\"");
  CHECK(scene.said[0].fields.at("cause") == "two words");
  CHECK(scene.said[0].fields.at("worker") == "cpu");
  CHECK(scene.said[0].fields.at("said_by") == "cpu");
}

TEST_CASE("what a worker wrote before it died is told of when it has, though the loop has not come to it", "[output]") {
  Scene scene;
  scene.output->rename("gpu");
  scene.print("stacks of worker \"gpu\", pid 7, upon SIGSEGV\n  #0 f\nend of stacks\nthe last wor");
  scene.output->finish();
  REQUIRE(scene.said.size() == 2);
  CHECK(scene.said[0].event == "stack dump");
  CHECK(scene.said[0].level == log::Level::kError);
  CHECK(scene.said[0].text == "stacks of worker \"gpu\", pid 7, upon SIGSEGV\n  #0 f");
  CHECK(scene.said[0].fields.at("worker") == "gpu");
  CHECK(scene.said[1].text == "the last wor");
}

TEST_CASE("a worker that prints in a loop is cut, and it is said how much is missing", "[output]") {
  Scene scene;
  constexpr int kLines = 5000;
  std::string text;
  for (int i = 0; i < kLines; ++i) text += "line\n";
  scene.print(text);
  scene.output->finish();
  std::uint64_t kept = 0, missing = 0;
  for (const auto& said : scene.said) {
    if (said.event == "worker output") ++kept;
    if (said.event == "worker output suppressed") missing += std::stoull(said.fields.at("count"));
  }
  CHECK(missing > 0);
  CHECK(kept + missing == kLines);
}

TEST_CASE("where there is a copy it gets every byte as it came, also what is no line yet, and waits for nobody", "[worker_output]") {
  auto pipe = make_output_pipe();
  auto copy = make_output_pipe();
  REQUIRE((pipe && copy));
  std::vector<Said> said;
  log::set_sink(std::make_unique<Kept>(said));
  auto loop = *EventLoop::create();
  auto output = *WorkerOutput::create(*loop, std::move(pipe->read_end), "cpu", copy->write_end.get());
  // More than both pipes hold; nobody reads the copy at first.
  std::string text;
  for (int i = 0; text.size() < (1 << 20); ++i) text += "line " + std::to_string(i) + "\n";
  text += "50 %\r";
  std::string left = text, got;
  REQUIRE(::fcntl(pipe->write_end.get(), F_SETFL, O_NONBLOCK) == 0);
  bool reading = false;
  auto given_up = loop->after(30s, [&] { loop->quit(); });
  Source timer;
  std::function<void()> look = [&] {
    ssize_t n = left.empty() ? 0 : ::write(pipe->write_end.get(), left.data(), left.size());
    if (n > 0) left.erase(0, static_cast<std::size_t>(n));
    if (n < 0) reading = true;  // everything is full: the loop has come this far all the same
    char buffer[65536];
    for (ssize_t r = 0; reading && (r = ::read(copy->read_end.get(), buffer, sizeof buffer)) > 0;) got.append(buffer, static_cast<std::size_t>(r));
    if (got.size() == text.size()) return loop->quit();
    timer = loop->after(1ms, look);
  };
  timer = loop->after(0ns, look);
  REQUIRE(loop->run());
  log::set_sink(log::make_text_sink(STDERR_FILENO));
  CHECK(reading);
  CHECK(got == text);
  CHECK(said.size() > 1000);
}
