// tensorvisor-metrics: what a daemon says of itself, for Prometheus. Exit codes: 0 done, 1 failed, 2 misuse.
#include <signal.h>
#include <sys/signalfd.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "config/load.h"
#include "config/log.h"
#include "config/units.h"
#include "tools/metrics/collect.h"
#include "tools/metrics/server.h"

namespace {

using namespace tv;

enum Exit { kDone = 0, kFailed = 1, kMisuse = 2 };

constexpr const char* kExamples = R"(
Examples:
  tensorvisor-metrics                                    at 127.0.0.1:9477/metrics until SIGTERM
  tensorvisor-metrics --listen unix:/run/tv/metrics.sock
  tensorvisor-metrics --once                             one page to standard output
)";

int fail(const Error& why) {
  std::cerr << "tensorvisor-metrics: " << why.message << "\n";
  return why.code == Errc::kInvalidArgument ? kMisuse : kFailed;
}

int serve(const std::string& address, const std::function<std::string()>& page) {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  // Blocked before ZeroMQ has threads.
  if (::sigprocmask(SIG_BLOCK, &signals, nullptr) != 0) return fail(system_error("sigprocmask", errno));
  Fd stop(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!stop) return fail(system_error("signalfd", errno));
  auto listener = metrics::listen_at(address);
  if (!listener) return fail(listener.error());
  log::info("metrics served", {{"at", address}});
  metrics::Server server(std::move(*listener), page);
  if (auto ran = server.run(stop.get()); !ran) return fail(ran.error());
  return kDone;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("What a Tensorvisor says of itself, for Prometheus.", "tensorvisor-metrics");
  std::string runtime_dir;
  std::string address = "127.0.0.1:9477";
  std::string timeout_text = "5s";
  bool once = false;
  app.add_option("-r,--runtime-dir", runtime_dir, "Directory of the daemon's sockets; by default this user's")->type_name("DIR");
  app.add_option("-l,--listen", address, "unix:/PATH, or IP address and port (127.0.0.1:9477)")->type_name("ADDRESS");
  app.add_option("-t,--timeout", timeout_text, "How long the daemon may take to answer (5s)")->type_name("TIME");
  app.add_flag("--once", once, "Print one page and exit; 1 if the daemon does not answer");
  app.set_version_flag("--version", std::string("tensorvisor-metrics ") + TV_VERSION);
  app.footer(kExamples);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? kDone : kMisuse;
  }
  try {
    if (runtime_dir.empty()) runtime_dir = config::default_runtime_dir();
    auto timeout = config::parse_duration(timeout_text);
    if (!timeout || timeout->count() <= 0)
      return fail({Errc::kInvalidArgument, "--timeout: expected a time such as 5s, found \"" + timeout_text + "\""});
    auto page = [&] { return metrics::collect(runtime_dir, *timeout); };
    if (!once) return serve(address, page);
    auto text = page();
    std::cout << text << std::flush;
    return text.find("\ntensorvisor_up 1\n") != std::string::npos && std::cout ? kDone : kFailed;
  } catch (const std::exception& e) {
    return fail({Errc::kInternal, e.what()});
  }
}
