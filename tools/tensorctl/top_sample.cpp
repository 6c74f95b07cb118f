#include "tools/tensorctl/top_sample.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>

#include "config/config.h"
#include "tools/tensorctl/fields.h"

namespace tv::ctl {
namespace {

using Which = wire::AdminReply::Which;

Result<void> ask(ipc::AdminClient& client, Deadline deadline, void (*fill)(wire::AdminRequest::Builder), Which expected,
                 const std::function<void(wire::AdminReply::Reader)>& use) {
  auto message = TV_TRY(client.request(fill, deadline.left()));
  return ipc::guard([&]() -> Result<void> {
    auto reply = message.root<wire::AdminReply>();
    if (reply.which() != expected)
      return Error{Errc::kProtocol, "the daemon answered another question than was asked; is it of another version?"};
    use(reply);
    return {};
  });
}

void take_status(wire::Status::Reader r, Sample& sample) {
  sample.daemon_pid = r.getPid();
  sample.version = str(r.getDaemonVersion());
  sample.health = str(r.getHealth());
  sample.started_ns = r.getStartedNs();
  sample.clients = r.getClients();
  auto arena = r.getArena();
  sample.arena_bytes = arena.getSizeBytes();
  sample.arena_leased_bytes = arena.getBlocksLeased() * arena.getBlockBytes();
  sample.arena_backed_bytes = arena.getBackedBytes();
  sample.objects = arena.getObjects();
  sample.max_objects = arena.getMaxObjects();
}

std::string memory_max_of(wire::WorkerInfo::Reader r) {
  for (auto limit : r.getLimits())
    if (limit.getKey() == "memory_max") return str(limit.getValue());
  return "";
}

WorkerSample worker_of(wire::WorkerInfo::Reader r) {
  bool grouped = r.hasUsage();
  return {.name = str(r.getName()),
          .device = str(r.getDevice()),
          .state = str(r.getState()),
          .last_death = str(r.getLastDeath()),
          .pid = r.getPid(),
          .cpu_ns = r.getCpuNs(),
          .resident_bytes = r.getResidentBytes(),
          .group_bytes = grouped ? std::optional<std::uint64_t>(r.getUsage().getMemoryBytes()) : std::nullopt,
          .memory_max = memory_max_of(r),
          .oom_kills = grouped ? r.getUsage().getOomKills() : 0,
          .unread_bytes = r.getUnreadBytes(),
          .actors = r.getActors(),
          .restarts = r.getRestarts(),
          .last_death_ns = r.getLastDeathNs()};
}

ActorSample actor_of(wire::ActorInfo::Reader r) {
  return {.name = str(r.getName()),
          .worker = str(r.getWorker()),
          .state = str(r.getState()),
          .incarnation = r.getIncarnation(),
          .handled = r.getHandled(),
          .failed = r.getFailed(),
          .unread = r.getUnread(),
          .state_bytes = r.getStateBytes(),
          .last_commit_ns = r.getLastCommitNs()};
}

// A counter that has gone back belongs to somebody else.
std::optional<double> rate(std::uint64_t before, std::uint64_t now, double seconds) {
  if (now < before || seconds <= 0) return std::nullopt;
  return static_cast<double>(now - before) / seconds;
}

template <class List>
auto find_named(const List& list, const std::string& name) {
  return std::find_if(list.begin(), list.end(), [&](const auto& each) { return each.name == name; });
}

std::vector<ActorRow> actor_rows(const Sample& before, const Sample& now, double seconds) {
  std::map<std::string_view, const ActorSample*> known;
  for (const auto& actor : before.actors) known[actor.name] = &actor;
  std::vector<ActorRow> rows;
  for (const auto& actor : now.actors) {
    ActorRow row{.now = actor};
    if (auto then = known.find(actor.name); then != known.end()) {
      row.handled_per_s = rate(then->second->handled, actor.handled, seconds);
      row.failed_per_s = rate(then->second->failed, actor.failed, seconds);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<WorkerRow> worker_rows(const Sample& before, const Sample& now, const std::vector<ActorRow>& actors, double seconds) {
  std::vector<WorkerRow> rows;
  for (const auto& worker : now.workers) {
    WorkerRow row{.now = worker};
    auto then = find_named(before.workers, worker.name);
    if (then != before.workers.end() && then->pid == worker.pid && worker.pid != 0 && worker.cpu_ns >= then->cpu_ns && seconds > 0)
      row.cpu_percent = static_cast<double>(worker.cpu_ns - then->cpu_ns) / 1e7 / seconds;
    for (const auto& actor : actors)
      if (actor.now.worker == worker.name && actor.handled_per_s) row.handled_per_s = row.handled_per_s.value_or(0) + *actor.handled_per_s;
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<DeviceRow> device_rows(const Sample& now) {
  std::vector<DeviceRow> rows;
  for (const auto& worker : now.workers) {
    auto row = std::find_if(rows.begin(), rows.end(), [&](const DeviceRow& each) { return each.device == worker.device; });
    if (row == rows.end()) row = rows.insert(rows.end(), DeviceRow{.device = worker.device});
    row->workers.push_back(worker.name);
  }
  for (auto& row : rows) {
    auto device = config::parse_device(row.device);
    if (!device || device->kind != config::DeviceKind::kCuda) continue;
    for (const auto& gpu : now.gpus)
      if (static_cast<int>(gpu.index) == device->index) row.gpu = gpu;
  }
  return rows;
}

// Largest first; equals stay in their order.
template <class Row, class Value>
void sort_by(std::vector<Row>& rows, Value value) {
  std::stable_sort(rows.begin(), rows.end(), [&](const Row& a, const Row& b) { return value(a) > value(b); });
}

void sort_rows(Top& top, TopSort sort) {
  auto by_name = [](const auto& a, const auto& b) { return a.now.name < b.now.name; };
  auto handled = [](const auto& row) { return row.handled_per_s.value_or(0); };
  switch (sort) {
    case TopSort::kConfigured:
      return;
    case TopSort::kCpu:  // actors have no clock of their own: those that handle most
      sort_by(top.workers, [](const WorkerRow& row) { return row.cpu_percent.value_or(0); });
      return sort_by(top.actors, handled);
    case TopSort::kMemory:
      sort_by(top.workers, [](const WorkerRow& row) { return row.now.resident_bytes; });
      return sort_by(top.actors, [](const ActorRow& row) { return row.now.state_bytes; });
    case TopSort::kRate:
      sort_by(top.workers, handled);
      return sort_by(top.actors, handled);
    case TopSort::kQueue:
      sort_by(top.workers, [](const WorkerRow& row) { return row.now.unread_bytes; });
      return sort_by(top.actors, [](const ActorRow& row) { return row.now.unread; });
    case TopSort::kName:
      std::stable_sort(top.workers.begin(), top.workers.end(), by_name);
      std::stable_sort(top.actors.begin(), top.actors.end(), by_name);
  }
}

}  // namespace

Result<Sample> take_sample(ipc::AdminClient& client, const Nvml* nvml, Deadline deadline) {
  Sample sample;
  TV_TRY(ask(
      client, deadline, [](wire::AdminRequest::Builder r) { r.setStatus(); }, Which::STATUS,
      [&](wire::AdminReply::Reader r) { take_status(r.getStatus(), sample); }));
  TV_TRY(ask(
      client, deadline, [](wire::AdminRequest::Builder r) { r.setListActors(); }, Which::ACTORS,
      [&](wire::AdminReply::Reader r) {
        for (auto actor : r.getActors()) sample.actors.push_back(actor_of(actor));
      }));
  TV_TRY(ask(
      client, deadline, [](wire::AdminRequest::Builder r) { r.setListWorkers(); }, Which::WORKERS,
      [&](wire::AdminReply::Reader r) {
        for (auto worker : r.getWorkers()) sample.workers.push_back(worker_of(worker));
      }));
  sample.at_ns = monotonic_ns();
  sample.machine = look_at_machine();
  if (nvml) sample.gpus = nvml->devices();
  return sample;
}

// In the order of TopSort, whose first has no name.
const std::vector<std::string>& top_sort_names() {
  static const std::vector<std::string> names = {"cpu", "memory", "rate", "queue", "name"};
  return names;
}

std::optional<TopSort> parse_top_sort(const std::string& text) {
  const auto& names = top_sort_names();
  auto at = std::find(names.begin(), names.end(), text);
  if (at == names.end()) return std::nullopt;
  return static_cast<TopSort>(1 + (at - names.begin()));
}

Top top_of(const Sample& before, Sample now, TopSort sort) {
  Top top{.seconds = static_cast<double>(now.at_ns - before.at_ns) / 1e9};
  if (now.machine.cpu_all > before.machine.cpu_all && now.machine.cpu_busy >= before.machine.cpu_busy)
    top.machine_cpu_percent = 100.0 * static_cast<double>(now.machine.cpu_busy - before.machine.cpu_busy) /
                              static_cast<double>(now.machine.cpu_all - before.machine.cpu_all);
  top.devices = device_rows(now);
  top.actors = actor_rows(before, now, top.seconds);
  top.workers = worker_rows(before, now, top.actors, top.seconds);
  sort_rows(top, sort);
  top.now = std::move(now);
  return top;
}

}  // namespace tv::ctl
