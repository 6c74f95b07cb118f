#include "config/sections.h"

#include <array>
#include <bit>
#include <limits>

#include "config/args.h"
#include "config/names.h"
#include "config/supervision_sections.h"

namespace tv::config {
namespace {

constexpr Nanoseconds kLongest = 24h;
constexpr std::int64_t kMaxThreads = 1024;
constexpr std::int64_t kMaxFailures = 1000;  // of a health check

template <class T, class U>
void set(T& out, const std::optional<U>& value) {
  if (value) out = static_cast<T>(*value);
}

void read_name(const Value& value, std::string& out) {
  auto name = value.text("a name");
  if (!name) return;
  out = *name;
  if (auto fault = fault_in_name(out); !fault.empty()) value.problem(in_quotes(out) + " " + fault);
}

void read_type(const Value& value, std::string& out) {
  auto type = value.text("an actor type such as \"fashion.trainer\" or \"torchscript\"");
  if (!type) return;
  out = *type;
  if (auto fault = fault_in_type(out); !fault.empty()) value.problem(in_quotes(out) + " " + fault);
}

std::optional<Device> read_device(const Value& value) {
  constexpr std::string_view kDevices = "a device: \"cpu\", \"cuda:N\" (N from 0 to 127) or \"mps\"";
  auto text = value.text(kDevices);
  if (!text) return std::nullopt;
  auto device = parse_device(*text);
  if (!device) value.expected(kDevices);
  return device;
}

void read_reference(const Value& value, std::string& out) { set(out, value.text("the name of a worker")); }

void read_args(const Value& value, Arg::Table& out) { out = arg_table_of(value); }

void read_runtime_dir(const Value& value, Supervisor& out) {
  auto path = value.path();
  if (!path) return;
  if (path->size() > limits::kMaxRuntimeDirBytes)
    return value.problem(in_quotes(*path) + " has " + std::to_string(path->size()) + " bytes, at most " +
                         std::to_string(limits::kMaxRuntimeDirBytes) +
                         " are possible: sockets lie in it, and the path of a socket has room for 108");
  out.runtime_dir = *path;
}

void read_log_level(const Value& value, Supervisor& out) {
  using log::Level;
  static constexpr std::array kLevels = {Level::kDebug, Level::kInfo, Level::kNotice, Level::kWarning, Level::kError};
  set(out.log_level, value.choice(kLevels, log::level_name));
}

void read_orphans(const Value& value, Supervisor& out) {
  static constexpr std::array kChoices = {Orphans::kStop, Orphans::kFinish};
  set(out.orphans, value.choice(kChoices, [](Orphans choice) { return to_string(choice); }));
}

constexpr Key<Supervisor> kSupervisorKeys[] = {
    {"runtime_dir", read_runtime_dir},
    {"log_level", read_log_level},
    {"stop_grace", [](const Value& value, Supervisor& out) { set(out.stop_grace, value.duration(0s, 1h)); }},
    {"start_timeout", [](const Value& value, Supervisor& out) { set(out.start_timeout, value.duration(1ms, 1h)); }},
    {"orphans", read_orphans},
    {"orphan_grace", [](const Value& value, Supervisor& out) { set(out.orphan_grace, value.duration(0s, 1h)); }},
};

void read_arena_size(const Value& value, Arena& out) {
  auto memory = value.source().machine.memory_bytes;
  auto size = value.size(memory);
  if (!size) return;
  if (*size < limits::kMinArenaBytes)
    return value.problem(format_size(*size) + " is too small; at least " + format_size(limits::kMinArenaBytes) + " are needed");
  if (memory != 0 && *size > memory)
    return value.problem(format_size(*size) + " is more than this machine's memory (" + format_size(memory) +
                         "); ask for less, or for a share such as \"25%\"");
  if (*size > limits::kMaxArenaBytes)
    return value.problem(format_size(*size) + " is too large; at most " + format_size(limits::kMaxArenaBytes) + " are possible");
  out.size_bytes = *size / limits::kBlockBytes * limits::kBlockBytes;
}

void read_ring(const Value& value, Arena& out) {
  auto size = value.size();
  if (!size) return;
  if (*size < limits::kMinRingBytes || *size > limits::kMaxRingBytes)
    return value.expected("a size from " + format_size(limits::kMinRingBytes) + " to " + format_size(limits::kMaxRingBytes));
  if (!std::has_single_bit(*size))
    return value.problem(std::to_string(*size) + " bytes is not a power of two; the nearest are " + format_size(std::bit_floor(*size)) +
                         " and " + format_size(std::bit_ceil(*size)));
  out.ring_bytes = *size;
}

void read_objects(const Value& value, Arena& out) {
  auto objects = value.integer(1, limits::kMaxObjects);
  if (!objects) return;
  auto chunks = (static_cast<std::uint32_t>(*objects) + limits::kSlotsPerChunk - 1) / limits::kSlotsPerChunk;
  out.objects = chunks * limits::kSlotsPerChunk;
}

void read_clients(const Value& value, Arena& out) {
  // A share is one of the arena, whose size may stand further down in the file.
  constexpr std::uint64_t kWhole = std::uint64_t{1} << 40;
  auto* text = value.node().as_string();
  bool share = text && text->get().find('%') != std::string::npos;
  auto size = value.size(kWhole);
  if (!size) return;
  if (!share) {
    if (*size < limits::kBlockBytes)
      return value.expected("a size of at least one block, \"2MiB\", or a share such as \"12.5%\": clients cannot attach without");
    out.client_bytes = *size;
    return;
  }
  if (*size == 0) return value.expected("a share of more than 0, such as \"12.5%\": clients cannot attach without a block");
  out.client_share = static_cast<double>(*size) / static_cast<double>(kWhole);
  if (out.client_share > 0.5) value.problem("at most half of the arena can be clients'; write \"50%\" or less");
}

void read_prefault(const Value& value, Arena& out) { set(out.prefault_bytes, value.size()); }

void read_huge_pages(const Value& value, Arena& out) {
  static constexpr std::array kChoices = {HugePages::kAuto, HugePages::kOn, HugePages::kOff};
  set(out.huge_pages, value.choice(kChoices, [](HugePages choice) { return to_string(choice); }));
}

// A share is one of the arena, whose size may stand behind it: the loader works it out.
void read_cache(const Value& value, Arena& out) {
  constexpr std::uint64_t kWhole = 1'000'000;
  auto size = value.size(kWhole);
  if (!size) return;
  auto text = value.node().value<std::string_view>();
  bool share = text && text->find('%') != std::string_view::npos;
  out.cache_share_ppm = share ? static_cast<std::uint32_t>(*size) : 0;
  if (!share) out.cache_bytes = *size;
}

void read_spill_size(const Value& value, Arena& out) {
  auto size = value.size();
  if (!size) return;
  if (*size == 0) return value.expected("a size of more than 0; where nothing is to be spilled, leave spill out");
  out.spill_bytes = *size;
}

constexpr Key<Arena> kArenaKeys[] = {
    {"size", read_arena_size},
    {"ring", read_ring},
    {"objects", read_objects},
    {"clients", read_clients},
    {"patience", [](const Value& value, Arena& out) { set(out.patience, value.duration(0s, 1h)); }},
    {"prefault", read_prefault},
    {"huge_pages", read_huge_pages},
    {"cache", read_cache},
    {"spill", [](const Value& value, Arena& out) { set(out.spill, value.path()); }},
    {"spill_size", read_spill_size},
};

void read_env(const Value& value, WorkerGroup& out) {
  for (const auto& [name, member] : value.members("a table of strings, such as { OMP_PROC_BIND = \"true\" }")) {
    if (auto fault = fault_in_variable(name); !fault.empty()) {
      member.problem(in_quotes(name) + " " + fault);
      continue;
    }
    auto* text = member.node().as_string();
    if (text && text->get().empty()) {
      out.worker.env.emplace(name, "");  // an empty variable differs from a missing one
      continue;
    }
    if (auto content = member.text("a string")) out.worker.env.emplace(name, *content);
  }
}

// A limit below what any process needs is a slip of the pen.
void read_memory_limit(const Value& value, std::uint64_t& out) {
  auto memory = value.source().machine.memory_bytes;
  auto size = value.size(memory);
  if (!size) return;
  if (*size < limits::kMinWorkerMemoryBytes)
    return value.problem(format_size(*size) + " is too small for a process; at least " + format_size(limits::kMinWorkerMemoryBytes) +
                         " are needed, and with LibTorch some hundred MiB; leave it out where there is to be no limit");
  out = *size;
}

void read_numbers(const Value& value, std::uint32_t end, std::string_view what, std::string& out) {
  auto text = value.text(what);
  if (!text) return;
  auto numbers = parse_numbers(*text, end);
  if (!numbers) return value.problem(numbers.error().message);
  out = format_numbers(*numbers);
}

void read_labels(const Value& value, Labels& out) {
  for (const auto& [key, member] : value.members("a table of strings, such as { team = \"vision\" }")) {
    if (auto fault = fault_in_label_key(key); !fault.empty()) {
      member.problem(in_quotes(key) + " " + fault);
      continue;
    }
    if (out.size() == limits::kMaxLabels) return member.problem("at most " + std::to_string(limits::kMaxLabels) + " labels are possible");
    auto* text = member.node().as_string();
    std::optional<std::string> content = text && text->get().empty() ? std::string() : member.text("a string");
    if (!content) continue;
    if (auto fault = fault_in_label_value(*content); !fault.empty())
      member.problem(in_quotes(*content) + " " + fault);
    else
      out.emplace(key, *content);
  }
}

constexpr Key<WorkerGroup> kWorkerKeys[] = {
    {"name", [](const Value& value, WorkerGroup& out) { read_name(value, out.worker.name); },
     "every [[worker]] needs a name, for example name = \"cpu0\""},
    {"device", [](const Value& value, WorkerGroup& out) { set(out.worker.device, read_device(value)); }},
    {"threads", [](const Value& value, WorkerGroup& out) { set(out.worker.threads, value.integer(1, kMaxThreads)); }},
    {"spares", [](const Value& value, WorkerGroup& out) { set(out.worker.spares, value.integer(0, limits::kMaxSpares)); }},
    {"count", [](const Value& value, WorkerGroup& out) { set(out.count, value.integer(1, limits::kMaxWorkers)); }},
    {"env", read_env},
    {"labels", [](const Value& value, WorkerGroup& out) { read_labels(value, out.worker.labels); }},
    {"restart", [](const Value& value, WorkerGroup& out) { read_backoff(value, out.worker.restart); }, {}, backoff_leaves},
    {"probation", [](const Value& value, WorkerGroup& out) { read_probation(value, out.worker.probation); }},
    {"causes", [](const Value& value, WorkerGroup& out) { read_causes(value, out.worker.causes); }, {}, causes_leaves},
    {"watchdog", [](const Value& value, WorkerGroup& out) { read_time_or_never(value, 100ms, out.worker.watchdog); }},
    {"watchdog_grace", [](const Value& value, WorkerGroup& out) { set(out.worker.watchdog_grace, value.duration(0s, 1h)); }},
    {"memory_max", [](const Value& value, WorkerGroup& out) { read_memory_limit(value, out.worker.resources.memory_max); }},
    {"memory_high", [](const Value& value, WorkerGroup& out) { read_memory_limit(value, out.worker.resources.memory_high); }},
    {"cpu_weight", [](const Value& value, WorkerGroup& out) { set(out.worker.resources.cpu_weight, value.integer(1, limits::kMaxCpuWeight)); }},
    {"cpus", [](const Value& value, WorkerGroup& out) { read_numbers(value, limits::kMaxCpus, "processors, such as \"0-3,8\"", out.worker.resources.cpus); }},
    {"mems", [](const Value& value, WorkerGroup& out) { read_numbers(value, limits::kMaxMemoryNodes, "memory nodes, such as \"0\"", out.worker.resources.mems); }},
};

constexpr Key<HealthCheck> kHealthKeys[] = {
    {"period", [](const Value& value, HealthCheck& out) { read_time_or_never(value, 10ms, out.period); }},
    {"timeout", [](const Value& value, HealthCheck& out) { set(out.timeout, value.duration(1ms, kLongest)); }},
    {"failures", [](const Value& value, HealthCheck& out) { set(out.failures, value.integer(1, kMaxFailures)); }},
};

void read_health(const Value& value, HealthCheck& out) {
  read_table(value, kHealthKeys, "a table such as { period = \"10s\", timeout = \"2s\" }", out);
}
std::vector<std::string> health_leaves() { return leaves_of(kHealthKeys); }

constexpr Key<Checkpoint> kCheckpointKeys[] = {
    {"every_messages",
     [](const Value& value, Checkpoint& out) { set(out.every_messages, value.integer(0, std::numeric_limits<std::int64_t>::max())); }},
    {"interval", [](const Value& value, Checkpoint& out) { set(out.interval, value.duration(0s, kLongest)); }},
    {"disk", [](const Value& value, Checkpoint& out) { set(out.disk, value.boolean()); }},
};

void read_checkpoint(const Value& value, Checkpoint& out) {
  read_table(value, kCheckpointKeys, "a table such as { every_messages = 100, interval = \"5s\" }", out);
}

void read_restart_type(const Value& value, RestartType& out) {
  static constexpr std::array kTypes = {RestartType::kPermanent, RestartType::kTransient, RestartType::kTemporary};
  set(out, value.choice(kTypes, [](RestartType type) { return to_string(type); }));
}

void read_delivery(const Value& value, Delivery& out) {
  static constexpr std::array kModes = {DeliveryMode::kAtLeastOnce, DeliveryMode::kAtMostOnce, DeliveryMode::kEffectivelyOnce};
  set(out.mode, value.choice(kModes, [](DeliveryMode mode) { return to_string(mode); }));
}

void read_max_deliveries(const Value& value, Delivery& out) { set(out.max_deliveries, value.integer(1, limits::kMaxDeliveries)); }

void read_routing(const Value& value, Pool& out) {
  static constexpr std::array kRoutings = {Routing::kRoundRobin, Routing::kLeastLoaded, Routing::kRandom};
  set(out.routing, value.choice(kRoutings, [](Routing routing) { return to_string(routing); }));
}

void read_workers(const Value& value, Pool& out) {
  for (const auto& element : value.elements("an array of names of workers, such as [\"cpu0\", \"cpu1\"]")) {
    value.source().problems.remember(element.key(), element.place());
    // Kept also when it is no name, so that positions agree with the file's.
    read_reference(element, out.workers.emplace_back());
  }
}

constexpr std::string_view kTypeMissing = "write the actor's type, for example type = \"torchscript\"";
std::vector<std::string> checkpoint_leaves() { return leaves_of(kCheckpointKeys); }

constexpr Key<Actor> kActorKeys[] = {
    {"name", [](const Value& value, Actor& out) { read_name(value, out.name); },
     "every [[actor]] needs a name, for example name = \"trainer\""},
    {"type", [](const Value& value, Actor& out) { read_type(value, out.type); }, kTypeMissing},
    {"plugin", [](const Value& value, Actor& out) { set(out.plugin, value.path()); }},
    {"worker", [](const Value& value, Actor& out) { read_reference(value, out.worker); }},
    {"device", [](const Value& value, Actor& out) { out.device = read_device(value); }},
    {"restart", [](const Value& value, Actor& out) { read_restart_type(value, out.restart); }},
    {"checkpoint", [](const Value& value, Actor& out) { read_checkpoint(value, out.checkpoint); }, {}, checkpoint_leaves},
    {"delivery", [](const Value& value, Actor& out) { read_delivery(value, out.delivery); }},
    {"max_deliveries", [](const Value& value, Actor& out) { read_max_deliveries(value, out.delivery); }},
    {"args", [](const Value& value, Actor& out) { read_args(value, out.args); }},
    {"labels", [](const Value& value, Actor& out) { read_labels(value, out.labels); }},
    {"after", [](const Value& value, Actor& out) { read_names(value, "the name of an actor or a pool", out.after); }},
    {"health", [](const Value& value, Actor& out) { read_health(value, out.health); }, {}, health_leaves},
    {"migrate", [](const Value& value, Actor& out) { set(out.migrate, value.boolean()); }},
    {"required", [](const Value& value, Actor& out) { set(out.required, value.boolean()); }},
};

constexpr Key<Pool> kPoolKeys[] = {
    {"name", [](const Value& value, Pool& out) { read_name(value, out.name); },
     "every [[pool]] needs a name, for example name = \"classifiers\""},
    {"type", [](const Value& value, Pool& out) { read_type(value, out.type); }, kTypeMissing},
    {"plugin", [](const Value& value, Pool& out) { set(out.plugin, value.path()); }},
    {"size", [](const Value& value, Pool& out) { set(out.size, value.integer(1, limits::kMaxActors)); }},
    {"workers", read_workers},
    {"device", [](const Value& value, Pool& out) { out.device = read_device(value); }},
    {"routing", read_routing},
    {"restart", [](const Value& value, Pool& out) { read_restart_type(value, out.restart); }},
    {"checkpoint", [](const Value& value, Pool& out) { read_checkpoint(value, out.checkpoint); }, {}, checkpoint_leaves},
    {"delivery", [](const Value& value, Pool& out) { read_delivery(value, out.delivery); }},
    {"max_deliveries", [](const Value& value, Pool& out) { read_max_deliveries(value, out.delivery); }},
    {"args", [](const Value& value, Pool& out) { read_args(value, out.args); }},
    {"labels", [](const Value& value, Pool& out) { read_labels(value, out.labels); }},
    {"after", [](const Value& value, Pool& out) { read_names(value, "the name of an actor or a pool", out.after); }},
    {"health", [](const Value& value, Pool& out) { read_health(value, out.health); }, {}, health_leaves},
    {"max_size", [](const Value& value, Pool& out) { set(out.max_size, value.integer(1, limits::kMaxActors)); }},
    {"migrate", [](const Value& value, Pool& out) { set(out.migrate, value.boolean()); }},
    {"required", [](const Value& value, Pool& out) { set(out.required, value.boolean()); }},
};

template <class T, std::size_t N>
void read_section(const Value& value, const Key<T> (&keys)[N], T& out) {
  if (value.node().is_array()) return value.problem("there is one [" + value.key() + "] at most; write it with single brackets");
  read_table(value, keys, "a section, [" + value.key() + "]", out);
}

template <class T, std::size_t N>
void read_sections(const Value& value, const Key<T> (&keys)[N], std::size_t most, std::vector<T>& out) {
  std::string header = "[[" + value.key() + "]]";
  if (value.node().is_table()) return value.problem("there may be several of these: write " + header + " with double brackets");
  for (const auto& element : value.elements("sections, " + header)) {
    if (out.size() == most) return element.problem("at most " + std::to_string(most) + " sections " + header + " are possible");
    read_table(element, keys, "a section, " + header, out.emplace_back());
  }
}

constexpr Key<Checkpoints> kCheckpointsKeys[] = {
    {"directory", [](const Value& value, Checkpoints& out) { set(out.directory, value.path()); }},
    {"keep", [](const Value& value, Checkpoints& out) { set(out.keep, value.integer(1, limits::kMaxGenerations)); }},
    {"min_interval", [](const Value& value, Checkpoints& out) { set(out.min_interval, value.duration(0s, kLongest)); }},
};

void read_who(const Value& value, std::vector<std::string>& out) {
  constexpr std::string_view kWho = "a user (\"alice\", \"1000\"), a group (\"@video\", \"@44\") or \"*\" for everybody";
  out.clear();
  for (const auto& element : value.elements("a list of users and groups")) {
    auto text = element.text(kWho);
    if (!text) continue;
    if (auto fault = fault_in_who(*text); !fault.empty())
      element.problem(in_quotes(*text) + " " + fault);
    else if (out.size() == limits::kMaxAccessEntries)
      element.problem("at most " + std::to_string(limits::kMaxAccessEntries) + " are possible; name a group instead");
    else
      out.push_back(*text);
  }
}

constexpr Key<Access> kAccessKeys[] = {
    {"observe", [](const Value& value, Access& out) { read_who(value, out.observe); }},
    {"operate", [](const Value& value, Access& out) { read_who(value, out.operate); }},
    {"administer", [](const Value& value, Access& out) { read_who(value, out.administer); }},
};

constexpr std::int64_t kMaxCallsPerSecond = 1'000'000'000;

constexpr Key<Clients> kClientsKeys[] = {
    {"bytes", [](const Value& value, Clients& out) { set(out.bytes, value.size()); }},
    {"objects", [](const Value& value, Clients& out) { set(out.objects, value.integer(0, limits::kMaxObjects)); }},
    {"calls_per_second", [](const Value& value, Clients& out) { set(out.calls_per_second, value.integer(0, kMaxCallsPerSecond)); }},
};

void read_keep(const Value& value, Log& out) {
  auto size = value.size();
  if (!size) return;
  if (*size != 0 && (*size < limits::kMinLogBytes || *size > limits::kMaxLogBytes))
    return value.expected("0, or a size from " + format_size(limits::kMinLogBytes) + " to " + format_size(limits::kMaxLogBytes));
  out.keep_bytes = *size;
}

constexpr Key<Inject> kInjectKeys[] = {{"enabled", [](const Value& value, Inject& out) { set(out.enabled, value.boolean()); }}};

constexpr Key<Log> kLogKeys[] = {{"keep", read_keep}};

void read_groups(const Value& value, Draft& out) {
  if (value.node().is_table()) return value.problem("there may be several of these: write [[group]] with double brackets");
  for (const auto& element : value.elements("sections, [[group]]")) {
    if (out.groups.size() == limits::kMaxGroups)
      return element.problem("at most " + std::to_string(limits::kMaxGroups) + " sections [[group]] are possible");
    read_group(element, out.groups.emplace_back());
  }
}

constexpr Key<Draft> kRootKeys[] = {
    {"supervisor",
     [](const Value& value, Draft& out) { read_section(value, kSupervisorKeys, out.supervisor); },
     {},
     [] { return leaves_of(kSupervisorKeys); }},
    {"arena", [](const Value& value, Draft& out) { read_section(value, kArenaKeys, out.arena); }, {}, [] { return leaves_of(kArenaKeys); }},
    {"worker",
     [](const Value& value, Draft& out) { read_sections(value, kWorkerKeys, limits::kMaxWorkers, out.workers); },
     {},
     [] { return leaves_of(kWorkerKeys); }},
    {"actor",
     [](const Value& value, Draft& out) { read_sections(value, kActorKeys, limits::kMaxActors, out.actors); },
     {},
     [] { return leaves_of(kActorKeys); }},
    {"pool",
     [](const Value& value, Draft& out) { read_sections(value, kPoolKeys, limits::kMaxPools, out.pools); },
     {},
     [] { return leaves_of(kPoolKeys); }},
    {"checkpoints",
     [](const Value& value, Draft& out) { read_section(value, kCheckpointsKeys, out.checkpoints); },
     {},
     [] { return leaves_of(kCheckpointsKeys); }},
    {"group", read_groups, {}, group_leaves},
    {"access", [](const Value& value, Draft& out) { read_section(value, kAccessKeys, out.access); }, {}, [] { return leaves_of(kAccessKeys); }},
    {"clients", [](const Value& value, Draft& out) { read_section(value, kClientsKeys, out.clients); }, {}, [] { return leaves_of(kClientsKeys); }},
    {"log", [](const Value& value, Draft& out) { read_section(value, kLogKeys, out.log); }, {}, [] { return leaves_of(kLogKeys); }},
    {"inject", [](const Value& value, Draft& out) { read_section(value, kInjectKeys, out.inject); }, {}, [] { return leaves_of(kInjectKeys); }},
    {"causes",
     [](const Value& value, Draft& out) {
       if (value.node().is_array()) return value.problem("there is one [causes] at most; write it with single brackets");
       read_causes(value, out.causes);
     },
     {},
     causes_leaves},
};

}  // namespace

void read_draft(const Value& root, Draft& draft) { read_table(root, kRootKeys, "a document", draft); }

std::vector<std::string> known_keys() { return leaves_of(kRootKeys); }

}  // namespace tv::config
