#include "config/check.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>
#include <system_error>

#include "config/supervision_check.h"

namespace tv::config {
namespace {

std::string in_section(std::string_view section, std::size_t index, std::string_view key) {
  return member_key(element_key(std::string(section), index), key);
}

std::string device_list(const Config& config) {
  std::set<std::string> devices;
  for (const auto& worker : config.workers) devices.insert(to_string(worker.device));
  std::string list;
  for (const auto& device : devices) list += (list.empty() ? "" : ", ") + device;
  return list;
}

// Pools whose file says nothing may grow to twice their size, or to 8, as far as there are numbers for actors, and nobody else has the name.
void leave_room_to_grow(Config& config) {
  std::size_t left = limits::kMaxActors - std::min<std::size_t>(config.actors.size(), limits::kMaxActors);
  for (const auto& pool : config.pools) left -= std::min<std::size_t>(left, std::max(pool.size, pool.max_size));
  auto taken = [&config](const std::string& name) {
    return std::any_of(config.actors.begin(), config.actors.end(), [&](const Actor& actor) { return actor.name == name; });
  };
  for (auto& pool : config.pools) {
    if (pool.max_size != 0) continue;
    pool.max_size = pool.size;
    pool.any_max_size = true;
    for (std::uint32_t most = std::max<std::uint32_t>(8, 2 * pool.size); pool.max_size < most && left > 0; ++pool.max_size, --left)
      if (taken(pool.name + "/" + std::to_string(pool.max_size))) break;
  }
}

class Checker {
 public:
  Checker(Draft draft, Problems& problems) : draft_(std::move(draft)), problems_(problems) {}

  Config run() {
    config_.supervisor = draft_.supervisor;
    config_.arena = draft_.arena;
    config_.checkpoints = draft_.checkpoints;
    config_.access = draft_.access;
    config_.clients = draft_.clients;
    config_.log = draft_.log;
    config_.inject = draft_.inject;
    settle_clients();
    expand_workers();
    check_backoffs();
    check_spares();
    check_resources();
    check_actor_names();
    check_types();
    check_deliveries();
    check_checkpoints();
    place_actors();
    place_pools();
    check_poison();
    config_.actors = std::move(draft_.actors);
    config_.pools = std::move(draft_.pools);
    leave_room_to_grow(config_);
    config_.groups = std::move(draft_.groups);
    check_supervision(config_, problems_);
    return std::move(config_);
  }

 private:
  // Who has a name first, by key.
  using Names = std::map<std::string, std::string>;

  void claim(Names& names, const std::string& name, const std::string& key);
  void claim_members(Names& names, const std::string& name, std::size_t count, const std::string& key);
  void settle_clients();
  void expand_workers();
  void check_backoffs();
  void check_spares();
  void check_resources();
  void check_actor_names();
  void check_types();
  void check_type(const std::string& section, const std::string& type, const std::string& plugin);
  void check_deliveries();
  void check_delivery(const std::string& section, const Delivery& delivery);
  void check_checkpoints();
  void place_actors();
  void place_pools();
  void check_poison();
  void check_poison(const std::string& section, const Delivery& delivery, const std::vector<std::size_t>& workers);
  void check_reference(const std::string& key, const std::string& reference, const std::string& device_key,
                       const std::optional<Device>& device);
  void check_device(const std::string& key, const Device& device);
  bool all_good(std::string_view key) const;

  Draft draft_;
  Problems& problems_;
  Config config_;
  std::set<std::string> duplicates_;
};

void Checker::claim(Names& names, const std::string& name, const std::string& key) {
  auto [first, fresh] = names.emplace(name, key);
  if (fresh) return;
  auto line = problems_.place_of(first->second).line;
  duplicates_.insert(key);  // a problem, but the name is known
  problems_.add(key, in_quotes(name) + " is taken already, by " + first->second + " (line " + std::to_string(line) + ")");
}

// The members "<name>/<i>" of a pool or worker group.
void Checker::claim_members(Names& names, const std::string& name, std::size_t count, const std::string& key) {
  auto longest = name + "/" + std::to_string(count - 1);
  if (longest.size() > limits::kMaxName)
    return problems_.add(key, "the name of its last member, " + in_quotes(longest) + ", has " + std::to_string(longest.size()) +
                                  " bytes, at most " + std::to_string(limits::kMaxName) + " are possible");
  for (std::size_t i = 0; i < count; ++i) claim(names, name + "/" + std::to_string(i), key);
}

// What clients may have of the arena, in whole blocks.
void Checker::settle_clients() {
  auto& arena = config_.arena;
  std::uint64_t blocks = arena.size_bytes / limits::kBlockBytes;
  if (blocks == 0) return;  // a problem already
  std::uint64_t wanted = arena.client_bytes;
  if (wanted > arena.size_bytes / 2)
    return problems_.add("arena.clients", format_size(wanted) + " is more than half of the arena (" + format_size(arena.size_bytes) +
                                              "); ask for less or raise arena.size");
  if (wanted == 0) wanted = static_cast<std::uint64_t>(static_cast<double>(arena.size_bytes) * arena.client_share);
  std::uint64_t rounded = std::max<std::uint64_t>((wanted + limits::kBlockBytes / 2) / limits::kBlockBytes, 1);
  arena.client_bytes = std::min(rounded, blocks / 2) * limits::kBlockBytes;
}

void Checker::expand_workers() {
  Names names;
  std::size_t total = 0;
  for (std::size_t i = 0; i < draft_.workers.size(); ++i) {
    auto& [worker, count] = draft_.workers[i];
    auto key = in_section("worker", i, "name");
    total += count;
    if (total > limits::kMaxWorkers && total - count <= limits::kMaxWorkers)
      problems_.add(in_section("worker", i, "count"), "this makes " + std::to_string(total) + " worker processes; at most " +
                                                          std::to_string(limits::kMaxWorkers) + " are possible");
    bool named = !worker.name.empty() && !problems_.at(key);
    if (named) claim(names, worker.name, key);
    if (named && count > 1) claim_members(names, worker.name, count, key);
    worker.group = worker.name;
    for (std::uint32_t n = 0; n < count && config_.workers.size() < limits::kMaxWorkers; ++n) {
      auto& process = config_.workers.emplace_back(worker);
      process.causes = merged(worker.causes, draft_.causes);
      if (count > 1) process.name += "/" + std::to_string(n);
    }
  }
  if (draft_.workers.empty() && !problems_.at("worker"))
    problems_.add(Place{}, "worker",
                  "at least one worker is needed, for example:\n"
                  "  [[worker]]\n"
                  "  name = \"cpu0\"\n"
                  "  device = \"cpu\"");
}

void Checker::check_backoffs() {
  for (std::size_t i = 0; i < draft_.workers.size(); ++i) {
    const auto& backoff = draft_.workers[i].worker.restart;
    auto restart = in_section("worker", i, "restart");
    auto min = member_key(restart, "min"), max = member_key(restart, "max");
    if (backoff.min <= backoff.max || problems_.at(min) || problems_.at(max)) continue;
    problems_.add(restart, "min (" + format_duration(backoff.min) + ") is longer than max (" + format_duration(backoff.max) + ")");
  }
}

void Checker::check_resources() {
  for (std::size_t i = 0; i < draft_.workers.size(); ++i) {
    const auto& resources = draft_.workers[i].worker.resources;
    auto high = in_section("worker", i, "memory_high"), max = in_section("worker", i, "memory_max");
    if (resources.memory_max == 0 || resources.memory_high <= resources.memory_max || problems_.at(high) || problems_.at(max)) continue;
    problems_.add(high, format_size(resources.memory_high) + " is more than memory_max (" + format_size(resources.memory_max) +
                            "), at which the process is killed: it would never be reached");
  }
}

void Checker::check_spares() {
  std::size_t total = 0;
  for (std::size_t i = 0; i < draft_.workers.size(); ++i) {
    auto before = total;
    total += draft_.workers[i].worker.spares;
    if (total > limits::kMaxSpares && before <= limits::kMaxSpares)
      problems_.add(in_section("worker", i, "spares"), "this makes " + std::to_string(total) + " spares in all; at most " +
                                                           std::to_string(limits::kMaxSpares) + " are possible");
  }
}

void Checker::check_actor_names() {
  Names names;
  std::size_t total = draft_.actors.size();
  for (std::size_t i = 0; i < draft_.actors.size(); ++i) {
    auto key = in_section("actor", i, "name");
    if (!draft_.actors[i].name.empty() && !problems_.at(key)) claim(names, draft_.actors[i].name, key);
  }
  for (std::size_t i = 0; i < draft_.pools.size(); ++i) {
    const auto& pool = draft_.pools[i];
    auto key = in_section("pool", i, "name");
    auto before = total;
    std::uint32_t most = std::max(pool.size, pool.max_size);
    total += most;
    if (pool.max_size != 0 && pool.max_size < pool.size)
      problems_.add(in_section("pool", i, "max_size"), "is less than its size, " + std::to_string(pool.size));
    if (total > limits::kMaxActors && before <= limits::kMaxActors)
      problems_.add(in_section("pool", i, pool.max_size > pool.size ? "max_size" : "size"), "this makes " + std::to_string(total) + " actors, members of pools included; at most " +
                                                       std::to_string(limits::kMaxActors) + " are possible");
    if (pool.name.empty() || problems_.at(key)) continue;
    claim(names, pool.name, key);
    if (total <= limits::kMaxActors && !problems_.at(key)) claim_members(names, pool.name, most, key);
  }
  for (std::size_t i = 0; i < draft_.groups.size(); ++i) {
    auto key = in_section("group", i, "name");
    if (!draft_.groups[i].name.empty() && !problems_.at(key)) claim(names, draft_.groups[i].name, key);
  }
}

void Checker::check_types() {
  for (std::size_t i = 0; i < draft_.actors.size(); ++i)
    check_type(element_key("actor", i), draft_.actors[i].type, draft_.actors[i].plugin);
  for (std::size_t i = 0; i < draft_.pools.size(); ++i) check_type(element_key("pool", i), draft_.pools[i].type, draft_.pools[i].plugin);
}

void Checker::check_type(const std::string& section, const std::string& type, const std::string& plugin) {
  auto key = member_key(section, "plugin");
  if (problems_.at(key)) return;
  bool typed = !type.empty() && !problems_.at(member_key(section, "type"));
  if (plugin.empty()) {
    if (typed && !is_builtin_type(type))
      problems_.add(key, "missing; " + in_quotes(type) + " is not a built-in type: name the .so that registers it");
    return;
  }
  if (typed && is_builtin_type(type)) return problems_.add(key, in_quotes(type) + " is built in and takes no plug-in; leave it out");
  struct stat info {};
  if (::stat(plugin.c_str(), &info) != 0)
    problems_.add(key, plugin + ": " + std::generic_category().message(errno) + "; relative paths start at the configuration's folder");
  else if (!S_ISREG(info.st_mode))
    problems_.add(key, plugin + ": not a file");
}

void Checker::check_deliveries() {
  for (std::size_t i = 0; i < draft_.actors.size(); ++i) check_delivery(element_key("actor", i), draft_.actors[i].delivery);
  for (std::size_t i = 0; i < draft_.pools.size(); ++i) check_delivery(element_key("pool", i), draft_.pools[i].delivery);
}

void Checker::check_delivery(const std::string& section, const Delivery& delivery) {
  auto key = member_key(section, "max_deliveries");
  bool written = problems_.place_of(key) != problems_.place_of(section);
  if (delivery.mode != DeliveryMode::kAtMostOnce || !written || delivery.max_deliveries == 1 || problems_.at(key)) return;
  problems_.add(key, std::to_string(delivery.max_deliveries) +
                         ", but with delivery = \"at_most_once\" a message is begun once; leave "
                         "max_deliveries out or choose \"at_least_once\"");
}

void Checker::check_checkpoints() {
  constexpr const char* kKey = "checkpoints.directory";
  const auto& directory = config_.checkpoints.directory;
  if (directory.empty() || problems_.at(kKey)) return;
  if (directory == config_.arena.spill)
    return problems_.add(kKey, "the same as arena.spill, which is emptied at each start; name another directory");
  struct stat info {};
  if (::stat(directory.c_str(), &info) == 0) {
    if (!S_ISDIR(info.st_mode)) problems_.add(kKey, directory + ": not a directory");
  } else if (errno != ENOENT) {
    problems_.add(kKey, directory + ": " + std::generic_category().message(errno));
  }
}

// Whether no worker has a problem with `key`.
bool Checker::all_good(std::string_view key) const {
  if (problems_.at("worker")) return false;
  for (std::size_t i = 0; i < draft_.workers.size(); ++i)
    if (problems_.at(in_section("worker", i, key)) && !duplicates_.contains(in_section("worker", i, key))) return false;
  return !draft_.workers.empty();
}

void Checker::check_device(const std::string& key, const Device& device) {
  if (!all_good("device") || !workers_with(config_, device).empty()) return;
  auto name = to_string(device);
  problems_.add(key, "no worker has device " + in_quotes(name) + " (there are: " + device_list(config_) +
                         "); choose one of these or add a [[worker]] with device = " + in_quotes(name));
}

void Checker::check_reference(const std::string& key, const std::string& reference, const std::string& device_key,
                              const std::optional<Device>& device) {
  if (reference.empty() || !all_good("name")) return;
  auto workers = workers_named(config_, reference);
  if (workers.empty()) {
    std::vector<std::string> names;
    for (const auto& worker : config_.workers) names.insert(names.end(), {worker.name, worker.group});
    auto near = nearest(reference, names);
    return problems_.add(key,
                         "no worker is named " + in_quotes(reference) + "; " +
                             (near.empty() ? "the first one is " + in_quotes(names.front()) : "did you mean " + in_quotes(near) + "?"));
  }
  const auto& own = config_.workers[workers.front()].device;
  if (!device || *device == own || !all_good("device")) return;
  problems_.add(device_key, in_quotes(to_string(*device)) + ", but worker " + in_quotes(reference) + " has " + in_quotes(to_string(own)) +
                                "; leave device out or choose another worker");
}

void Checker::place_actors() {
  for (std::size_t i = 0; i < draft_.actors.size(); ++i) {
    auto& actor = draft_.actors[i];
    auto worker_key = in_section("actor", i, "worker"), device_key = in_section("actor", i, "device");
    if (!actor.worker.empty())
      check_reference(worker_key, actor.worker, device_key, actor.device);
    else if (actor.device)
      check_device(device_key, *actor.device);
    else if (!config_.workers.empty())
      actor.worker = config_.workers.front().name;
  }
}

void Checker::place_pools() {
  for (std::size_t i = 0; i < draft_.pools.size(); ++i) {
    auto& pool = draft_.pools[i];
    auto workers_key = in_section("pool", i, "workers"), device_key = in_section("pool", i, "device");
    for (std::size_t n = 0; n < pool.workers.size(); ++n)
      check_reference(element_key(workers_key, n), pool.workers[n], device_key, pool.device);
    if (!pool.workers.empty()) continue;
    if (pool.device) {
      check_device(device_key, *pool.device);
      continue;
    }
    for (const auto& group : draft_.workers) pool.workers.push_back(group.worker.name);
  }
}

// A message that kills its worker costs a restart each time it is begun.
void Checker::check_poison() {
  for (std::size_t i = 0; i < draft_.actors.size(); ++i) {
    const auto& actor = draft_.actors[i];
    auto workers = !actor.worker.empty() ? workers_named(config_, actor.worker)
                   : actor.device        ? workers_with(config_, *actor.device)
                                         : std::vector<std::size_t>();
    if (workers.size() > 1) workers.erase(workers.begin() + 1, workers.end());
    check_poison(element_key("actor", i), actor.delivery, workers);
  }
  for (std::size_t i = 0; i < draft_.pools.size(); ++i) {
    const auto& pool = draft_.pools[i];
    auto workers = pool.workers.empty() && pool.device ? workers_with(config_, *pool.device) : std::vector<std::size_t>();
    for (const auto& reference : pool.workers)
      for (auto worker : workers_named(config_, reference)) workers.push_back(worker);
    check_poison(element_key("pool", i), pool.delivery, workers);
  }
}

void Checker::check_poison(const std::string& section, const Delivery& delivery, const std::vector<std::size_t>& workers) {
  if (delivery.mode == DeliveryMode::kAtMostOnce || workers.empty()) return;
  auto& all = config_.workers;
  auto strictest = *std::min_element(workers.begin(), workers.end(),
                                     [&](auto a, auto b) { return all[a].restart.intensity < all[b].restart.intensity; });
  const auto& worker = all[strictest];
  // Without restarts the first death is the last one, as somebody has asked for.
  if (worker.restart.intensity == 0 || delivery.max_deliveries < worker.restart.intensity) return;
  auto restarts = std::to_string(worker.restart.intensity);
  problems_.warn(member_key(section, "max_deliveries"),
                 std::to_string(delivery.max_deliveries) + ": a message that kills its worker so often uses up the " + restarts +
                     " restarts that worker " + in_quotes(worker.name) + " has within " + format_duration(worker.restart.period) +
                     " (restart.intensity); write less than " + restarts + ", or raise the intensity");
}

}  // namespace

Config checked(Draft draft, Problems& problems) { return Checker(std::move(draft), problems).run(); }

}  // namespace tv::config
