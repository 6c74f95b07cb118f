#include "supervisor/process_limits.h"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "config/config.h"
#include "config/limits.h"

namespace tv::supervisor {
namespace {

Error refused(const std::string& what, pid_t pid, int err) {
  auto code = err == ESRCH ? Errc::kNotFound : err == EPERM || err == EACCES ? Errc::kPermission : Errc::kSystem;
  return Error{code, system_error(what + " of process " + std::to_string(pid), err).message};
}

// The last error, having tried every thread. One that has ended meanwhile does not matter.
Result<void> each_thread(pid_t pid, const std::string& what, const std::function<int(pid_t)>& set) {
  std::error_code gone;
  std::filesystem::directory_iterator threads("/proc/" + std::to_string(pid) + "/task", gone);
  if (gone) return refused(what, pid, ESRCH);
  Result<void> result;
  for (const auto& thread : threads) {
    auto name = thread.path().filename().string();
    pid_t tid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), tid).ec != std::errc{}) continue;
    if (set(tid) != 0 && errno != ESRCH) result = refused(what, pid, errno);
  }
  return result;
}

struct CpuSet {
  explicit CpuSet(std::size_t count) : raw(CPU_ALLOC(count)), bytes(CPU_ALLOC_SIZE(count)) {
    TV_ASSERT(raw != nullptr);
    CPU_ZERO_S(bytes, raw);
  }
  ~CpuSet() { CPU_FREE(raw); }
  CpuSet(const CpuSet&) = delete;
  CpuSet& operator=(const CpuSet&) = delete;
  cpu_set_t* raw;
  std::size_t bytes;
};

}  // namespace

Result<void> limit_private_memory(pid_t pid, std::uint64_t bytes) {
  rlimit limit{};
  if (::prlimit(pid, RLIMIT_DATA, nullptr, &limit) != 0) return refused("cannot read the limit of memory", pid, errno);
  limit.rlim_cur = bytes == 0 ? limit.rlim_max : std::min<rlim_t>(bytes, limit.rlim_max);
  if (::prlimit(pid, RLIMIT_DATA, &limit, nullptr) != 0) return refused("cannot set the limit of memory", pid, errno);
  return {};
}

Result<void> limit_processors(pid_t pid, const std::vector<std::uint32_t>& cpus) {
  CpuSet set(limits::kMaxCpus);
  for (auto cpu : cpus)
    if (cpu < limits::kMaxCpus) CPU_SET_S(cpu, set.bytes, set.raw);
  if (cpus.empty())
    for (std::uint32_t cpu = 0; cpu < limits::kMaxCpus; ++cpu) CPU_SET_S(cpu, set.bytes, set.raw);
  return each_thread(pid, "cannot set the processors", [&](pid_t tid) { return ::sched_setaffinity(tid, set.bytes, set.raw); });
}

int nice_of_weight(std::uint32_t weight) {
  double steps = std::log(static_cast<double>(config::kDefaultCpuWeight) / std::max<std::uint32_t>(weight, 1)) / std::log(1.25);
  return std::clamp(static_cast<int>(std::lround(steps)), -20, 19);
}

Result<void> set_weight(pid_t pid, std::uint32_t weight) {
  int nice = nice_of_weight(weight);
  return each_thread(pid, "cannot set nice " + std::to_string(nice),
                     [nice](pid_t tid) { return ::setpriority(PRIO_PROCESS, static_cast<id_t>(tid), nice); });
}

}  // namespace tv::supervisor
