#include "supervisor/worker_limits.h"

#include <algorithm>
#include <cstdlib>

#include "config/fd.h"
#include "config/log.h"
#include "config/units.h"
#include "supervisor/process_limits.h"

namespace tv::supervisor {
namespace {

// What a process has been given by itself, as bits.
constexpr std::uint8_t kData = 1, kPlace = 2, kWeight = 4;

// What a controller's file is without a limit.
constexpr const char* kNoLimit = "max";
constexpr const char* kAll = "\n";

Enforced by_group(Enforced limit, const Result<void>& written) {
  if (written)
    limit.by = "cgroup";
  else
    limit.note = written.error().message;
  return limit;
}

Enforced by_process(Enforced limit, const char* by, const std::string& note, const Result<void>& set) {
  if (set) limit.by = by;
  limit.note = set ? note : set.error().message;
  return limit;
}

bool has_any(const config::Resources& resources) { return resources != config::Resources{}; }

std::string joined(const std::set<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

}  // namespace

Result<WorkerGroups> WorkerLimits::open_groups(bool kept) {
  auto top = TV_TRY(delegated_cgroup());
  const char* releases = ::getenv(kReleasesVariable);
  auto groups = read_file("/proc/self/cgroup", std::size_t{64} << 10).value_or("");
  bool in_leaf = cgroup_in(groups).ends_with(std::string("/") + kOwnLeaf);
  if (kept && !in_leaf && !(releases && std::string(releases) == kReleases))
    return Error{Errc::kUnsupported, "a daemon that is killed could not be started again in " + top.path() +
                                         " while its workers run; the unit needs DelegateSubgroup=" + kOwnLeaf +
                                         " (systemd 254 or later), or ExecStopPost=tensorvisord " + kReleaseOption +
                                         " and Environment=" + kReleasesVariable + "=" + kReleases};
  return WorkerGroups::open(std::move(top));
}

WorkerLimits::WorkerLimits(const config::Config& config, Result<WorkerGroups> groups) {
  bool wanted = false;
  for (const auto& worker : config.workers) {
    workers_.push_back({.name = worker.name, .resources = worker.resources, .known = {}, .enforced = {}});
    wanted = wanted || has_any(worker.resources);
  }
  if (!groups) {
    why_not_ = groups.error().message;
    if (wanted)
      log::notice("workers without cgroups",
                  {{"cause", why_not_}, {"next", "tensorctl describe worker NAME says which of a worker's limits hold all the same"}});
    else  // nobody has asked for them
      log::info("workers without cgroups", {{"cause", why_not_}});
    return;
  }
  groups_ = *std::move(groups);
  std::string controllers = groups_->controllers().empty() ? "none" : joined(groups_->controllers());
  log::info("workers in cgroups", {{"cgroup", groups_->top().path()}, {"controllers", controllers}});
  why_not_ = "the controllers of " + groups_->top().path() + " are: " + controllers;
}

void WorkerLimits::enter(Limited& worker, pid_t pid) {
  if (!groups_) return;
  auto entered = groups_->make(worker.name);
  worker.made = entered.ok();
  if (entered) entered = groups_->admit(worker.name, pid);
  if (entered) return;
  worker.made = false;
  log::warning("worker not in its cgroup", {{"worker", worker.name}, {"pid", pid}, {"cause", entered.error().message}});
}

bool WorkerLimits::admit(std::size_t index, pid_t pid) {
  Limited& worker = workers_[index];
  worker.by_itself = 0;
  worker.unsettled = groups_.has_value() && !has_any(worker.resources);
  if (worker.unsettled) return true;
  auto before = worker.enforced;
  // A group keeps its limits from one process to the next.
  bool fresh = !worker.made;
  if (groups_) worker.made = groups_->make(worker.name).ok();
  if (fresh) apply(worker, 0);
  enter(worker, pid);
  bool all_by_group =
      std::all_of(worker.enforced.begin(), worker.enforced.end(), [](const Enforced& limit) { return limit.by == "cgroup"; });
  if (!worker.made || !all_by_group) apply(worker, pid);
  say_what_is_not(worker, before);
  if (groups_) worker.known = groups_->oom_count(worker.name).value_or(OomCount{});
  return false;
}

void WorkerLimits::settle(std::size_t index, pid_t pid) {
  Limited& worker = workers_[index];
  if (!std::exchange(worker.unsettled, false)) return;
  enter(worker, pid);
  apply(worker, pid);
  worker.known = groups_->oom_count(worker.name).value_or(OomCount{});
}

std::uint8_t WorkerLimits::by_itself(std::size_t index) const { return workers_[index].by_itself; }

void WorkerLimits::take_over(std::size_t index, pid_t pid, std::uint8_t by_itself) {
  Limited& worker = workers_[index];
  worker.by_itself = by_itself;
  worker.unsettled = false;
  enter(worker, pid);
  apply(worker, pid);
  if (!groups_) return;
  worker.known = groups_->oom_count(worker.name).value_or(OomCount{});
  // Before systemd 254 nothing can be passed on while a supervisor starts.
  if (groups_->newly_controlled() && worker.made)
    log::notice("memory counted anew", {{"worker", worker.name},
                                        {"cause",
                                         "the controllers had to be taken from its cgroup so that another supervisor could start; what it "
                                         "had by then no longer counts against its limits"}});
}

void WorkerLimits::apply(Limited& worker, pid_t pid) {
  worker.enforced.clear();
  for (auto& limit : {memory_max(worker, pid), memory_high(worker), weight(worker, pid), cpus(worker, pid), mems(worker)})
    if (!limit.value.empty()) worker.enforced.push_back(limit);
}

// Once for each that changes for the worse, not with each incarnation.
void WorkerLimits::say_what_is_not(const Limited& worker, const std::vector<Enforced>& before) const {
  for (const auto& limit : worker.enforced) {
    // Without a process nothing has been tried.
    auto told = [](const Enforced& of) { return of.by.empty() && !of.note.empty(); };
    bool known = std::any_of(before.begin(), before.end(), [&](const Enforced& old) { return old.key == limit.key && told(old); });
    if (told(limit) && !known)
      log::warning("limit not enforced", {{"worker", worker.name}, {"limit", limit.key}, {"value", limit.value}, {"cause", limit.note}});
  }
}

// No numbers: all that there are. The kernel takes an empty set for that only in a group without processes; to another one they have to be named.
Result<void> WorkerLimits::write_set(const Limited& worker, const char* file, const char* given, const std::string& numbers) const {
  if (!numbers.empty()) return write(worker, file, numbers);
  if (auto written = write(worker, file, kAll); written) return written;
  return write(worker, file, TV_TRY(groups_->given(given)));
}

Enforced WorkerLimits::memory_max(Limited& worker, pid_t pid) {
  auto bytes = worker.resources.memory_max;
  Enforced limit{"memory_max", bytes ? config::format_size(bytes) : "", "", ""};
  if (in_group(worker, "memory")) return by_group(limit, write(worker, "memory.max", bytes ? std::to_string(bytes) : kNoLimit));
  if (pid == 0 || (bytes == 0 && !(worker.by_itself & kData))) return limit;
  worker.by_itself |= kData;
  return by_process(limit, "rlimit",
                    "RLIMIT_DATA: private memory that is allocated, touched or not; an allocation beyond it fails (" + why_not_ + ")",
                    limit_private_memory(pid, bytes));
}

Enforced WorkerLimits::memory_high(Limited& worker) {
  auto bytes = worker.resources.memory_high;
  Enforced limit{"memory_high", bytes ? config::format_size(bytes) : "", "", why_not_};
  if (in_group(worker, "memory"))
    return by_group({limit.key, limit.value, "", ""}, write(worker, "memory.high", bytes ? std::to_string(bytes) : kNoLimit));
  return limit;
}

Enforced WorkerLimits::weight(Limited& worker, pid_t pid) {
  auto weight = worker.resources.cpu_weight;
  Enforced limit{"cpu_weight", weight ? std::to_string(weight) : "", "", ""};
  if (in_group(worker, "cpu"))
    return by_group(limit, write(worker, "cpu.weight", std::to_string(weight ? weight : config::kDefaultCpuWeight)));
  if (pid == 0 || (weight == 0 && !(worker.by_itself & kWeight))) return limit;
  worker.by_itself |= kWeight;
  auto wanted = weight ? weight : config::kDefaultCpuWeight;
  return by_process(limit, "nice", "nice " + std::to_string(nice_of_weight(wanted)), set_weight(pid, wanted));
}

Enforced WorkerLimits::cpus(Limited& worker, pid_t pid) {
  const auto& cpus = worker.resources.cpus;
  Enforced limit{"cpus", cpus, "", ""};
  if (in_group(worker, "cpuset")) return by_group(limit, write_set(worker, "cpuset.cpus", "cpuset.cpus.effective", cpus));
  if (pid == 0 || (cpus.empty() && !(worker.by_itself & kPlace))) return limit;
  worker.by_itself |= kPlace;
  auto numbers =
      cpus.empty() ? Result<std::vector<std::uint32_t>>(std::vector<std::uint32_t>()) : config::parse_numbers(cpus, limits::kMaxCpus);
  return by_process(limit, "affinity", "sched_setaffinity: the process can change it",
                    numbers ? limit_processors(pid, *numbers) : Result<void>(numbers.error()));
}

Enforced WorkerLimits::mems(Limited& worker) {
  const auto& mems = worker.resources.mems;
  Enforced limit{"mems", mems, "", why_not_};
  if (in_group(worker, "cpuset"))
    return by_group({limit.key, limit.value, "", ""}, write_set(worker, "cpuset.mems", "cpuset.mems.effective", mems));
  return limit;
}

std::optional<std::string> WorkerLimits::out_of_memory(std::size_t index) {
  Limited& worker = workers_[index];
  auto now = worker.made && groups_ && !worker.unsettled ? groups_->oom_count(worker.name) : std::nullopt;
  if (!now) return oom_kills_.another() ? std::optional<std::string>("") : std::nullopt;
  auto before = std::exchange(worker.known, *now);
  if (now->kills <= before.kills) return std::nullopt;
  auto usage = groups_->usage(worker.name);
  auto used =
      usage && usage->memory_peak_bytes ? "; its cgroup has used " + config::format_size(usage->memory_peak_bytes) + " at most" : "";
  if (now->own_limit > before.own_limit && worker.resources.memory_max)
    return ": its limit, memory_max = " + config::format_size(worker.resources.memory_max) + ", was reached" + used;
  return ": the memory of the machine, or of a cgroup above the worker's, was used up" + used;
}

void WorkerLimits::ended(std::size_t index) {
  if (groups_ && workers_[index].made) groups_->end_processes(workers_[index].name);
}

void WorkerLimits::close() {
  if (!groups_) return;
  for (const auto& worker : workers_)
    if (auto removed = groups_->remove(worker.name); !removed)
      log::debug("cgroup left behind", {{"worker", worker.name}, {"cause", removed.error().message}});
  if (auto removed = groups_->remove(); !removed) log::debug("cgroup left behind", {{"cause", removed.error().message}});
}

std::optional<GroupUsage> WorkerLimits::usage(std::size_t index) const {
  return groups_ && workers_[index].made ? groups_->usage(workers_[index].name) : std::nullopt;
}

}  // namespace tv::supervisor
