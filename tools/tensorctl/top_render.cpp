#include "tools/tensorctl/top_render.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <tuple>

#include "config/units.h"

namespace tv::ctl {
namespace {

std::string decimals(double value, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}
std::string percent(const std::optional<double>& value) { return value ? decimals(*value, 0) + "%" : "-"; }
std::string per_second(const std::optional<double>& value) { return value ? decimals(*value, *value < 10 && *value > 0 ? 1 : 0) : "-"; }
std::string of_size(std::uint64_t part, std::uint64_t whole) { return config::format_size(part) + " of " + config::format_size(whole); }

Json number(const std::optional<double>& value) { return value ? Json(std::round(*value * 1000) / 1000) : Json(); }
template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

std::string head(const Top& top, const Screen& screen, const Now& now) {
  const auto& sample = top.now;
  const auto& machine = sample.machine;
  auto health = state_cell(sample.health);
  return render_lines(
      {{"daemon",
        {sample.health + ", version " + sample.version + ", pid " + std::to_string(sample.daemon_pid) + ", up " +
             span_text(now.realtime_ns - sample.started_ns) + ", " + std::to_string(sample.clients) +
             (sample.clients == 1 ? " client" : " clients"),
         health.tone}},
       {"machine",
        {std::to_string(machine.cores) + (machine.cores == 1 ? " core" : " cores") + ", cpu " + percent(top.machine_cpu_percent) +
         ", load " + decimals(machine.load_1min, 2) + ", memory " +
         of_size(machine.memory_bytes - std::min(machine.memory_bytes, machine.memory_available_bytes), machine.memory_bytes)}},
       {"arena",
        {of_size(sample.arena_leased_bytes, sample.arena_bytes) + " leased, " + config::format_size(sample.arena_backed_bytes) +
             " of memory, " + std::to_string(sample.objects) + " objects",
         sample.arena_leased_bytes == sample.arena_bytes && sample.arena_bytes != 0 ? Tone::kWarning : Tone::kPlain}}},
      screen);
}

std::string names_of(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::vector<Cell> device_cells(const DeviceRow& row, const Top& top, const std::string& gpu_trouble) {
  const auto& machine = top.now.machine;
  auto workers = names_of(row.workers);
  if (row.device == "cpu")
    return {{"cpu"},
            {std::to_string(machine.cores) + (machine.cores == 1 ? " core" : " cores")},
            {percent(top.machine_cpu_percent)},
            {of_size(machine.memory_bytes - std::min(machine.memory_bytes, machine.memory_available_bytes), machine.memory_bytes)},
            {"-"},
            {"-"},
            {workers}};
  if (!row.gpu)
    return {{row.device}, {gpu_trouble.empty() ? "not known to NVML" : gpu_trouble, Tone::kWarning}, {"-"}, {"-"}, {"-"}, {"-"}, {workers}};
  const auto& gpu = *row.gpu;
  std::string power = gpu.power_watts ? decimals(*gpu.power_watts, 0) + "W" : "-";
  if (gpu.power_watts && gpu.power_limit_watts) power += " of " + decimals(*gpu.power_limit_watts, 0) + "W";
  return {{row.device},
          {gpu.name},
          {gpu.utilisation_percent ? std::to_string(*gpu.utilisation_percent) + "%" : "-"},
          {gpu.memory_bytes && gpu.memory_used_bytes ? of_size(*gpu.memory_used_bytes, *gpu.memory_bytes) : "-"},
          {gpu.temperature_celsius ? std::to_string(*gpu.temperature_celsius) + "C" : "-"},
          {power},
          {workers}};
}

Table device_table(const Top& top, const std::string& gpu_trouble) {
  Table table({{"DEVICE"},
               {"NAME"},
               {"UTIL", Align::kRight},
               {"MEMORY", Align::kRight},
               {"TEMP", Align::kRight},
               {"POWER", Align::kRight},
               {"WORKERS"}});
  for (const auto& row : top.devices) table.add(device_cells(row, top, gpu_trouble));
  return table;
}

// "310.0MiB of 512.0MiB, 2 killed": what the worker's cgroup counts, its limit, and how often that was the end of a process.
Cell group_cell(const WorkerSample& w) {
  if (!w.group_bytes && w.memory_max.empty()) return {"-"};
  std::string text = config::format_size(w.group_bytes.value_or(w.resident_bytes));
  if (!w.memory_max.empty()) text += " of " + w.memory_max;
  if (w.oom_kills) text += ", " + std::to_string(w.oom_kills) + " killed";
  return {text, w.oom_kills ? Tone::kWarning : Tone::kPlain};
}

Table worker_table(const Top& top, std::size_t rows, const Now& now) {
  Table table({{"WORKER"},
               {"STATE"},
               {"PID", Align::kRight},
               {"CPU", Align::kRight},
               {"MEMORY", Align::kRight},
               {"LIMITED", Align::kRight},
               {"QUEUE", Align::kRight},
               {"HANDLED/S", Align::kRight},
               {"ACTORS", Align::kRight},
               {"RESTARTS", Align::kRight},
               {"LAST-DEATH"}});
  for (std::size_t i = 0; i < std::min(rows, top.workers.size()); ++i) {
    const auto& row = top.workers[i];
    const auto& w = row.now;
    table.add({{w.name},
               state_cell(w.state),
               {w.pid ? std::to_string(w.pid) : "-"},
               {percent(row.cpu_percent)},
               size_cell(w.resident_bytes),
               group_cell(w),
               {config::format_size(w.unread_bytes)},
               {per_second(row.handled_per_s)},
               {std::to_string(w.actors)},
               {std::to_string(w.restarts)},
               {w.last_death.empty() ? "-" : w.last_death + (w.last_death_ns ? ", " + ago_text(w.last_death_ns, now) : "")}});
  }
  return table;
}

Table actor_table(const Top& top, std::size_t rows, const Now& now) {
  Table table({{"ACTOR"},
               {"WORKER"},
               {"STATE"},
               {"HANDLED/S", Align::kRight},
               {"FAILED/S", Align::kRight},
               {"QUEUE", Align::kRight},
               {"STATE-SIZE", Align::kRight},
               {"LAST-COMMIT", Align::kRight}});
  for (std::size_t i = 0; i < std::min(rows, top.actors.size()); ++i) {
    const auto& row = top.actors[i];
    const auto& a = row.now;
    bool fails = row.failed_per_s.value_or(0) > 0;
    table.add({{a.name},
               {a.worker},
               state_cell(a.state),
               {per_second(row.handled_per_s)},
               {per_second(row.failed_per_s), fails ? Tone::kWarning : Tone::kPlain},
               {std::to_string(a.unread)},
               size_cell(a.state_bytes),
               {a.last_commit_ns ? ago_text(now.realtime_of(a.last_commit_ns), now) : "-"}});
  }
  return table;
}

std::string left_out(std::size_t count, const char* what) {
  return count == 0 ? "" : "... and " + std::to_string(count) + " more " + what + "\n";
}

// How many lines each of two lists gets of `lines`: what both need, or the shorter one all and the longer one the rest, or each its half.
std::pair<std::size_t, std::size_t> divided(std::size_t first, std::size_t second, std::size_t lines) {
  if (first + second <= lines) return {first, second};
  std::size_t half = lines / 2;
  if (first <= half) return {first, lines - first};
  if (second <= half) return {lines - second, second};
  return {lines - half, half};
}

}  // namespace

std::string render_top(const Top& top, const std::string& gpu_trouble, const Screen& screen, std::size_t height, const Now& now) {
  std::string out = head(top, screen, now) + "\n" + device_table(top, gpu_trouble).render(screen) + "\n";
  std::size_t workers = top.workers.size(), actors = top.actors.size();
  if (height != 0) {
    auto used = static_cast<std::size_t>(std::count(out.begin(), out.end(), '\n'));
    constexpr std::size_t kHeads = 5;  // two headers, a blank line, and two lines that say how many are left out
    std::tie(workers, actors) = divided(workers, actors, height > used + kHeads ? height - used - kHeads : 0);
  }
  out += worker_table(top, workers, now).render(screen) + left_out(top.workers.size() - workers, "workers");
  if (!top.actors.empty()) out += "\n" + actor_table(top, actors, now).render(screen) + left_out(top.actors.size() - actors, "actors");
  return out;
}

Json top_json(const Top& top, const std::string& gpu_trouble, const Now& now) {
  const auto& sample = top.now;
  Json devices = Json::array(), workers = Json::array(), actors = Json::array();
  for (const auto& row : top.devices) {
    Json json = {{"device", row.device}, {"workers", row.workers}};
    if (row.device != "cpu") {
      GpuSample gpu = row.gpu.value_or(GpuSample{});
      json["name"] = row.gpu ? Json(gpu.name) : Json();
      json["memory_bytes"] = or_null(gpu.memory_bytes);
      json["memory_used_bytes"] = or_null(gpu.memory_used_bytes);
      json["utilisation_percent"] = or_null(gpu.utilisation_percent);
      json["temperature_celsius"] = or_null(gpu.temperature_celsius);
      json["power_watts"] = or_null(gpu.power_watts);
      json["power_limit_watts"] = or_null(gpu.power_limit_watts);
      json["message"] = row.gpu ? "" : gpu_trouble.empty() ? "not known to NVML" : gpu_trouble;
    }
    devices.push_back(json);
  }
  for (const auto& row : top.workers)
    workers.push_back({{"name", row.now.name},
                       {"device", row.now.device},
                       {"state", row.now.state},
                       {"pid", number_or_null(row.now.pid)},
                       {"cpu_percent", number(row.cpu_percent)},
                       {"memory_bytes", row.now.resident_bytes},
                       {"cgroup_memory_bytes", or_null(row.now.group_bytes)},
                       {"memory_max", row.now.memory_max.empty() ? Json() : Json(row.now.memory_max)},
                       {"oom_kills", row.now.oom_kills},
                       {"queue_bytes", row.now.unread_bytes},
                       {"handled_per_s", number(row.handled_per_s)},
                       {"actors", row.now.actors},
                       {"restarts", row.now.restarts},
                       {"last_death", row.now.last_death.empty() ? Json() : Json(row.now.last_death)},
                       {"last_death_at", time_or_null(row.now.last_death_ns)}});
  for (const auto& row : top.actors)
    actors.push_back({{"name", row.now.name},
                      {"worker", row.now.worker},
                      {"state", row.now.state},
                      {"handled_per_s", number(row.handled_per_s)},
                      {"failed_per_s", number(row.failed_per_s)},
                      {"queue", row.now.unread},
                      {"state_bytes", row.now.state_bytes},
                      {"last_commit", row.now.last_commit_ns ? Json(iso8601(now.realtime_of(row.now.last_commit_ns))) : Json()}});
  return {{"time", iso8601(now.realtime_ns)},
          {"interval_s", std::round(top.seconds * 1000) / 1000},
          {"daemon",
           {{"pid", sample.daemon_pid},
            {"version", sample.version},
            {"health", sample.health},
            {"started", time_or_null(sample.started_ns)},
            {"clients", sample.clients}}},
          {"machine",
           {{"cores", sample.machine.cores},
            {"cpu_percent", number(top.machine_cpu_percent)},
            {"load_1min", sample.machine.load_1min},
            {"memory_bytes", sample.machine.memory_bytes},
            {"memory_available_bytes", sample.machine.memory_available_bytes}}},
          {"arena",
           {{"size_bytes", sample.arena_bytes},
            {"leased_bytes", sample.arena_leased_bytes},
            {"backed_bytes", sample.arena_backed_bytes},
            {"objects", sample.objects},
            {"max_objects", sample.max_objects}}},
          {"devices", devices},
          {"workers", workers},
          {"actors", actors}};
}

}  // namespace tv::ctl
