// The worker's program without LibTorch, for builds and tests that need none: the real zygote, the real runtime, and a CPU.
#include <fcntl.h>
#include <sys/prctl.h>

#include <cstdlib>
#include <string_view>

#include "worker/worker_process.h"
#include "worker/zygote.h"

namespace {

class Cpu final : public tv::worker::Devices {
 public:
  tv::Result<std::string> use(const tv::config::Device& device) override { return tv::config::to_string(device); }
  void set_threads(int) override {}
  std::optional<std::string> fatal_error() override { return std::nullopt; }
};

}  // namespace

int main(int count, char** arguments) {
  constexpr std::string_view kZygoteFd = "--zygote-fd=";
  int fd = -1;
  for (int i = 1; i < count; ++i)
    if (std::string_view(arguments[i]).starts_with(kZygoteFd)) fd = std::atoi(arguments[i] + kZygoteFd.size());
  if (fd < 0 || ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return 2;
  ::prctl(PR_SET_NAME, "tv:zygote");
  tv::worker::reset_signals();
  tv::worker::Equipment equipment{[] { return std::make_unique<Cpu>(); }, [](tv::Registry&) {}};
  tv::worker::Zygote zygote(tv::Fd(fd), [&](tv::Fd socket) { return tv::worker::run_worker(std::move(socket), equipment); });
  return zygote.serve().ok() ? 0 : 1;
}
