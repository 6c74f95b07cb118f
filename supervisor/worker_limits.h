// WorkerLimits: what each worker may have of the machine, enforced: by its cgroup where there are cgroups, else by what there is for single
// processes; and what it has used. README.md, "Limits of workers".
//
// One thread (the loop's). No error here keeps a worker from running: it is said, in the log and in what enforced() gives.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "supervisor/oom_kills.h"
#include "supervisor/worker_groups.h"

namespace tv::supervisor {

// One limit of the configuration, and what became of it.
struct Enforced {
  std::string key;    // "memory_max"
  std::string value;  // as people read it
  std::string by;     // "cgroup"; "rlimit", "affinity", "nice"; empty: nothing enforces it
  std::string note;   // what that means where it is not what the key says, or why nothing does

  bool operator==(const Enforced&) const = default;
};

class WorkerLimits {
 public:
  // Without groups: `why_not` says why there are none. Logged once.
  WorkerLimits(const config::Config& config, Result<WorkerGroups> groups);

  // Opens the groups, where a group is delegated to us and whoever starts us again can. Before any other process is started, for those are
  // to begin in our leaf. `kept`: somebody keeps our descriptors, and would start us again.
  static Result<WorkerGroups> open_groups(bool kept);

  // A parked process is to become this worker: from now on it has its limits. Before anything of the worker's runs in it. True: it has none, and so
  // no need to wait for the kernel now; settle() puts it into its group when there is time.
  bool admit(std::size_t index, pid_t pid);
  void settle(std::size_t index, pid_t pid);
  // A process that an earlier supervisor had admitted, and what that had given it by itself: limits that it has no longer are lifted.
  void take_over(std::size_t index, pid_t pid, std::uint8_t by_itself);
  std::uint8_t by_itself(std::size_t index) const;

  // After a death by SIGKILL, or of unknown cause: whether the kernel killed it for want of memory, and of whose. Told once. The text goes
  // behind "out of memory, says the kernel", and may be empty.
  std::optional<std::string> out_of_memory(std::size_t index);
  // Its process has ended: so does what it has started.
  void ended(std::size_t index);
  // The groups are removed; what is not empty is left to the service manager.
  void close();

  const std::vector<Enforced>& enforced(std::size_t index) const { return workers_[index].enforced; }
  std::optional<GroupUsage> usage(std::size_t index) const;

 private:
  struct Limited {
    std::string name;
    config::Resources resources;
    bool made = false;                                            // its group
    bool unsettled = false;                                       // its process is not in it yet
    std::uint8_t by_itself = 0;                                   // what the present process was given without a group
    OomCount known;
    std::vector<Enforced> enforced;
  };
  void enter(Limited& worker, pid_t pid);
  void apply(Limited& worker, pid_t pid);
  void say_what_is_not(const Limited& worker, const std::vector<Enforced>& before) const;
  Enforced memory_max(Limited& worker, pid_t pid);
  Enforced memory_high(Limited& worker);
  Enforced weight(Limited& worker, pid_t pid);
  Enforced cpus(Limited& worker, pid_t pid);
  Enforced mems(Limited& worker);
  Result<void> write_set(const Limited& worker, const char* file, const char* given, const std::string& numbers) const;
  bool in_group(const Limited& worker, const char* controller) const { return worker.made && groups_ && groups_->controls(controller); }
  Result<void> write(const Limited& worker, const char* file, const std::string& value) const {
    return groups_->of(worker.name).write(file, value);
  }

  std::optional<WorkerGroups> groups_;
  std::string why_not_;
  std::vector<Limited> workers_;
  OomKills oom_kills_ = OomKills::of_this_process();  // for want of a worker's own count
};

// The unit says by it that it has ExecStopPost=tensorvisord --release-cgroup.
inline constexpr const char* kReleasesVariable = "TENSORVISOR_CGROUP";
inline constexpr const char* kReleases = "released";
inline constexpr const char* kReleaseOption = "--release-cgroup";

}  // namespace tv::supervisor
