#include "tools/tensorctl/machine.h"

#include <sched.h>

#include <sstream>

#include "config/fd.h"

namespace tv::ctl {
namespace {

constexpr std::size_t kMostBytes = std::size_t{256} << 10;

std::uint32_t usable_cores() {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<std::uint32_t>(CPU_COUNT(&set)) : 0;
}

// "cpu  user nice system idle iowait irq softirq steal ...": what waits for a disk is idle.
void read_cpu(const std::string& stat, MachineSample& sample) {
  std::istringstream line(stat);
  std::string name;
  std::uint64_t value = 0;
  line >> name;
  if (name != "cpu") return;
  constexpr int kIdle = 3, kIoWait = 4, kSteal = 7;  // guests, behind it, are in user
  for (int i = 0; i <= kSteal && line >> value; ++i) {
    sample.cpu_all += value;
    if (i != kIdle && i != kIoWait) sample.cpu_busy += value;
  }
}

}  // namespace

std::uint64_t meminfo_bytes(const std::string& meminfo, const std::string& key) {
  std::istringstream lines(meminfo);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(key + ":")) continue;
    std::uint64_t kib = 0;
    std::istringstream(line.substr(key.size() + 1)) >> kib;
    return kib << 10;
  }
  return 0;
}

MachineSample look_at_machine(const std::string& root) {
  MachineSample sample{.cores = usable_cores()};
  if (auto stat = read_file(root + "/proc/stat", kMostBytes)) read_cpu(*stat, sample);
  if (auto load = read_file(root + "/proc/loadavg", kMostBytes)) std::istringstream(*load) >> sample.load_1min;
  if (auto meminfo = read_file(root + "/proc/meminfo", kMostBytes)) {
    sample.memory_bytes = meminfo_bytes(*meminfo, "MemTotal");
    sample.memory_available_bytes = meminfo_bytes(*meminfo, "MemAvailable");
  }
  return sample;
}

}  // namespace tv::ctl
