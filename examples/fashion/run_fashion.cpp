// fashion-demo: the main job from nothing to its result. Starts a daemon of its own unless it is told of a running one.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "daemon.h"
#include "job.h"

namespace {

namespace fs = std::filesystem;

std::atomic<bool> interrupted{false};

void on_signal(int) { interrupted = true; }

void catch_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) (void)::sigaction(signal, &action, nullptr);
}

struct Settings {
  std::string daemon;
  std::string config;
  std::string runtime_dir;
  std::string log_file;
  fashion::JobOptions job;
  fashion::Requirements required;
};

// Programs lie in <build>/bin, the plug-in and its configuration in <build>/examples/fashion.
void set_defaults(Settings& settings) {
  std::error_code error;
  const auto self = fs::read_symlink("/proc/self/exe", error);
  const auto build = self.parent_path().parent_path();
  settings.daemon = (self.parent_path() / "tensorvisord").string();
  settings.config = (build / "examples" / "fashion" / "fashion.toml").string();
  settings.log_file = (build / "examples" / "fashion" / "tensorvisord.log").string();
}

void declare(CLI::App& app, Settings& settings) {
  auto& train = settings.job.train;
  app.add_option("--config", settings.config, "Configuration of the daemon")->capture_default_str();
  app.add_option("--daemon", settings.daemon, "The daemon's program")->capture_default_str();
  app.add_option("--runtime-dir", settings.runtime_dir, "Use the daemon that runs on this directory instead of starting one");
  app.add_option("--log", settings.log_file, "Where the daemon's log goes")->capture_default_str();
  app.add_option("--data", train.data, "Directory of the Fashion-MNIST files")->capture_default_str();
  app.add_option("--epochs", train.epochs, "Passes over the training images")->capture_default_str();
  app.add_option("--images", train.images, "Train on the first so many images; 0: all")->capture_default_str();
  app.add_option("--checkpoint-steps", train.checkpoint_steps, "Steps from one commit to the next")->capture_default_str();
  app.add_option("--batch", settings.job.batch, "Test images in a message")->capture_default_str()->check(CLI::Range(1, 4096));
  app.add_option("--in-flight", settings.job.in_flight, "Messages on their way at once")->capture_default_str()->check(CLI::Range(1, 1024));
  app.add_option("--require-accuracy", settings.required.accuracy, "Fail below this accuracy")->capture_default_str();
  app.add_flag("!--no-kill", settings.job.kill, "Kill no worker");
}

int fail(const tv::Error& error) {
  std::fprintf(stderr, "fashion-demo: %s\n", error.message.c_str());
  return 1;
}

int run(Settings& settings) {
  settings.job.cancelled = [] { return interrupted.load(); };
  settings.job.say = [](const std::string& line) {
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
  };
  if (!settings.job.kill) settings.required.kills = 0;

  std::optional<fashion::Daemon> daemon;
  if (settings.runtime_dir.empty()) {
    settings.job.say("starting tensorvisord (log: " + settings.log_file + ")");
    auto started = fashion::Daemon::start({settings.daemon, settings.config, settings.log_file});
    if (!started) return fail(started.error());
    daemon.emplace(std::move(started).value());
    settings.runtime_dir = daemon->runtime_dir();
  }
  auto outcome = fashion::run_job(settings.runtime_dir, settings.job);
  if (!outcome) return fail(outcome.error());
  if (daemon) {
    settings.job.say("stopping tensorvisord");
    if (auto stopped = daemon->stop(std::chrono::seconds(30)); !stopped) return fail(stopped.error());
  }
  fashion::print_summary(*outcome);
  const auto problems = fashion::shortcomings(*outcome, settings.required);
  for (const auto& problem : problems) std::fprintf(stderr, "fashion-demo: %s\n", problem.c_str());
  std::printf("%s\n", fashion::to_json(*outcome).c_str());
  return problems.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  set_defaults(settings);
  CLI::App app("Trains and runs a classifier of Fashion-MNIST under tensorvisord, kills two workers on the way and counts what was lost.");
  declare(app, settings);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  catch_signals();
  return run(settings);
}
