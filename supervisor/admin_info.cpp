#include "supervisor/admin_info.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "config/fd.h"
#include "config/units.h"
#include "shm/ring.h"
#include "shm/running.h"
#include "supervisor/backlog.h"

namespace tv::supervisor {
namespace {

constexpr std::size_t kMostProblems = 10;  // told in a status

kj::StringPtr text(const std::string& s) { return {s.c_str(), s.size()}; }

std::size_t ready_workers(const DaemonView& view) {
  const auto& all = view.workers.all();
  return static_cast<std::size_t>(
      std::count_if(all.begin(), all.end(), [](const Worker& worker) { return worker.state == WorkerState::kReady; }));
}

std::uint64_t resident_bytes(pid_t pid) {
  if (pid == 0) return 0;
  std::ifstream statm("/proc/" + std::to_string(pid) + "/statm");
  std::uint64_t total = 0, resident = 0;
  if (!(statm >> total >> resident)) return 0;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

void write_usage(const GroupUsage& usage, wire::GroupUsage::Builder out) {
  out.setPath(text(usage.path));
  out.setMemoryBytes(usage.memory_bytes);
  out.setMemoryPeakBytes(usage.memory_peak_bytes);
  out.setMemoryHigh(usage.memory_high);
  out.setMemoryMax(usage.memory_max);
  out.setOomKills(usage.oom_kills);
  out.setUsageNs(usage.cpu_ns);
  out.setThrottledNs(usage.throttled_ns);
}

void write_limits(const std::vector<Enforced>& limits, capnp::List<wire::LimitInfo>::Builder out) {
  for (unsigned i = 0; i < limits.size(); ++i) {
    out[i].setKey(text(limits[i].key));
    out[i].setValue(text(limits[i].value));
    out[i].setBy(text(limits[i].by));
    out[i].setNote(text(limits[i].note));
  }
}

template <class Out>
void write_labels(const config::Labels& labels, Out out) {
  auto list = out.initLabels(static_cast<unsigned>(labels.size()));
  unsigned place = 0;
  for (const auto& [key, value] : labels) {
    list[place].setKey(text(key));
    list[place++].setValue(text(value));
  }
}

// Of all its threads, those that have ended included. /proc/PID/stat: the name in parentheses may hold anything.
std::int64_t cpu_ns(pid_t pid) {
  if (pid == 0) return 0;
  auto stat = read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
  auto name_end = stat ? stat->rfind(')') : std::string::npos;
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(stat->substr(name_end + 1));
  constexpr int kBeforeUser = 11;  // utime is field 14, the state behind the name is field 3
  std::string skipped;
  for (int i = 0; i < kBeforeUser; ++i) fields >> skipped;
  std::int64_t user = 0, system = 0;
  if (!(fields >> user >> system)) return 0;
  return (user + system) * (1'000'000'000 / ::sysconf(_SC_CLK_TCK));
}

void write_worker(const DaemonView& view, const Worker& worker, wire::WorkerInfo::Builder out) {
  out.setName(text(worker.config->name));
  out.setDevice(text(config::to_string(worker.config->device)));
  out.setState(text(std::string(state_name(worker.state))));
  out.setPid(worker.pid());
  out.setParticipant(worker.participant());
  out.setIncarnation(worker.incarnation);
  out.setRestarts(worker.restarts);
  out.setLastDeath(text(worker.last_death));
  out.setLastDeathNs(worker.last_death_ns);
  out.setLastRestartNs(worker.last_restart_ns);
  out.setThreads(static_cast<std::uint32_t>(worker.config->threads));
  auto actors = view.actors.of_worker(worker.index);
  std::erase_if(actors, [&](ActorId id) { return !view.actors[id].placed.present; });
  out.setActors(static_cast<std::uint32_t>(actors.size()));
  out.setReadyNs(worker.ready_realtime_ns);
  out.setResidentBytes(resident_bytes(worker.pid()));
  out.setMessage(text(worker.message));
  out.setCpuNs(cpu_ns(worker.pid()));
  out.setUnreadBytes(shm::unread_bytes(view.arena, worker.participant()));
  const auto& resources = view.workers.limits();
  if (auto usage = resources.usage(worker.index)) write_usage(*usage, out.initUsage());
  const auto& limits = resources.enforced(worker.index);
  write_limits(limits, out.initLimits(static_cast<unsigned>(limits.size())));
  write_labels(worker.config->labels, out);
}

struct ShownHealth {
  std::string word, reason;
};

// A check that is over time is a failed one, although its answer is still to come.
ShownHealth health_of(const DaemonView& view, ActorId id) {
  const Actor& actor = view.actors[id];
  if (actor.placed.health.period <= Nanoseconds{0}) return {};
  auto running = shm::unpack_running(view.arena.cell(id).running.load(std::memory_order_relaxed));
  if (running.doing == shm::Doing::kHealth && running.until_ns < monotonic_ns())
    return {"unhealthy", "its check has been running for longer than " + config::format_duration(actor.placed.health.timeout) + " (health.timeout)"};
  if (!actor.healthy) return {"unknown", ""};
  return {*actor.healthy ? "healthy" : "unhealthy", actor.health_reason};
}

// One that is drained is ready, but not for anything new.
std::string_view shown_state(const DaemonView& view, ActorId id) {
  const Actor& actor = view.actors[id];
  if (actor.state != shm::ActorState::kReady || (actor.flags & shm::kActorDrained) == 0) return shm::actor_state_name(actor.state);
  return view.upkeep.busy(id) ? "draining" : "drained";
}

void write_actor(const DaemonView& view, const Backlog& backlog, ActorId id, wire::ActorInfo::Builder out) {
  const Actor& actor = view.actors[id];
  const auto& cell = view.arena.cell(id);
  out.setId(id);
  out.setName(text(actor.placed.name));
  out.setType(text(actor.placed.type));
  out.setWorker(text(view.config.workers[actor.host].name));
  out.setState(text(std::string(shown_state(view, id))));
  out.setIncarnation(actor.incarnation);
  out.setHandled(cell.handled.load(std::memory_order_relaxed));
  out.setFailed(cell.failed.load(std::memory_order_relaxed));
  out.setCommits(cell.commits.load(std::memory_order_relaxed));
  out.setLastCommitNs(static_cast<std::int64_t>(cell.last_commit_ns.load(std::memory_order_relaxed)));
  out.setStateBytes(cell.state_bytes.load(std::memory_order_relaxed));
  out.setDeadLetters(cell.dead_letters.load(std::memory_order_relaxed));
  out.setExpired(cell.expired.load(std::memory_order_relaxed));
  out.setCancelled(cell.cancelled.load(std::memory_order_relaxed));
  if (view.checkpoints && view.checkpoints->on_disk(id)) write_checkpoint(view, id, out.initCheckpoint());
  out.setDeadLettersKept(view.dead_letters.kept_for(id));
  out.setCommitsFailed(cell.commits_failed.load(std::memory_order_relaxed));
  out.setCommitsFailingSinceNs(static_cast<std::int64_t>(cell.commit_failing_since_ns.load(std::memory_order_relaxed)));
  out.setLastCommitError(text(actor.commit_error));
  if (actor.placed.pool) out.setPool(text(view.config.pools[*actor.placed.pool].name));
  out.setMessage(text(actor.message));
  out.setDelivery(text(std::string(config::to_string(actor.placed.delivery.mode))));
  out.setRepeated(cell.repeated.load(std::memory_order_relaxed));
  auto health = health_of(view, id);
  out.setHealth(text(health.word));
  out.setHealthReason(text(health.reason));
  out.setMoved(text(actor.moved));
  if (actor.placed.labels) write_labels(*actor.placed.labels, out);
  out.setStarts(actor.starts);
  const Worker& host = view.workers.all()[actor.host];
  out.setLastDeath(text(host.last_death));
  out.setLastDeathNs(host.last_death_ns);
  out.setUnread(backlog.of(id));
}

// "actor "scorer" cannot commit its state: 34 times so far, for 12s: the arena is full ...".
std::string commit_problem(const DaemonView& view, ActorId id) {
  const auto& cell = view.arena.cell(id);
  auto since = static_cast<std::int64_t>(cell.commit_failing_since_ns.load(std::memory_order_relaxed));
  const Actor& actor = view.actors[id];
  return "actor \"" + actor.placed.name + "\" has not been able to commit its state for " +
         config::format_duration(Nanoseconds{std::max<std::int64_t>(monotonic_ns() - since, 0)}) +
         ": a crash would lose what it has done since; " + (actor.commit_error.empty() ? "cause not known yet" : actor.commit_error);
}

// Who has been given up, or waits for another try: workers, then the actors whose own doing it is.
void add_failed(const DaemonView& view, std::vector<std::string>& problems) {
  std::size_t failed = 0;
  auto add = [&](std::string text, const std::string& why) {
    if (failed++ < kMostProblems) problems.push_back(std::move(text) + (why.empty() ? "" : ": " + why));
  };
  auto down = [&](std::size_t worker) { return view.workers.all()[worker].state == WorkerState::kFailed; };
  for (const auto& worker : view.workers.all()) {
    if (down(worker.index)) add("worker \"" + worker.config->name + "\" has failed", worker.message.empty() ? worker.last_death : worker.message);
    if (worker.state == WorkerState::kBackoff) add("worker \"" + worker.config->name + "\" waits for its restart", worker.last_death);
  }
  for (ActorId id = 0; id < view.actors.all().size(); ++id) {
    const Actor& actor = view.actors[id];
    if (actor.placed.present && actor.state == shm::ActorState::kFailed && !down(actor.host)) add("actor \"" + actor.placed.name + "\" has failed", actor.message);
  }
  if (failed > kMostProblems) problems.push_back(std::to_string(failed - kMostProblems) + " more have failed; tensorctl list --field state=failed");
}

std::vector<std::string> problems_of(const DaemonView& view) {
  auto failing = failing_commits(view.actors, view.arena);
  std::vector<std::string> problems;
  add_failed(view, problems);
  for (std::size_t i = 0; i < failing.size() && i < kMostProblems; ++i) problems.push_back(commit_problem(view, failing[i]));
  if (failing.size() > kMostProblems)
    problems.push_back("the commits of " + std::to_string(failing.size() - kMostProblems) +
                       " more actors fail; tensorctl list actors -o wide");
  for (ActorId id = 0; id < view.actors.all().size() && problems.size() < 3 * kMostProblems; ++id) {
    auto health = health_of(view, id);
    if (health.word == "unhealthy") problems.push_back("actor \"" + view.actors[id].placed.name + "\" is unhealthy: " + health.reason);
  }
  std::size_t unenforced = 0;
  for (const auto& worker : view.workers.all())
    for (const auto& limit : view.workers.limits().enforced(worker.index))
      if (limit.by.empty() && worker.child && unenforced++ < kMostProblems)
        problems.push_back("worker \"" + worker.config->name + "\": nothing enforces " + limit.key + " = " + limit.value + ": " + limit.note);
  if (view.checkpoints)
    for (auto& problem : view.checkpoints->problems())
      if (problems.size() < 5 * kMostProblems) problems.push_back(std::move(problem));
  return problems;
}

}  // namespace

std::vector<ActorId> failing_commits(const Actors& actors, const shm::Arena& arena) {
  std::vector<ActorId> failing;
  for (ActorId id = 0; id < actors.all().size(); ++id)
    if (arena.cell(id).commit_failing_since_ns.load(std::memory_order_relaxed) != 0) failing.push_back(id);
  return failing;
}

void write_status(const DaemonView& view, wire::Status::Builder out) {
  out.setDaemonVersion(TV_VERSION);
  out.setPid(::getpid());
  out.setStartedNs(view.started_ns);
  out.setRuntimeDir(text(view.config.supervisor.runtime_dir));
  out.setConfigPath(text(view.config.path));
  out.setHealth(text(view.health()));
  out.setWorkersReady(static_cast<std::uint32_t>(ready_workers(view)));
  out.setWorkers(static_cast<std::uint32_t>(view.workers.all().size()));
  out.setActorsReady(static_cast<std::uint32_t>(view.actors.ready_count()));
  out.setActors(static_cast<std::uint32_t>(view.actors.present_count()));
  out.setClients(static_cast<std::uint32_t>(view.clients.clients().size()));
  write_arena(view, out.initArena());
  out.setRestarts(view.workers.restarts());
  out.setMalformed(view.malformed());
  out.setDenied(view.denials.count());
  out.setTakeovers(view.takeovers);
  out.setUpgrades(view.upgrade.begun());
  out.setUpgradeRefused(text(view.upgrade.refused()));
  out.setReloads(view.reload.done);
  out.setReloading(view.reload.going);
  out.setReloadRefused(text(view.reload.refused));
  if (view.checkpoints) write_checkpoint_summary(view, out.initCheckpoints());
  auto problems = problems_of(view);
  auto list = out.initProblems(static_cast<unsigned>(problems.size()));
  for (unsigned i = 0; i < problems.size(); ++i) list.set(i, text(problems[i]));
}

void write_workers(const DaemonView& view, capnp::List<wire::WorkerInfo>::Builder out) {
  for (const auto& worker : view.workers.all()) write_worker(view, worker, out[static_cast<unsigned>(worker.index)]);
}

void write_actors(const DaemonView& view, capnp::List<wire::ActorInfo>::Builder out) {
  unsigned place = 0;
  Backlog backlog(view.arena, view.workers.all().size(), view.actors.all().size());
  for (ActorId id = 0; id < view.actors.all().size(); ++id)
    if (view.actors[id].placed.present) write_actor(view, backlog, id, out[place++]);
}

void write_pools(const DaemonView& view, capnp::List<wire::PoolInfo>::Builder out) {
  for (unsigned p = 0; p < view.config.pools.size(); ++p) {
    const auto& pool = view.config.pools[p];
    auto members = view.actors.of_pool(p);
    auto ready = std::count_if(members.begin(), members.end(), [&](ActorId id) { return view.actors[id].state == shm::ActorState::kReady; });
    out[p].setName(text(pool.name));
    out[p].setType(text(pool.type));
    out[p].setSize(static_cast<std::uint32_t>(members.size()));
    out[p].setReady(static_cast<std::uint32_t>(ready));
    out[p].setRouting(text(std::string(config::to_string(pool.routing))));
    write_labels(pool.labels, out[p]);
    out[p].setMaxSize(pool.max_size);
  }
}

}  // namespace tv::supervisor
