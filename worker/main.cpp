// tensorvisor-worker: the zygote that tensorvisord starts, and, forked from it, every worker.
#include <fcntl.h>
#include <netdb.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "config/log.h"
#include "worker/exit_codes.h"
#include "worker/gather_memory.h"
#include "worker/torch/devices.h"
#include "worker/torch/torchscript.h"
#include "worker/version.h"
#include "worker/worker_process.h"
#include "worker/zygote.h"

namespace {

constexpr const char* kUsage =
    "usage: tensorvisor-worker [--zygote] --zygote-fd=N\n"
    "\n"
    "Started by tensorvisord, with its end of a socket pair as descriptor N. Loads LibTorch once and forks workers on request.\n"
    "  --zygote        says in listings of processes what this one is; nothing else\n"
    "  --zygote-fd=N   serve as the zygote on descriptor N\n"
    "  --version       print the version\n";

// Set in the environment of a zygote that has started itself again.
constexpr const char* kStartedAgain = "TENSORVISOR_ZYGOTE_STARTED_AGAIN";

std::optional<int> parse_fd(std::string_view text) {
  int fd = -1;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), fd);
  if (error != std::errc() || end != text.data() + text.size() || fd < 0) return std::nullopt;
  return fd;
}

// Some libraries (OpenBLAS with threads) start a pool when they are loaded, unless the environment forbids it at that moment. So the
// zygote forbids it and starts itself again; workers set their thread counts later (Devices::set_threads).
void start_again_if_threads(char** arguments) {
  auto threads = tv::worker::thread_count();
  if (!threads || *threads == 1 || std::getenv(kStartedAgain)) return;
  for (const char* name : {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", kStartedAgain}) ::setenv(name, "1", 1);
  ::execv("/proc/self/exe", arguments);
  tv::log::error("cannot start again without threads", {{"cause", std::strerror(errno)}});
}

// What a worker's first steps would look for in files, milliseconds after a crash: the time zone, and the name services that ZeroMQ asks for a
// protocol's number when its context is made.
void look_up_early() {
  ::tzset();
  ::setprotoent(1);
  (void)::getprotobyname("pgm");
  ::endprotoent();
}

int serve_as_zygote(int fd) {
  if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
    std::fprintf(stderr, "tensorvisor-worker: descriptor %d: %s; it is for tensorvisord to start this program\n", fd, std::strerror(errno));
    return tv::worker::kExitCannotWork;
  }
  ::unsetenv("LD_BIND_NOW");  // the supervisor's wish for this program alone
  ::prctl(PR_SET_NAME, "tv:zygote");
  tv::log::set_common("worker", "zygote");
  tv::worker::reset_signals();
  tv::worker::load_libtorch();
  look_up_early();
  tv::log::debug("memory gathered", {{"mib", tv::worker::gather_memory() >> 20}});
  tv::worker::Equipment equipment{tv::worker::make_torch_devices, tv::worker::register_torchscript};
  tv::worker::Zygote zygote(tv::Fd(fd), [&](tv::Fd socket) { return tv::worker::run_worker(std::move(socket), equipment); });
  auto served = zygote.serve();
  if (served) return 0;
  tv::log::error("zygote cannot serve", {{"cause", served.error().message}});
  return tv::worker::kExitActorBug;
}

}  // namespace

int main(int count, char** arguments) {
  constexpr std::string_view kZygoteFd = "--zygote-fd=";
  std::optional<int> fd;
  for (int i = 1; i < count; ++i) {
    std::string_view argument = arguments[i];
    if (argument == "--version") {
      std::printf("tensorvisor-worker %s\n", tv::version());
      return 0;
    }
    if (argument == "--help") {
      std::fputs(kUsage, stdout);
      return 0;
    }
    if (argument == "--zygote") continue;
    fd = argument.starts_with(kZygoteFd) ? parse_fd(argument.substr(kZygoteFd.size())) : std::nullopt;
    if (!fd) break;
  }
  if (!fd) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  start_again_if_threads(arguments);
  return serve_as_zygote(*fd);
}
