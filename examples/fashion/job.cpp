#include "job.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <optional>

#include "tensorvisor/client.h"

namespace fashion {
namespace {

constexpr auto kProgressInterval = std::chrono::milliseconds(200);
constexpr auto kRestartTimeout = std::chrono::seconds(60);
constexpr auto kCallTimeout = std::chrono::seconds(30);

// fashion/progress, as the trainer publishes it.
struct Progress {
  double step = 0;
  double total = 0;
  double loss = 0;
  double committed = 0;
};

std::optional<Progress> read_progress(tv::Client& client) {
  auto tensor = client.find(kProgress);
  if (!tensor || tensor->spec().dtype != tv::shm::DType::kFloat64 || tensor->bytes() != sizeof(Progress)) return std::nullopt;
  Progress progress;
  std::memcpy(&progress, tensor->data(), sizeof(progress));
  return progress;
}

class Job {
 public:
  Job(tv::Client& client, Admin admin, const JobOptions& options) : client_(client), admin_(std::move(admin)), options_(options) {}

  tv::Result<Outcome> run() {
    auto test = TV_TRY(load_dataset(options_.train.data, Part::kTest));
    if (auto trained = train(); !trained) return trained.error();
    if (auto in_place = check_weights(); !in_place) return in_place.error();
    if (auto streamed = stream(test); !streamed) return streamed.error();
    outcome_.suppressed_answers = client_.unmatched_answers();
    return std::move(outcome_);
  }

 private:
  bool cancelled() const { return options_.cancelled && options_.cancelled(); }
  void say(const std::string& line) const {
    if (options_.say) options_.say(line);
  }

  tv::Result<void> train() {
    auto trainer = TV_TRY(client_.actor<Trainer>("trainer"));
    const auto began = tv::monotonic_ns();
    auto report = trainer.call_with({.timeout = options_.train_timeout}, Trainer::train, options_.train);
    bool killed = !options_.kill;
    int tenth_said = 0;
    for (;;) {
      auto result = report.get(kProgressInterval);
      if (result) {
        outcome_.training = *result;
        break;
      }
      if (report.ready()) return result.error();
      if (cancelled()) return {tv::Errc::kCancelled, "interrupted"};
      auto progress = read_progress(client_);
      if (!progress || progress->total <= 0) continue;
      tenth_said = say_progress(*progress, tenth_said);
      if (!killed && progress->committed > 0 && progress->step >= progress->total / 2) {
        killed = true;
        if (auto done = kill(Trainer::kType); !done) return done.error();
      }
    }
    outcome_.train_s = static_cast<double>(tv::monotonic_ns() - began) / 1e9;
    return settle_kills();
  }

  // A line each tenth of the way; returns the last tenth said.
  int say_progress(const Progress& progress, int tenth_said) const {
    const int tenth = static_cast<int>(10 * progress.step / progress.total);
    if (tenth <= tenth_said) return tenth_said;
    char line[128];
    std::snprintf(line, sizeof(line), "training: step %.0f of %.0f, loss %.3f, committed at %.0f", progress.step, progress.total,
                  progress.loss, progress.committed);
    say(line);
    return tenth;
  }

  tv::Result<void> kill(const char* actor_type) {
    auto worker = TV_TRY(admin_.worker_of(actor_type));
    say("killing worker " + worker + " with SIGKILL");
    outcome_.kills.push_back(TV_TRY(admin_.kill(worker)));
    return {};
  }

  tv::Result<void> settle_kills() {
    for (auto& kill : outcome_.kills) {
      if (!kill.cause.empty()) continue;
      if (auto back = admin_.wait_back(kill, tv::Deadline::in(kRestartTimeout)); !back) return back.error();
    }
    return {};
  }

  // Asks a classifier where LibTorch reads its weights, and compares with where the published tensors lie.
  tv::Result<void> check_weights() {
    auto pool = TV_TRY(client_.actor<Classifier>("classifier"));
    auto places = TV_TRY(pool.call(Classifier::weights).get(kCallTimeout));
    outcome_.weights_in_place = !places.empty();
    for (const auto& place : places) {
      auto tensor = TV_TRY(client_.find(place.name));
      if (tensor.offset() != place.offset || tensor.bytes() != place.bytes) outcome_.weights_in_place = false;
    }
    return {};
  }

  tv::Result<void> stream(const Dataset& test) {
    say("classifying " + std::to_string(test.count) + " images");
    auto pool = TV_TRY(client_.actor<Classifier>("classifier"));
    Stream::Options options{.batch = options_.batch, .in_flight = options_.in_flight};
    options.cancelled = options_.cancelled;
    Stream stream(client_, pool, test, options);
    outcome_.tally = TV_TRY(stream.run([this]() -> tv::Result<void> {
      if (!options_.kill) return {};
      return kill(Classifier::kType);
    }));
    return settle_kills();
  }

  tv::Client& client_;
  Admin admin_;
  const JobOptions& options_;
  Outcome outcome_;
};

}  // namespace

tv::Result<Outcome> run_job(const std::string& runtime_dir, const JobOptions& options) {
  tv::ClientOptions connect;
  connect.name = "fashion-demo";
  connect.runtime_dir = runtime_dir;
  auto client = TV_TRY(tv::Client::connect(connect));
  auto admin = TV_TRY(Admin::connect(runtime_dir));
  return Job(*client, std::move(admin), options).run();
}

}  // namespace fashion
