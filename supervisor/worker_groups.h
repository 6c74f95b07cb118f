// WorkerGroups: a cgroup for each worker, below the one that is delegated to us. README.md, "Limits of workers", has the tree.
//
//   TOP                the delegated group: no processes, passes controllers on
//   TOP/supervisor     we, the zygote, spares, the checkpoint writer
//   TOP/workers/NAME   the process of a worker, and whatever it starts; one for all its incarnations
//
// One thread. Nothing here is needed for workers to run: whoever gets an error does without.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/config.h"
#include "supervisor/cgroup.h"

namespace tv::supervisor {

// What a worker's group has used, by all of its incarnations since the group was made.
struct GroupUsage {
  std::string path;
  std::uint64_t memory_bytes = 0;
  std::uint64_t memory_peak_bytes = 0;  // 0: not known (before Linux 5.19)
  std::uint64_t memory_high = 0;        // how often it was slowed down at memory_high
  std::uint64_t memory_max = 0;         // how often it was about to go beyond memory_max
  std::uint64_t oom_kills = 0;          // processes killed for want of memory
  std::uint64_t cpu_ns = 0;
  std::uint64_t throttled_ns = 0;  // of processor time that a limit of its group, or of one above, kept from it
};

// As the kernel counts them; they begin anew when the controller comes to the group.
struct OomCount {
  std::uint64_t kills = 0;
  std::uint64_t own_limit = 0;  // how often the group's own limit was the reason
};

class WorkerGroups {
 public:
  // Moves this process, and whatever else is in `top`, into the leaf, and passes on what there is of the controllers that we use.
  static Result<WorkerGroups> open(Cgroup top);

  const Cgroup& top() const { return top_; }
  // Whether the kernel enforces what this controller does: "memory", "cpu", "cpuset".
  bool controls(const std::string& controller) const { return controllers_.contains(controller); }
  const std::set<std::string>& controllers() const { return controllers_; }
  // What was not passed on by whoever was here before us, so that the kernel begins to count anew.
  bool newly_controlled() const { return newly_controlled_; }

  Cgroup of(const std::string& worker) const { return workers_.below(group_directory(worker)); }
  // Makes the group; a death for want of memory takes all of its processes.
  Result<void> make(const std::string& worker) const;
  // What the kernel gives to all workers together: "cpuset.cpus.effective".
  Result<std::string> given(const char* file) const { return workers_.read(file); }
  Result<void> admit(const std::string& worker, pid_t pid) const { return of(worker).admit(pid); }
  // Whatever is in it, at its end.
  void end_processes(const std::string& worker) const;
  Result<void> remove(const std::string& worker) const { return of(worker).remove(); }
  // The group of the workers' groups, when these are gone.
  Result<void> remove() const { return workers_.remove(); }

  // None: the memory controller is not there.
  std::optional<OomCount> oom_count(const std::string& worker) const;
  // None: there is no group.
  std::optional<GroupUsage> usage(const std::string& worker) const;

 private:
  WorkerGroups(Cgroup top, Cgroup workers) : top_(std::move(top)), workers_(std::move(workers)) {}

  Cgroup top_;
  Cgroup workers_;
  std::set<std::string> controllers_;
  bool newly_controlled_ = false;
};

}  // namespace tv::supervisor
