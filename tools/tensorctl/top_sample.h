// What top shows: two looks at the daemon and the machine, and the rates between them. Pure but for take_sample().
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/clock.h"
#include "ipc/admin_client.h"
#include "tools/tensorctl/live.h"
#include "tools/tensorctl/machine.h"
#include "tools/tensorctl/nvml.h"

namespace tv::ctl {

struct WorkerSample {
  std::string name, device, state, last_death;
  int pid = 0;
  std::int64_t cpu_ns = 0;
  std::uint64_t resident_bytes = 0;
  std::optional<std::uint64_t> group_bytes;  // what its cgroup counts, if it has one
  std::string memory_max;                    // as configured; empty: no limit
  std::uint64_t oom_kills = 0;               // of processes in its cgroup
  std::uint64_t unread_bytes = 0;
  std::uint32_t actors = 0;
  std::uint64_t restarts = 0;
  std::int64_t last_death_ns = 0;  // CLOCK_REALTIME
};

struct ActorSample {
  std::string name, worker, state;
  std::uint32_t incarnation = 0;
  std::uint64_t handled = 0, failed = 0, unread = 0, state_bytes = 0;
  std::int64_t last_commit_ns = 0;  // CLOCK_MONOTONIC
};

struct Sample {
  std::int64_t at_ns = 0;  // CLOCK_MONOTONIC
  int daemon_pid = 0;
  std::string version, health;
  std::int64_t started_ns = 0;  // CLOCK_REALTIME
  std::uint32_t clients = 0;
  std::uint64_t arena_bytes = 0, arena_leased_bytes = 0, arena_backed_bytes = 0, objects = 0, max_objects = 0;
  std::vector<WorkerSample> workers;
  std::vector<ActorSample> actors;
  MachineSample machine;
  std::vector<GpuSample> gpus;
};

// `nvml` may be null.
Result<Sample> take_sample(ipc::AdminClient& client, const Nvml* nvml, Deadline deadline);

const std::vector<std::string>& top_sort_names();
std::optional<TopSort> parse_top_sort(const std::string& text);

struct WorkerRow {
  WorkerSample now;
  std::optional<double> cpu_percent;  // 100: one processor; none: another process than before
  std::optional<double> handled_per_s;
};
struct ActorRow {
  ActorSample now;
  std::optional<double> handled_per_s, failed_per_s;
};
struct DeviceRow {
  std::string device;  // as workers name it
  std::vector<std::string> workers;
  std::optional<GpuSample> gpu;  // of a CUDA device that NVML knows
};

struct Top {
  Sample now;
  double seconds = 0;                         // between the two looks
  std::optional<double> machine_cpu_percent;  // of all processors
  std::vector<DeviceRow> devices;             // that workers are configured for
  std::vector<WorkerRow> workers;
  std::vector<ActorRow> actors;
};
Top top_of(const Sample& before, Sample now, TopSort sort);

}  // namespace tv::ctl
