// From kill -9 of a worker to the first answer of its restored actor; beside a cold exec of the same worker, and other supervisors where
// they are installed. Then what a start of the whole costs, and what an idle worker takes.
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "config/fd.h"
#include "tools/bench/actors/holder.h"
#include "tools/bench/benchmarks.h"
#include "tools/bench/daemon_process.h"

namespace tv::bench {
namespace {

constexpr Nanoseconds kAnswerPatience = 60s;
constexpr double kNsPerMs = 1e6;
// A spare is forked behind each restart: this long is left for it, as crashes in service are rarer than that.
constexpr Nanoseconds kBetweenKills = 100ms;
constexpr int kStartWorkers = 8;

struct StateSize {
  const char* name;
  std::int64_t bytes;
};
constexpr StateSize kSizes[] = {{"1MB", 1'000'000}, {"100MB", 100'000'000}};

void pause_for(Nanoseconds span) {
  timespec time{span.count() / 1'000'000'000, span.count() % 1'000'000'000};
  ::nanosleep(&time, nullptr);
}

std::string worker_config(int count, int spares) {
  return "[arena]\nsize = \"512MiB\"\nobjects = 16384\n\n[[worker]]\nname = \"cpu\"\ncount = " + std::to_string(count) +
         "\nspares = " + std::to_string(spares) +
         "\nrestart = { min = \"0s\", max = \"0s\", intensity = 1000000 }\n";
}

std::string holder_config(std::int64_t bytes, int spares) {
  return worker_config(1, spares) + "\n[[actor]]\nname = \"holder\"\ntype = \"" + Holder::kType + "\"\nplugin = \"" + program_dir() +
         "/bench-actors.so\"\nargs = { bytes = " + std::to_string(bytes) + " }\n";
}

std::vector<std::int64_t> kill_and_call(const WorkDir& dir, const std::string& name, std::int64_t bytes, int spares, std::size_t kills) {
  DaemonProcess daemon(dir, name, holder_config(bytes, spares));
  auto client = daemon.connect();
  auto holder = must(client->actor<Holder>("holder"));
  std::vector<std::int64_t> times;
  auto pid = must(holder.call(Holder::touch).get(kAnswerPatience));
  for (std::size_t i = 0; i <= kills; ++i) {
    pause_for(kBetweenKills);
    auto began = monotonic_ns();
    if (::kill(static_cast<pid_t>(pid), SIGKILL) != 0) throw Failure(system_error("cannot kill the worker", errno).message);
    auto next = must(holder.call(Holder::touch).get(kAnswerPatience));
    auto time = monotonic_ns() - began;
    // The dying process may have got to it: then this was no restart.
    if (next == pid) throw Failure("the killed worker has answered");
    pid = next;
    if (i > 0) times.push_back(time);
  }
  return times;
}

// The first thing a cold worker does is to load LibTorch: what comes after it (the fork's path from there on) is left out, in its favour.
std::vector<std::int64_t> cold_execs(const WorkDir& dir, std::size_t count) {
  std::vector<std::int64_t> times;
  for (std::size_t i = 0; i <= count; ++i) {
    auto began = monotonic_ns();
    ChildProcess worker({program_dir() + "/tensorvisor-worker", "--version"}, dir.path() + "/cold.log");
    if (worker.wait(kAnswerPatience) != 0) throw Failure("tensorvisor-worker --version failed");
    if (i > 0) times.push_back(monotonic_ns() - began);
  }
  return times;
}

bool installed(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::string folders = path != nullptr ? path : "/usr/bin:/bin";
  for (std::size_t at = 0; at <= folders.size();) {
    auto end = std::min(folders.find(':', at), folders.size());
    if (::access((folders.substr(at, end - at) + "/" + program).c_str(), X_OK) == 0) return true;
    at = end + 1;
  }
  return false;
}

// The number of the process that answers at the socket; 0: none does.
pid_t ask(const std::string& path) {
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  std::int64_t pid = 0;
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return 0;
  return ::read(fd.get(), &pid, sizeof pid) == sizeof pid ? static_cast<pid_t>(pid) : 0;
}

pid_t ask_until_other(const std::string& path, pid_t old) {
  for (Deadline deadline = Deadline::in(kAnswerPatience); !deadline.passed(); pause_for(200us))
    if (pid_t pid = ask(path); pid > 0 && pid != old) return pid;
  throw Failure("the peer's process does not come back");
}

std::vector<std::int64_t> kill_peer(const std::string& socket, std::size_t kills) {
  std::vector<std::int64_t> times;
  pid_t pid = ask_until_other(socket, 0);
  for (std::size_t i = 0; i < kills; ++i) {
    pause_for(kBetweenKills);
    auto began = monotonic_ns();
    ::kill(pid, SIGKILL);
    pid = ask_until_other(socket, pid);
    times.push_back(monotonic_ns() - began);
  }
  return times;
}

std::string peer_command(const WorkDir& dir, const StateSize& size, const std::string& socket) {
  std::string state = dir.path() + "/state-" + size.name;
  std::ofstream(state).flush();
  std::filesystem::resize_file(state, static_cast<std::uintmax_t>(size.bytes));
  return program_dir() + "/tv-bench-peer " + state + " " + socket;
}

std::vector<std::int64_t> under_s6(const WorkDir& dir, const StateSize& size, std::size_t kills) {
  std::string service = dir.path() + "/s6-" + size.name, socket = service + ".sock";
  std::filesystem::create_directory(service);
  std::ofstream(service + "/run") << "#!/bin/sh\nexec " << peer_command(dir, size, socket) << "\n";
  std::filesystem::permissions(service + "/run", std::filesystem::perms::owner_all);
  ChildProcess supervisor({"s6-supervise", service}, service + ".log");
  auto times = kill_peer(socket, kills);
  supervisor.signal(SIGTERM);  // the service down first
  (void)supervisor.wait(kAnswerPatience);
  return times;
}

std::vector<std::int64_t> under_supervisord(const WorkDir& dir, const StateSize& size, std::size_t kills) {
  std::string base = dir.path() + "/supervisord-" + size.name, socket = base + ".sock";
  std::ofstream(base + ".conf") << "[supervisord]\nnodaemon=true\nlogfile=" << base << ".out\npidfile=" << base
                                << ".pid\n[program:peer]\ncommand=" << peer_command(dir, size, socket)
                                << "\nautorestart=true\nstartsecs=0\nstartretries=1000000\n";
  ChildProcess supervisor({"supervisord", "-n", "-c", base + ".conf"}, base + ".log");
  auto times = kill_peer(socket, kills);
  supervisor.signal(SIGTERM);
  (void)supervisor.wait(kAnswerPatience);
  return times;
}

// What the process alone has (smaps_rollup), in bytes.
double private_bytes(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
  double kilobytes = 0;
  bool found = false;
  for (std::string word; file >> word;) {
    if (word != "Private_Clean:" && word != "Private_Dirty:") continue;
    double value = 0;
    file >> value;
    kilobytes += value;
    found = true;
  }
  if (!found) throw Failure("cannot read /proc/" + std::to_string(pid) + "/smaps_rollup");
  return kilobytes * 1024;
}

}  // namespace

Report restart(const Options& options) {
  Report report{"restart", "loading LibTorch and 5 ms a worker, for the start"};
  bool wanted = false;
  for (const auto& size : kSizes)
    for (const char* from : {"spare", "fork"}) wanted |= options.wants(std::string("restart/") + size.name + "/" + from);
  bool want_start = options.wants("restart/start-8-workers"), want_idle = options.wants("restart/idle-worker/private");
  if (!daemon_was_built()) {
    report.notes.push_back("needs tensorvisord and tensorvisor-worker beside tv-bench: built without LibTorch");
    return report;
  }
  WorkDir dir;
  std::size_t kills = options.quick ? 3 : 200, peer_kills = options.quick ? 1 : 10, starts = options.quick ? 1 : 10;
  auto cold = summarize_ns(cold_execs(dir, starts), kNsPerMs);
  for (const auto& size : kSizes) {
    if (!wanted || !(options.wants(std::string("restart/") + size.name + "/spare") || options.wants(std::string("restart/") + size.name + "/fork")))
      continue;
    std::map<std::string, Summary> peers{{"cold-exec", cold}};
    if (installed("s6-supervise")) peers["s6"] = summarize_ns(under_s6(dir, size, peer_kills), kNsPerMs);
    if (installed("supervisord")) peers["supervisord"] = summarize_ns(under_supervisord(dir, size, peer_kills), kNsPerMs);
    for (int spares : {1, 0}) {
      std::string name = std::string("restart/") + size.name + (spares > 0 ? "/spare" : "/fork");
      if (!options.wants(name)) continue;
      auto times = kill_and_call(dir, std::string(size.name) + (spares > 0 ? "-spare" : "-fork"), size.bytes, spares, kills);
      report.rows.push_back({name, "ms", false, summarize_ns(times, kNsPerMs), std::nullopt, peers});
    }
  }
  if (want_start || want_idle) {
    std::vector<std::int64_t> times;
    std::vector<double> megabytes;
    for (std::size_t i = 0; i < starts; ++i) {
      DaemonProcess daemon(dir, "start-" + std::to_string(i), worker_config(kStartWorkers, 0));
      times.push_back(daemon.start_ns());
      for (pid_t pid : daemon.worker_pids()) megabytes.push_back(private_bytes(pid) / 1e6);
    }
    Summary limit{cold.p50 + 5.0 * kStartWorkers, cold.p99 + 5.0 * kStartWorkers, cold.samples};
    if (want_start) report.rows.push_back({"restart/start-8-workers", "ms", false, summarize_ns(times, kNsPerMs), limit});
    if (want_idle) report.rows.push_back({"restart/idle-worker/private", "MB", false, summarize(megabytes)});
  }
  report.notes.push_back("kill -9 to the first answer of the restored actor; its state lies in the arena. cold-exec: the same worker's program until LibTorch is loaded");
  report.notes.push_back("s6, supervisord: a small program that reads a state of the same size from a file and answers; no LibTorch to load");
  return report;
}

}  // namespace tv::bench
