#include "supervisor/worker_groups.h"

#include "config/log.h"

namespace tv::supervisor {
namespace {

constexpr std::uint64_t kNanosecondsInMicrosecond = 1000;

void report(const Result<void>& done) {
  if (!done) log::debug("cgroup", {{"cause", done.error().message}});
}

}  // namespace

Result<WorkerGroups> WorkerGroups::open(Cgroup top) {
  Cgroup workers = top.below(kWorkersGroup), leaf = top.below(kOwnLeaf);
  WorkerGroups groups(top, workers);
  TV_TRY(leaf.make());
  TV_TRY(leaf.admit_all(top));
  TV_TRY(workers.make());
  auto before = workers.passed_on();
  auto offered = top.controllers();
  for (const char* controller : {"memory", "cpu", "cpuset"}) {
    if (!offered.contains(controller)) continue;
    auto passed = top.pass_on(controller);
    if (passed) passed = workers.pass_on(controller);
    // One that the kernel does not give (cpu, where there are real-time processes) is one that is not there.
    report(passed);
    if (!passed) continue;
    groups.controllers_.insert(controller);
    groups.newly_controlled_ = groups.newly_controlled_ || !before.contains(controller);
  }
  return groups;
}

Result<void> WorkerGroups::make(const std::string& worker) const {
  auto group = of(worker);
  TV_TRY(group.make());
  if (controls("memory")) report(group.write("memory.oom.group", "1"));
  return {};
}

void WorkerGroups::end_processes(const std::string& worker) const {
  auto group = of(worker);
  if (group.read("cgroup.procs").value_or("").empty()) return;
  report(group.kill());
}

std::optional<OomCount> WorkerGroups::oom_count(const std::string& worker) const {
  auto group = of(worker);
  auto kills = group.entry("memory.events", "oom_kill");
  if (!kills) return std::nullopt;
  return OomCount{*kills, group.entry("memory.events", "oom").value_or(0)};
}

std::optional<GroupUsage> WorkerGroups::usage(const std::string& worker) const {
  auto group = of(worker);
  auto cpu = group.entry("cpu.stat", "usage_usec");
  if (!cpu) return std::nullopt;
  GroupUsage usage;
  usage.path = group.path();
  usage.cpu_ns = *cpu * kNanosecondsInMicrosecond;
  usage.throttled_ns = group.entry("cpu.stat", "throttled_usec").value_or(0) * kNanosecondsInMicrosecond;
  usage.memory_bytes = group.number("memory.current").value_or(0);
  usage.memory_peak_bytes = group.number("memory.peak").value_or(0);
  usage.memory_high = group.entry("memory.events", "high").value_or(0);
  usage.memory_max = group.entry("memory.events", "max").value_or(0);
  usage.oom_kills = group.entry("memory.events", "oom_kill").value_or(0);
  return usage;
}

}  // namespace tv::supervisor
