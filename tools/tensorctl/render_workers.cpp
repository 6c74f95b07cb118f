#include <array>

#include "config/units.h"
#include "tools/tensorctl/render.h"

namespace tv::ctl {
namespace {

using R = wire::WorkerInfo::Reader;

Cell last_death(R r, const Now& now) { return death_cell(str(r.getLastDeath()), r.getLastDeathNs(), now); }
Cell up(R r, const Now& now) { return {r.getReadyNs() ? span_text(now.realtime_ns - r.getReadyNs()) : "-"}; }
Cell restart_time(R r, const Now&) { return {r.getLastRestartNs() ? config::format_duration(Nanoseconds{r.getLastRestartNs()}) : "-"}; }
Json restart_ms(R r, const Now&) { return r.getLastRestartNs() ? Json(static_cast<double>(r.getLastRestartNs()) / 1e6) : Json(); }

// What its cgroup has used, by all of its incarnations.
Json cgroup(R r, const Now&) {
  if (!r.hasUsage()) return Json();
  auto usage = r.getUsage();
  return {{"path", str(usage.getPath())},
          {"memory_bytes", usage.getMemoryBytes()},
          {"memory_peak_bytes", usage.getMemoryPeakBytes()},
          {"memory_high_events", usage.getMemoryHigh()},
          {"memory_max_events", usage.getMemoryMax()},
          {"oom_kills", usage.getOomKills()},
          {"cpu_ms", static_cast<double>(usage.getUsageNs()) / 1e6},
          {"throttled_ms", static_cast<double>(usage.getThrottledNs()) / 1e6}};
}
Cell cgroup_cell(R r, const Now&) {
  if (!r.hasUsage()) return {"-"};
  auto usage = r.getUsage();
  auto text = config::format_size(usage.getMemoryBytes()) + ", at most " + config::format_size(usage.getMemoryPeakBytes());
  text += "; cpu " + config::format_duration(Nanoseconds{static_cast<std::int64_t>(usage.getUsageNs())});
  if (usage.getThrottledNs()) text += ", throttled " + config::format_duration(Nanoseconds{static_cast<std::int64_t>(usage.getThrottledNs())});
  if (usage.getMemoryHigh()) text += "; slowed down at memory_high " + std::to_string(usage.getMemoryHigh()) + " times";
  if (usage.getOomKills()) text += "; killed for want of memory " + std::to_string(usage.getOomKills()) + " times";
  return {text};
}
Cell cgroup_memory(R r, const Now&) { return r.hasUsage() ? size_cell(r.getUsage().getMemoryBytes()) : Cell{"-"}; }
Json cgroup_memory_bytes(R r, const Now&) { return r.hasUsage() ? Json(r.getUsage().getMemoryBytes()) : Json(); }

Json limits(R r, const Now&) {
  Json list = Json::array();
  for (auto limit : r.getLimits())
    list.push_back({{"key", str(limit.getKey())},
                    {"value", str(limit.getValue())},
                    {"enforced_by", limit.getBy().size() ? Json(str(limit.getBy())) : Json()},
                    {"note", str(limit.getNote())}});
  return list;
}
// "memory_max 512.0MiB (cgroup), memory_high 400.0MiB NOT ENFORCED: ..."
Cell limits_cell(R r, const Now&) {
  std::string text;
  for (auto limit : r.getLimits()) {
    text += (text.empty() ? "" : ", ") + str(limit.getKey()) + " " + str(limit.getValue());
    text += limit.getBy().size() ? " (" + str(limit.getBy()) + (limit.getNote().size() ? ": " + str(limit.getNote()) : "") + ")" : " not enforced: " + str(limit.getNote());
  }
  return {text.empty() ? "-" : text};
}

const std::array<Field<R>, 19> kFields = {{
    {"name", "NAME", Show::kAlways, Align::kLeft, [](R r, const Now&) { return Json(str(r.getName())); }},
    {"device", "DEVICE", Show::kAlways, Align::kLeft, [](R r, const Now&) { return Json(str(r.getDevice())); }},
    {"state", "STATE", Show::kAlways, Align::kLeft, [](R r, const Now&) { return Json(str(r.getState())); },
     [](R r, const Now&) { return state_cell(str(r.getState())); }},
    {"pid", "PID", Show::kAlways, Align::kRight, [](R r, const Now&) { return number_or_null(r.getPid()); }},
    {"restarts", "RESTARTS", Show::kAlways, Align::kRight, [](R r, const Now&) { return Json(r.getRestarts()); }},
    {"last_death", "LAST-DEATH", Show::kAlways, Align::kLeft,
     [](R r, const Now&) { return r.getLastDeath().size() ? Json(str(r.getLastDeath())) : Json(); }, last_death},
    {"last_death_at", nullptr, Show::kJsonOnly, Align::kLeft, [](R r, const Now&) { return time_or_null(r.getLastDeathNs()); }},
    {"ready_since", "UP", Show::kAlways, Align::kRight, [](R r, const Now&) { return time_or_null(r.getReadyNs()); }, up},
    {"participant", "PARTICIPANT", Show::kWide, Align::kRight, [](R r, const Now&) { return Json(r.getParticipant()); }},
    {"incarnation", "INCARNATION", Show::kWide, Align::kRight, [](R r, const Now&) { return Json(r.getIncarnation()); }},
    {"threads", "THREADS", Show::kWide, Align::kRight, [](R r, const Now&) { return Json(r.getThreads()); }},
    {"actors", "ACTORS", Show::kWide, Align::kRight, [](R r, const Now&) { return Json(r.getActors()); }},
    {"memory_bytes", "MEMORY", Show::kWide, Align::kRight, [](R r, const Now&) { return Json(r.getResidentBytes()); },
     [](R r, const Now&) { return size_cell(r.getResidentBytes()); }},
    {"last_restart_ms", "RESTART-TIME", Show::kWide, Align::kRight, restart_ms, restart_time},
    {"labels", "LABELS", Show::kWide, Align::kLeft, [](R r, const Now&) { return labels_json(r.getLabels()); },
     [](R r, const Now&) { return labels_cell(r.getLabels()); }},
    {"cgroup_memory_bytes", "CG-MEMORY", Show::kWide, Align::kRight, cgroup_memory_bytes, cgroup_memory},
    {"cgroup", "CGROUP", Show::kDetail, Align::kLeft, cgroup, cgroup_cell},
    {"limits", "LIMITS", Show::kDetail, Align::kLeft, limits, limits_cell},
    {"message", "MESSAGE", Show::kDetail, Align::kLeft, [](R r, const Now&) { return Json(str(r.getMessage())); }},
}};

std::span<const Field<R>> fields() { return kFields; }

std::vector<wire::ActorInfo::Reader> actors_in(R worker, Actors actors) {
  std::vector<wire::ActorInfo::Reader> inside;
  for (auto actor : actors)
    if (actor.getWorker() == worker.getName()) inside.push_back(actor);
  return inside;
}

}  // namespace

std::string render(Workers workers, const View& view) {
  if (view.structured()) return structured_text(view, {{"workers", json_list(fields(), workers, view)}});
  return table_of(fields(), workers, view);
}

std::string describe(wire::WorkerInfo::Reader worker, Actors actors, const View& view) {
  auto inside = actors_in(worker, actors);
  if (view.structured()) {
    auto json = json_of(fields(), worker, view.now);
    json["actor_names"] = Json::array();
    for (auto actor : inside) json["actor_names"].push_back(str(actor.getName()));
    return structured_text(view, json);
  }
  std::string page = render_lines(lines_of(fields(), worker, view.now), view.screen);
  return inside.empty() ? page : page + "\n" + actors_table(inside, view);
}

Json tree_of(wire::WorkerInfo::Reader worker, const Now& now) { return json_of(fields(), worker, now); }
std::vector<std::string> worker_keys() { return keys_of(fields()); }

}  // namespace tv::ctl
