// What a tensorvisor.toml says, as plain structs with documented defaults. This header knows nothing of TOML: config/load.h
// fills these structs and checks them. Everybody may read them; nobody changes them after loading.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/clock.h"
#include "config/limits.h"
#include "config/log.h"

namespace tv::config {

// A value under `args`, handed to the actor as written. Dates and times are refused by the loader.
struct Arg {
  using List = std::vector<Arg>;
  using Table = std::map<std::string, Arg>;
  std::variant<bool, std::int64_t, double, std::string, List, Table> value;

  bool operator==(const Arg&) const = default;
};

// What workers do when the supervisor has died and nobody keeps its descriptors for the next one.
enum class Orphans {
  kStop,    // finish the message at hand and leave
  kFinish,  // finish the mail that has come, run on_stop and leave
};

// [supervisor]
struct Supervisor {
  // Sockets, lock and pid file; one daemon a directory. Absolute. The loader fills in the default: /run/tensorvisor for root, else
  // $XDG_RUNTIME_DIR/tensorvisor, else a private directory under $TMPDIR. Created with mode 0700 when it is missing.
  std::string runtime_dir;
  log::Level log_level = log::Level::kInfo;
  // How long SIGTERM lets actors finish the message at hand and run on_stop; then SIGKILL.
  Nanoseconds stop_grace = 10s;
  // How long a worker may take from its fork to ready before it counts as one that could not start.
  Nanoseconds start_timeout = 60s;
  Orphans orphans = Orphans::kStop;
  // How long they may take for that.
  Nanoseconds orphan_grace = 2s;
};

// Whether blocks are backed by huge pages.
enum class HugePages {
  kAuto,  // where the kernel has them; said once in the log where it has not
  kOn,    // the daemon does not start without
  kOff,
};

// [arena]
struct Arena {
  // "4GiB" or a share of the machine's memory, "25%". Rounded down to whole blocks of 2 MiB.
  std::uint64_t size_bytes = 0;  // the loader fills in 25% of memory
  std::uint64_t ring_bytes = limits::kDefaultRingBytes;  // a power of two; one ring per pair of participants that talk
  std::uint32_t objects = limits::kDefaultObjects;       // most objects alive at once; rounded up to whole chunks
  // What of `size_bytes` is for tensors that clients make: a size, or a share of it. Rounded to blocks, one at least, half at most.
  std::uint64_t client_bytes = 0;  // the loader fills it in from the share where the file gives no size
  double client_share = 0.125;
  // How long making a tensor waits for room in a full arena before it says that there is none.
  Nanoseconds patience = 1s;
  // So much of the free memory is kept backed, so that a new tensor's first write costs what later ones do. 0: none.
  std::uint64_t prefault_bytes = std::uint64_t{64} << 20;
  HugePages huge_pages = HugePages::kAuto;
  // Named tensors that may be evicted take at most so much: a size, or a share of the arena. 0: none can be put.
  std::uint64_t cache_bytes = 0;         // the loader fills in 10% of the arena
  std::uint32_t cache_share_ppm = 100'000;  // as written, in millionths; 0: a size was
  // Evicted ones are kept in files there; empty: they are gone. Absolute.
  std::string spill;
  std::uint64_t spill_bytes = 0;  // of all files; the loader fills in the arena's size
};

// [worker.restart], [group.restart]: delay before restart n is min(max, min * factor^(n-2)), the first restart immediate, the count forgotten
// after `reset` of health. More than `intensity` restarts within `period` and the worker is given up (state failed).
struct Backoff {
  Nanoseconds min = 100ms;
  Nanoseconds max = 10s;
  double factor = 2.0;
  Nanoseconds reset = 30s;
  std::uint32_t intensity = 10;
  Nanoseconds period = 60s;
  double jitter = 0.1;  // a delay is shortened by up to this share of it, at random

  bool operator==(const Backoff&) const = default;
};

// What a death of some kind leads to.
enum class CauseAction { kRestart, kGiveUp, kRestartElsewhere };

// [causes], and [worker.causes] on top of it. What it does not have: restart, and for an actor whose on_start failed, give_up.
struct Causes {
  std::map<int, CauseAction> exit_codes;
  std::map<int, CauseAction> signals;
  std::optional<CauseAction> oom;              // killed because memory ran out
  std::optional<CauseAction> hang;             // killed because it made no progress
  std::optional<CauseAction> device_error;     // exit code 75
  std::optional<CauseAction> could_not_start;  // a worker that is not ready in time, an actor whose on_start failed

  bool operator==(const Causes&) const = default;
};

enum class DeviceKind { kCpu, kCuda, kMps };

struct Device {
  DeviceKind kind = DeviceKind::kCpu;
  int index = 0;  // of cuda:N; 0 otherwise

  bool operator==(const Device&) const = default;
};

// What people sort their things by: `tensorctl list actors -l team=vision`. Means nothing to the daemon.
using Labels = std::map<std::string, std::string>;

std::string to_string(const Device& device);                 // "cpu", "cuda:1", "mps"
std::optional<Device> parse_device(const std::string& text);  // "cuda" is cuda:0

// What each of a worker's processes may have of the machine (supervisor/worker_limits.h says how it is enforced). 0 or empty: no limit.
struct Resources {
  std::uint64_t memory_max = 0;   // bytes; beyond it the kernel kills the process
  std::uint64_t memory_high = 0;  // bytes; beyond it the kernel slows the process down and takes back what it can
  std::uint32_t cpu_weight = 0;   // 1 to 10000 of kDefaultCpuWeight, when processors are short
  std::string cpus;               // numbers of processors in their shortest form, "0-3,8"
  std::string mems;               // numbers of memory nodes, likewise

  bool operator==(const Resources&) const = default;
};
inline constexpr std::uint32_t kDefaultCpuWeight = 100;  // of whoever says nothing

// [[worker]], one entry per process: count = 2 of name "cpu" makes "cpu/0" and "cpu/1".
struct Worker {
  std::string name;   // of the process
  std::string group;  // the name in the file, by which actors and pools refer to all of its processes
  Device device;
  int threads = 1;          // LibTorch's intra-op threads
  std::uint32_t spares = 0;  // parked forks that stand ready to replace a crashed process of this group (counted once a group)
  std::map<std::string, std::string> env;
  Backoff restart;
  Causes causes;            // the loader puts [causes] under it
  Nanoseconds probation{0};  // a failed one gets another chance after so long; 0: only from an administrator
  // A ready process whose loop makes no turn for so long hangs: it is told to write down its stacks and die (SIGABRT), and gets SIGKILL when
  // the grace is over. 0: never.
  Nanoseconds watchdog = 30s;
  Nanoseconds watchdog_grace = 5s;
  Resources resources;
  Labels labels;  // of every process of the group
};

enum class RestartType {
  kPermanent,  // started again whenever its worker comes back
  kTransient,  // started again only after an abnormal end of its worker
  kTemporary,  // never started again
};

// The actor types that need no plug-in. Those of plug-ins have a dot in their names: "fashion.trainer".
inline constexpr std::string_view kTorchScript = "torchscript";
bool is_builtin_type(std::string_view type);

// When an actor's state is committed to the arena besides on_stop and an explicit commit. 0: not for this reason.
struct Checkpoint {
  std::uint64_t every_messages = 1;
  Nanoseconds interval = 0ns;
  // Whether commits are carried to disk as well. The loader fills it in: as written, else whether [checkpoints] names a directory.
  std::optional<bool> disk;

  bool on_disk() const { return disk.value_or(false); }
};

enum class DeliveryMode {
  kAtLeastOnce,  // a message whose handling killed the worker is handled again, up to max_deliveries times
  kAtMostOnce,   // it is not: its caller learns that the outcome is unknown
  kEffectivelyOnce,  // it is handled again as well, and its effect and its answer are those of one time (worker/README.md)
};

// What becomes of a message that an actor's worker died with.
struct Delivery {
  DeliveryMode mode = DeliveryMode::kAtLeastOnce;
  // At least and effectively once: how often a message may be begun before it goes to the dead letters. 1 to limits::kMaxDeliveries.
  std::uint32_t max_deliveries = 3;

  bool operator==(const Delivery&) const = default;
};

// How often an actor is asked whether it is well (Actor::on_health), and what counts as no.
struct HealthCheck {
  Nanoseconds period{0};  // from the end of one check to the next; 0: it is not asked
  Nanoseconds timeout = 5s;  // a check that takes longer has failed, whatever it says in the end
  std::uint32_t failures = 3;  // in a row make it unhealthy; one success makes it healthy

  bool operator==(const HealthCheck&) const = default;
};

// [[actor]]
struct Actor {
  std::string name;
  std::string type;    // as a plug-in registers it, or a built-in type ("torchscript")
  std::string plugin;  // absolute path of the .so (in the file: relative to the file); empty for built-in types
  // A worker process or group (then its first process); empty: the first worker with `device`. The loader fills in the first worker
  // where the file gives neither.
  std::string worker;
  std::optional<Device> device;
  RestartType restart = RestartType::kPermanent;
  Checkpoint checkpoint;
  Delivery delivery;
  Arg::Table args;
  std::vector<std::string> after;  // actors and pools that have to be ready before it is started
  HealthCheck health;
  bool migrate = true;             // moves when its worker is given up, to another one that `worker` or `device` names as well
  bool required = true;            // the daemon is not ready before it is
  Labels labels;
};

enum class Routing { kRoundRobin, kLeastLoaded, kRandom };

// [[pool]]: `size` actors of one type, named "<name>/<i>", spread round-robin over the processes of its workers.
struct Pool {
  std::string name;
  std::string type;
  std::string plugin;
  std::uint32_t size = 1;
  // Worker processes or groups; empty: all workers with `device`. The loader fills in all groups where the file gives neither.
  std::vector<std::string> workers;
  std::optional<Device> device;
  Routing routing = Routing::kLeastLoaded;
  RestartType restart = RestartType::kPermanent;
  Checkpoint checkpoint;
  Delivery delivery;
  Arg::Table args;
  std::vector<std::string> after;  // actors and pools that have to be ready before it is started
  HealthCheck health;
  std::uint32_t max_size = 0;      // to which `tensorctl scale` may bring it; 0: not beyond size
  bool any_max_size = false;       // the file does not say: `max_size` is what the loader found room for
  bool migrate = true;             // of each member, as of an actor
  bool required = true;            // of each member, as of an actor
  Labels labels;                   // its own, and of each member
};

enum class Strategy {
  kOneForOne,   // who dies is started again
  kOneForAll,   // all of the group are stopped and started
  kRestForOne,  // who dies and those that stand behind it in the group
};

// More than `intensity` restarts within `period` are too many.
struct Budget {
  std::uint32_t intensity = 0;
  Nanoseconds period{0};

  bool operator==(const Budget&) const = default;
};

// [[group]]: children are started in their order and stopped in reverse.
struct Group {
  std::string name;
  Strategy strategy = Strategy::kOneForOne;
  std::vector<std::string> children;  // actors, pools and groups
  std::optional<Budget> budget;       // of all children together; none: each has its worker's (a group: its own `restart`)
  Backoff restart;                    // how the group itself comes back when it has failed
  Nanoseconds probation{0};           // of a group that is in no other; as a worker's
};

// [checkpoints]: commits on disk, for the case that the machine goes down.
struct Checkpoints {
  // Absolute; empty: no actor's commits go to disk. The loader fills in the default where an actor asks for it: $STATE_DIRECTORY,
  // /var/lib/tensorvisor for root, or $XDG_STATE_HOME/tensorvisor, and "checkpoints" in it.
  std::string directory;
  std::uint32_t keep = 3;         // generations of an actor; at least 1
  Nanoseconds min_interval = 1s;  // from the end of one generation of an actor to the beginning of its next
};

// [access]: who besides the daemon's own user and root may do what. Each is a user ("alice", "1000"), a group ("@video", "@44") or "*" for everybody
// on the machine. Who may more may also do what those may who may less.
struct Access {
  std::vector<std::string> observe;     // look
  std::vector<std::string> operate;     // start and stop, call actors, attach
  std::vector<std::string> administer;  // everything
};

// [clients]: what one client may have at once. 0: no limit but the arena's.
struct Clients {
  std::uint64_t bytes = 0;             // of the arena, for tensors that it makes; rounded up to blocks of 2 MiB
  std::uint32_t objects = 0;           // tensors that it refers to: its own, and those in answers that it keeps
  std::uint32_t calls_per_second = 0;  // to one worker, over any second and a burst of as many
};

// [log]: the latest records of the log, for tensorctl logs and events.
struct Log {
  // Most bytes that the daemon keeps of them, what workers print included; 0: nothing is kept, and where there is no journal workers write to the
  // daemon's own standard output and error.
  std::uint64_t keep_bytes = limits::kDefaultLogBytes;
};

// [inject]: faults on purpose (tensorctl inject).
struct Inject {
  bool enabled = false;
};

struct Config {
  std::string path;  // of the file, absolute; empty when loaded from memory
  Supervisor supervisor;
  Arena arena;
  std::vector<Worker> workers;
  std::vector<Actor> actors;
  std::vector<Pool> pools;
  Checkpoints checkpoints;
  std::vector<Group> groups;
  Access access;
  Clients clients;
  Log log;
  Inject inject;
};

std::string_view to_string(Orphans orphans);
std::string_view to_string(HugePages huge_pages);
std::string_view to_string(RestartType type);
std::string_view to_string(Routing routing);
std::string_view to_string(DeliveryMode mode);
std::string_view to_string(Strategy strategy);
std::string_view to_string(CauseAction action);

// Worker processes that `reference` (a process's or a group's name) means, as indices into config.workers; empty: none.
std::vector<std::size_t> workers_named(const Config& config, const std::string& reference);
std::vector<std::size_t> workers_with(const Config& config, const Device& device);

}  // namespace tv::config
