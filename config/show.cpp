#include "config/show.h"

#include <string.h>

#include <algorithm>
#include <charconv>
#include <set>

namespace tv::config {
namespace {

using Settings = std::vector<Setting>;

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      constexpr const char* kDigits = "0123456789abcdef";
      out += "\\u00";
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string key_of(std::string_view name) {
  bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  return plain ? std::string(name) : quoted(name);
}

std::string shown(bool value) { return value ? "true" : "false"; }
std::string shown(std::uint64_t value) { return std::to_string(value); }
std::string shown(double value) {
  char text[32];
  auto [end, error] = std::to_chars(text, text + sizeof text, value);
  std::string out(text, error == std::errc() ? end : text);
  return out.find_first_of(".e") == std::string::npos ? out + ".0" : out;
}
std::string shown(const Device& device) { return quoted(to_string(device)); }

// In the largest unit that keeps it whole.
std::string shown(Nanoseconds time) {
  constexpr std::pair<Nanoseconds, const char*> kUnits[] = {{1h, "h"}, {1min, "min"}, {1s, "s"}, {1ms, "ms"}, {1us, "us"}};
  if (time == 0ns) return "\"0s\"";
  for (auto [unit, name] : kUnits)
    if (time % unit == 0ns) return quoted(std::to_string(time / unit) + name);
  return quoted(std::to_string(time.count()) + "ns");
}

std::string shown_size(std::uint64_t bytes) {
  constexpr std::pair<int, const char*> kUnits[] = {{30, "GiB"}, {20, "MiB"}, {10, "KiB"}};
  for (auto [shift, name] : kUnits)
    if (bytes != 0 && bytes % (std::uint64_t{1} << shift) == 0) return quoted(std::to_string(bytes >> shift) + name);
  return std::to_string(bytes);
}

std::string shown(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const auto& text : texts) out += (out.size() > 1 ? ", " : "") + quoted(text);
  return out + "]";
}

std::string shown(const Arg::Table& table);

// The nesting is bounded by the loader.
std::string shown(const Arg& arg) {
  struct Shower {
    std::string operator()(bool value) { return shown(value); }
    std::string operator()(std::int64_t value) { return std::to_string(value); }
    std::string operator()(double value) { return shown(value); }
    std::string operator()(const std::string& value) { return quoted(value); }
    std::string operator()(const Arg::Table& value) { return shown(value); }
    std::string operator()(const Arg::List& list) {
      std::string out = "[";
      for (const auto& each : list) out += (out.size() > 1 ? ", " : "") + shown(each);
      return out + "]";
    }
  };
  return std::visit(Shower{}, arg.value);
}

std::string shown(const Arg::Table& table) {
  if (table.empty()) return "{}";
  std::string out = "{ ";
  for (const auto& [name, value] : table) out += (out.size() > 2 ? ", " : "") + key_of(name) + " = " + shown(value);
  return out + " }";
}

void add(Settings& out, const std::string& prefix, const Backoff& backoff) {
  out.push_back({prefix + "min", shown(backoff.min)});
  out.push_back({prefix + "max", shown(backoff.max)});
  out.push_back({prefix + "factor", shown(backoff.factor)});
  out.push_back({prefix + "jitter", shown(backoff.jitter)});
  out.push_back({prefix + "reset", shown(backoff.reset)});
  out.push_back({prefix + "intensity", shown(std::uint64_t{backoff.intensity})});
  out.push_back({prefix + "period", shown(backoff.period)});
}

void add(Settings& out, const std::string& prefix, const Causes& causes) {
  auto action = [](CauseAction what) { return quoted(to_string(what)); };
  for (auto [code, what] : causes.exit_codes) out.push_back({prefix + "exit." + std::to_string(code), action(what)});
  for (auto [number, what] : causes.signals)
    if (const char* name = ::sigabbrev_np(number)) out.push_back({prefix + "signal.SIG" + name, action(what)});
  if (causes.oom) out.push_back({prefix + "oom", action(*causes.oom)});
  if (causes.hang) out.push_back({prefix + "hang", action(*causes.hang)});
  if (causes.device_error) out.push_back({prefix + "device_error", action(*causes.device_error)});
  if (causes.could_not_start) out.push_back({prefix + "could_not_start", action(*causes.could_not_start)});
}

void add(Settings& out, const Labels& labels) {
  for (const auto& [key, value] : labels) out.push_back({"labels." + key_of(key), quoted(value)});
}

void add(Settings& out, const Checkpoint& checkpoint) {
  out.push_back({"checkpoint.every_messages", shown(checkpoint.every_messages)});
  out.push_back({"checkpoint.interval", shown(checkpoint.interval)});
  if (checkpoint.disk) out.push_back({"checkpoint.disk", shown(*checkpoint.disk)});
}

void add(Settings& out, const Delivery& delivery) {
  out.push_back({"delivery", quoted(to_string(delivery.mode))});
  if (delivery.mode != DeliveryMode::kAtMostOnce) out.push_back({"max_deliveries", shown(std::uint64_t{delivery.max_deliveries})});
}

void add(Settings& out, const HealthCheck& health) {
  out.push_back({"health.period", shown(health.period)});
  out.push_back({"health.timeout", shown(health.timeout)});
  out.push_back({"health.failures", shown(std::uint64_t{health.failures})});
}

// What actors and pools have in common.
template <class Section>
void add_actor(Settings& out, const Section& section) {
  out.push_back({"type", quoted(section.type)});
  if (!section.plugin.empty()) out.push_back({"plugin", quoted(section.plugin)});
  if (section.device) out.push_back({"device", shown(*section.device)});
  out.push_back({"restart", quoted(to_string(section.restart))});
  add(out, section.delivery);
  out.push_back({"after", shown(section.after)});
  out.push_back({"migrate", shown(section.migrate)});
  out.push_back({"required", shown(section.required)});
  out.push_back({"args", shown(section.args)});
  add(out, section.labels);
  add(out, section.checkpoint);
  add(out, section.health);
}

void write(std::string& out, const Settings& settings) {
  for (const auto& [key, value] : settings) out += key + " = " + value + "\n";
}

template <class Section>
void write_named(std::string& out, const char* header, const std::vector<Section>& sections) {
  for (const auto& section : sections) {
    out += "\n[[" + std::string(header) + "]]\nname = " + quoted(section.name) + "\n";
    write(out, settings_of(section));
  }
}

}  // namespace

Settings settings_of(const Supervisor& supervisor) {
  return {{"runtime_dir", quoted(supervisor.runtime_dir)},
          {"log_level", quoted(log::level_name(supervisor.log_level))},
          {"stop_grace", shown(supervisor.stop_grace)},
          {"start_timeout", shown(supervisor.start_timeout)},
          {"orphans", quoted(to_string(supervisor.orphans))},
          {"orphan_grace", shown(supervisor.orphan_grace)}};
}

Settings settings_of(const Arena& arena) {
  Settings out = {{"size", shown_size(arena.size_bytes)},
                  {"ring", shown_size(arena.ring_bytes)},
                  {"objects", shown(std::uint64_t{arena.objects})},
                  {"clients", shown_size(arena.client_bytes)},
                  {"patience", shown(arena.patience)},
                  {"prefault", shown_size(arena.prefault_bytes)},
                  {"huge_pages", quoted(to_string(arena.huge_pages))},
                  {"cache", shown_size(arena.cache_bytes)}};
  if (arena.spill.empty()) return out;
  out.push_back({"spill", quoted(arena.spill)});
  out.push_back({"spill_size", shown_size(arena.spill_bytes)});
  return out;
}

Settings settings_of(const Checkpoints& checkpoints) {
  Settings out;
  if (!checkpoints.directory.empty()) out.push_back({"directory", quoted(checkpoints.directory)});
  out.push_back({"keep", shown(std::uint64_t{checkpoints.keep})});
  out.push_back({"min_interval", shown(checkpoints.min_interval)});
  return out;
}

Settings settings_of(const Worker& worker) {
  Settings out = {{"device", shown(worker.device)},
                  {"threads", shown(static_cast<std::uint64_t>(worker.threads))},
                  {"spares", shown(std::uint64_t{worker.spares})},
                  {"probation", shown(worker.probation)},
                  {"watchdog", shown(worker.watchdog)},
                  {"watchdog_grace", shown(worker.watchdog_grace)}};
  const auto& resources = worker.resources;
  if (resources.memory_max) out.push_back({"memory_max", shown_size(resources.memory_max)});
  if (resources.memory_high) out.push_back({"memory_high", shown_size(resources.memory_high)});
  if (resources.cpu_weight) out.push_back({"cpu_weight", shown(std::uint64_t{resources.cpu_weight})});
  if (!resources.cpus.empty()) out.push_back({"cpus", quoted(resources.cpus)});
  if (!resources.mems.empty()) out.push_back({"mems", quoted(resources.mems)});
  for (const auto& [name, value] : worker.env) out.push_back({"env." + key_of(name), quoted(value)});
  add(out, worker.labels);
  add(out, "restart.", worker.restart);
  add(out, "causes.", worker.causes);
  return out;
}

Settings settings_of(const Actor& actor) {
  Settings out;
  if (!actor.worker.empty()) out.push_back({"worker", quoted(actor.worker)});
  add_actor(out, actor);
  return out;
}

Settings settings_of(const Pool& pool) {
  Settings out = {{"size", shown(std::uint64_t{pool.size})}, {"max_size", shown(std::uint64_t{pool.max_size})}};
  if (!pool.workers.empty()) out.push_back({"workers", shown(pool.workers)});
  out.push_back({"routing", quoted(to_string(pool.routing))});
  add_actor(out, pool);
  return out;
}

Settings settings_of(const Group& group) {
  Settings out = {{"strategy", quoted(to_string(group.strategy))}, {"children", shown(group.children)}};
  if (group.budget) {
    out.push_back({"intensity", shown(std::uint64_t{group.budget->intensity})});
    out.push_back({"period", shown(group.budget->period)});
  }
  out.push_back({"probation", shown(group.probation)});
  add(out, "restart.", group.restart);
  return out;
}

Settings settings_of(const Access& access) {
  return {{"observe", shown(access.observe)}, {"operate", shown(access.operate)}, {"administer", shown(access.administer)}};
}

Settings settings_of(const Clients& clients) {
  return {{"bytes", shown_size(clients.bytes)},
          {"objects", shown(std::uint64_t{clients.objects})},
          {"calls_per_second", shown(std::uint64_t{clients.calls_per_second})}};
}

Settings settings_of(const Log& log) { return {{"keep", shown_size(log.keep_bytes)}}; }
Settings settings_of(const Inject& inject) { return {{"enabled", shown(inject.enabled)}}; }

std::string to_toml(const Config& config) {
  std::string out = "[supervisor]\n";
  write(out, settings_of(config.supervisor));
  out += "\n[arena]\n";
  write(out, settings_of(config.arena));
  out += "\n[checkpoints]\n";
  write(out, settings_of(config.checkpoints));
  out += "\n[access]\n";
  write(out, settings_of(config.access));
  out += "\n[clients]\n";
  write(out, settings_of(config.clients));
  out += "\n[log]\n";
  write(out, settings_of(config.log));
  out += "\n[inject]\n";
  write(out, settings_of(config.inject));
  std::set<std::string> groups;
  for (const auto& worker : config.workers) {
    if (!groups.insert(worker.group).second) continue;
    auto count =
        std::count_if(config.workers.begin(), config.workers.end(), [&](const Worker& other) { return other.group == worker.group; });
    out += "\n[[worker]]\nname = " + quoted(worker.group) + "\ncount = " + std::to_string(count) + "\n";
    write(out, settings_of(worker));
  }
  write_named(out, "actor", config.actors);
  write_named(out, "pool", config.pools);
  write_named(out, "group", config.groups);
  return out;
}

}  // namespace tv::config
