// tensorvisord: the daemon. Exit codes: 0 done (or stopped in order), 1 failed, 2 misuse.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>

#include "config/load.h"
#include "config/log.h"
#include "supervisor/checkpoint_writer.h"
#include "supervisor/daemon.h"
#include "supervisor/log_ring.h"
#include "supervisor/preflight.h"
#include "supervisor/upgrade.h"
#include "supervisor/worker_limits.h"
#include "systemd/journal.h"
#include "systemd/notify.h"

namespace {

using namespace tv;

enum Exit { kDone = 0, kFailed = 1, kMisuse = 2 };

constexpr const char* kExamples = R"(
Examples:
  tensorvisord --config fashion.toml           run in the foreground until SIGTERM or Ctrl-C
  tensorvisord --check-config fashion.toml     say whether a file is right here, and every mistake if it is not
  tensorctl status                             see how it goes (another terminal)
)";

std::string counted(std::size_t n, const std::string& what) { return std::to_string(n) + " " + what + (n == 1 ? "" : "s"); }

void print_problems(const config::Loaded& loaded) {
  for (const auto& problem : loaded.problems) std::cerr << config::to_string(problem) << "\n";
}

int check(const std::string& path) {
  auto loaded = config::load_file(path);
  if (!loaded.ok()) {
    print_problems(loaded);
    return kFailed;
  }
  const auto& config = loaded.config;
  for (const auto& warning : loaded.warnings) std::cerr << "warning: " << config::to_string(warning) << "\n";
  loaded.problems = supervisor::missing_on_this_machine(config);
  if (!loaded.ok()) {
    print_problems(loaded);
    return kFailed;
  }
  std::cout << path << ": ok (" << counted(config.workers.size(), "worker") << ", " << counted(config.actors.size(), "actor") << ", "
            << counted(config.pools.size(), "pool") << ")\n";
  return kDone;
}

int fail(const std::string& event, const Error& why) {
  log::error(event, {{"cause", why.message}});
  return kFailed;
}

// Of a supervisor that goes on in the place of another one what that one had, whatever the file says by now.
config::Loaded load(const std::string& path, supervisor::Daemon::Beginning& beginning) {
  if (!beginning.before) {
    auto loaded = config::load_file(path);
    auto absolute = std::filesystem::absolute(path).lexically_normal();
    beginning.source = {loaded.text, absolute.string(), absolute.parent_path().string()};
    return loaded;
  }
  beginning.source = beginning.before->handover.config;
  return supervisor::config_of(beginning.before->handover);
}

// For whoever is asked to take the place of a running daemon: the answer goes to the descriptor behind the ledger's.
int check_handover(int ledger) {
  Fd answer(ledger + 1);
  auto can = supervisor::check_ledger(Fd(ledger));
  std::string text = can ? supervisor::kCanGoOn : can.error().message;
  auto written = write_all(answer.get(), std::as_bytes(std::span(text)));
  return can && written ? kDone : kFailed;
}

// For systemd, after a daemon's death (ExecStopPost=). Where there is nothing to release, nothing is to be said.
int release_cgroup() {
  auto released = supervisor::release_cgroup();
  if (released || released.error().code == Errc::kUnsupported) return kDone;
  return fail("cgroup not released", released.error());
}

// Where this program lies, also when a newer one lies there by the time that it is asked for.
std::string own_path() {
  std::error_code unknown;
  auto path = std::filesystem::read_symlink("/proc/self/exe", unknown);
  return unknown ? "" : path.string();
}

// From here on everything that is logged.
std::shared_ptr<const supervisor::LogRing> keep_log(std::uint64_t bytes) {
  if (bytes == 0) return nullptr;
  auto ring = std::make_shared<supervisor::LogRing>(bytes);
  bool journal = systemd::stderr_is_journal();
  log::set_sink(supervisor::make_ring_sink(ring, journal ? systemd::make_journal_sink() : log::make_text_sink(STDERR_FILENO), journal));
  return ring;
}

int serve(const std::string& path, const std::string& runtime_dir, std::vector<std::string> arguments) {
  auto estate = systemd::take_passed();
  auto store = systemd::FdStore::of_manager();
  auto before = supervisor::inherit(estate, store);
  supervisor::Daemon::Beginning beginning{.source = {}, .store = std::move(store), .before = std::move(before), .estate = std::move(estate), .program = own_path(), .arguments = std::move(arguments), .runtime_dir_given = !runtime_dir.empty()};
  auto loaded = load(path, beginning);
  if (!loaded.ok()) {
    print_problems(loaded);
    return kFailed;
  }
  auto& config = loaded.config;
  if (!beginning.before && !runtime_dir.empty()) config.supervisor.runtime_dir = std::filesystem::absolute(runtime_dir).lexically_normal().string();
  log::set_level(config.supervisor.log_level);
  beginning.log = keep_log(config.log.keep_bytes);
  for (const auto& warning : loaded.warnings) log::warning("configuration", {{"cause", config::to_string(warning)}});

  auto daemon = supervisor::Daemon::create(std::move(config), std::move(beginning));
  if (!daemon) return fail("daemon not started", daemon.error());
  if (auto ran = (*daemon)->run(); !ran) return fail("daemon failed", ran.error());
  return kDone;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Tensorvisor's daemon: supervises workers, the actors in them and the arena that they share.", "tensorvisord");
  std::string config_path;
  std::string check_path;
  std::string runtime_dir;
  app.add_option("--config", config_path, "Configuration file")->type_name("FILE")->default_str(config::default_config_path());
  auto* check_option = app.add_option("--check-config", check_path, "Check FILE, print every mistake, and exit")->type_name("FILE");
  app.add_option("--runtime-dir", runtime_dir, "Directory of sockets and lock, instead of the configuration's")->type_name("DIR");
  // Not for people: the daemon executes itself so.
  int writer_fd = -1;
  auto* writer_option = app.add_option(supervisor::kWriterOption, writer_fd)->group("");
  int handover_fd = -1;
  auto* handover_option = app.add_option(supervisor::kCheckHandoverOption, handover_fd)->group("");
  bool release = false;
  app.add_flag(supervisor::kReleaseOption, release)->group("");
  app.set_version_flag("--version", std::string("tensorvisord ") + TV_VERSION);
  app.footer(kExamples);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? kDone : kMisuse;
  }
  if (systemd::stderr_is_journal()) log::set_sink(systemd::make_journal_sink());
  auto code = [&]() -> int {
    try {
      if (release) return release_cgroup();
      if (*writer_option) return supervisor::run_checkpoint_writer(writer_fd);
      if (*check_option) return check(check_path);
      if (*handover_option) return check_handover(handover_fd);
      return serve(config_path.empty() ? config::default_config_path() : config_path, runtime_dir, {argv + 1, argv + argc});
    } catch (const std::exception& e) {
      return fail("daemon failed", Error{Errc::kInternal, e.what()});
    }
  }();
  log::set_sink(log::make_text_sink(STDERR_FILENO));  // what still waits for the journal gets there first
  return code;
}
