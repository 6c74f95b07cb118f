#include "tools/metrics/collect.h"

#include <array>
#include <functional>

#include "ipc/admin_client.h"
#include "tools/metrics/exposition.h"

namespace tv::metrics {
namespace {

using Reply = wire::AdminReply::Reader;
using Request = wire::AdminRequest::Builder;
using Which = wire::AdminReply::Which;
using Names = std::initializer_list<std::string_view>;

constexpr double kNanosecondsInSecond = 1e9;
double seconds(std::int64_t ns) { return static_cast<double>(ns) / kNanosecondsInSecond; }
std::string_view view(capnp::Text::Reader text) { return {text.cStr(), text.size()}; }

// One sample a state, 1 for the one that holds: states are few, and a graph shows which one when.
template <class List, class Emit>
void states(Exposition& out, List list, Names known, Emit emit) {
  for (auto one : list)
    for (auto state : known) emit(out, one, state, view(one.getState()) == state ? 1 : 0);
}

template <class List, class Value>
void by_worker(Exposition& out, List workers, Value value) {
  for (auto w : workers) out.sample(value(w), {{"worker", view(w.getName())}});
}
template <class List, class Value>
void by_actor(Exposition& out, List actors, Value value) {
  for (auto a : actors) out.sample(value(a), {{"actor", view(a.getName())}, {"pool", view(a.getPool())}});
}

void arena(Exposition& out, wire::ArenaInfo::Reader a) {
  out.gauge("tensorvisor_arena_size_bytes", "Size of the arena.");
  out.sample(a.getSizeBytes());
  out.gauge("tensorvisor_arena_leased_bytes", "Of the arena, what participants have leased.");
  out.sample(a.getBlocksLeased() * a.getBlockBytes());
  out.gauge("tensorvisor_arena_backed_bytes", "Memory that the kernel has given for the arena and its rings.");
  out.sample(a.getBackedBytes());
  out.gauge("tensorvisor_arena_object_bytes", "Payload of all objects.");
  out.sample(a.getObjectBytes());
  out.gauge("tensorvisor_arena_objects", "Objects alive.");
  out.sample(a.getObjects());
  out.gauge("tensorvisor_arena_objects_limit", "Most objects that may be alive.");
  out.sample(a.getMaxObjects());
  out.gauge("tensorvisor_arena_names", "Named tensors.");
  out.sample(a.getNames());
}

void checkpoints(Exposition& out, wire::CheckpointSummary::Reader c) {
  out.gauge("tensorvisor_checkpoint_actors", "Actors whose commits go to disk.");
  out.sample(c.getActors());
  out.gauge("tensorvisor_checkpoint_actors_durable", "Of these, those whose newest commit is on disk.");
  out.sample(c.getDurable());
  out.gauge("tensorvisor_checkpoint_actors_failing", "Of these, those whose last attempt failed.");
  out.sample(c.getFailing());
  out.counter("tensorvisor_checkpoints_written_total", "Generations written to disk.");
  out.sample(c.getWritten());
  out.counter("tensorvisor_checkpoint_commits_skipped_total", "Commits that newer ones overtook before they were written.");
  out.sample(c.getSkipped());
}

void status(Exposition& out, Reply reply) {
  auto s = reply.getStatus();
  out.gauge("tensorvisor_build_info", "Version of the daemon; the value is always 1.");
  out.sample(1, {{"version", view(s.getDaemonVersion())}});
  out.gauge("tensorvisor_start_time_seconds", "When the daemon started, since the epoch.");
  out.sample(seconds(s.getStartedNs()));
  out.gauge("tensorvisor_health", "1 for the health that the daemon has, 0 for the others.");
  for (std::string_view health : {"ok", "degraded", "starting", "stopping"})
    out.sample(view(s.getHealth()) == health ? 1 : 0, {{"health", health}});
  out.gauge("tensorvisor_problems", "Sentences that status has under problems.");
  out.sample(s.getProblems().size());
  out.gauge("tensorvisor_workers", "Worker processes of the configuration.");
  out.sample(s.getWorkers());
  out.gauge("tensorvisor_workers_ready", "Of these, those that are ready.");
  out.sample(s.getWorkersReady());
  out.gauge("tensorvisor_actors", "Actors, members of pools included.");
  out.sample(s.getActors());
  out.gauge("tensorvisor_actors_ready", "Of these, those that are ready.");
  out.sample(s.getActorsReady());
  out.gauge("tensorvisor_clients", "Clients that are attached.");
  out.sample(s.getClients());
  out.counter("tensorvisor_malformed_messages_total", "Messages and connections dropped because they were nonsense.");
  out.sample(s.getMalformed());
  out.counter("tensorvisor_takeovers_total", "How often another process or program has gone on in the daemon's place.");
  out.sample(s.getTakeovers());
  arena(out, s.getArena());
  if (s.hasCheckpoints()) checkpoints(out, s.getCheckpoints());
}

void workers(Exposition& out, Reply reply) {
  auto list = reply.getWorkers();
  out.gauge("tensorvisor_worker_info", "Device of a worker; the value is always 1.");
  for (auto w : list) out.sample(1, {{"worker", view(w.getName())}, {"device", view(w.getDevice())}});
  out.gauge("tensorvisor_worker_state", "1 for the state that a worker has, 0 for the others.");
  states(out, list, {"starting", "ready", "backoff", "stopping", "stopped", "failed"}, [](auto& to, auto w, auto state, int value) {
    to.sample(value, {{"worker", view(w.getName())}, {"state", state}});
  });
  out.counter("tensorvisor_worker_restarts_total", "Restarts of a worker.");
  by_worker(out, list, [](auto w) { return w.getRestarts(); });
  out.gauge("tensorvisor_worker_last_restart_seconds",
            "From the kernel's word of its last death until a worker was ready again; 0: none yet.");
  by_worker(out, list, [](auto w) { return seconds(w.getLastRestartNs()); });
  out.gauge("tensorvisor_worker_last_death_time_seconds", "When a worker died last, since the epoch; 0: never.");
  by_worker(out, list, [](auto w) { return seconds(w.getLastDeathNs()); });
  out.gauge("tensorvisor_worker_resident_memory_bytes", "Resident memory of a worker's process.");
  by_worker(out, list, [](auto w) { return w.getResidentBytes(); });
  out.gauge("tensorvisor_worker_actors", "Actors that live in a worker.");
  by_worker(out, list, [](auto w) { return w.getActors(); });
}

void actors(Exposition& out, Reply reply) {
  auto list = reply.getActors();
  out.gauge("tensorvisor_actor_info", "Type and worker of an actor; the value is always 1.");
  for (auto a : list) {
    out.sample(1,
               {{"actor", view(a.getName())}, {"pool", view(a.getPool())}, {"type", view(a.getType())}, {"worker", view(a.getWorker())}});
  }
  out.gauge("tensorvisor_actor_ready", "Whether an actor is ready.");
  by_actor(out, list, [](auto a) { return view(a.getState()) == "ready" ? 1 : 0; });
  out.gauge("tensorvisor_actor_failed", "Whether an actor has been given up.");
  by_actor(out, list, [](auto a) { return view(a.getState()) == "failed" ? 1 : 0; });
  out.gauge("tensorvisor_actor_unhealthy", "Whether an actor says that it is not well.");
  by_actor(out, list, [](auto a) { return view(a.getHealth()) == "unhealthy" ? 1 : 0; });
  out.gauge("tensorvisor_actor_incarnation", "Which life of an actor this is, from 1.");
  by_actor(out, list, [](auto a) { return a.getIncarnation(); });
  out.counter("tensorvisor_actor_messages_handled_total", "Messages that an actor has handled.");
  by_actor(out, list, [](auto a) { return a.getHandled(); });
  out.counter("tensorvisor_actor_messages_failed_total", "Of these, those answered with an error.");
  by_actor(out, list, [](auto a) { return a.getFailed(); });
  out.counter("tensorvisor_actor_messages_expired_total", "Messages whose deadline had passed before they were read.");
  by_actor(out, list, [](auto a) { return a.getExpired(); });
  out.counter("tensorvisor_actor_messages_cancelled_total", "Messages that their senders withdrew in time.");
  by_actor(out, list, [](auto a) { return a.getCancelled(); });
  out.counter("tensorvisor_actor_dead_letters_total", "Messages given up because they killed their workers.");
  by_actor(out, list, [](auto a) { return a.getDeadLetters(); });
  out.counter("tensorvisor_actor_commits_total", "Commits of an actor's state.");
  by_actor(out, list, [](auto a) { return a.getCommits(); });
  out.counter("tensorvisor_actor_commits_failed_total", "Commits that failed.");
  by_actor(out, list, [](auto a) { return a.getCommitsFailed(); });
  out.gauge("tensorvisor_actor_state_bytes", "Size of an actor's last commit.");
  by_actor(out, list, [](auto a) { return a.getStateBytes(); });
}

void cache(Exposition& out, Reply reply) {
  auto c = reply.getCache();
  out.gauge("tensorvisor_cache_bytes", "Cached tensors in the arena.");
  out.sample(c.getBytes());
  out.gauge("tensorvisor_cache_limit_bytes", "Most that they may take.");
  out.sample(c.getLimitBytes());
  out.gauge("tensorvisor_cache_pinned_bytes", "Of them, those that are pinned.");
  out.sample(c.getPinnedBytes());
  out.gauge("tensorvisor_cache_spilled_bytes", "Files of evicted tensors.");
  out.sample(c.getSpilledBytes());
  out.counter("tensorvisor_cache_evictions_total", "Tensors evicted.");
  out.sample(c.getEvicted());
  out.counter("tensorvisor_cache_spills_total", "Of these, those kept in a file.");
  out.sample(c.getSpilled());
  out.counter("tensorvisor_cache_restores_total", "Files read back.");
  out.sample(c.getRestored());
  out.counter("tensorvisor_cache_damaged_files_total", "Files set aside because they were not what was written.");
  out.sample(c.getDamaged());
}

void letters(Exposition& out, Reply reply) {
  auto list = reply.getDeadLetters();
  out.gauge("tensorvisor_dead_letters", "Dead letters that are kept.");
  out.sample(list.getLetters().size());
  out.counter("tensorvisor_dead_letters_dropped_total", "Dead letters that had to make room.");
  out.sample(list.getDropped());
}

struct Question {
  Which answer;
  void (*ask)(Request);
  void (*tell)(Exposition&, Reply);
};
constexpr std::array<Question, 5> kQuestions = {{
    {Which::STATUS, [](Request r) { r.setStatus(); }, status},
    {Which::WORKERS, [](Request r) { r.setListWorkers(); }, workers},
    {Which::ACTORS, [](Request r) { r.setListActors(); }, actors},
    {Which::CACHE, [](Request r) { r.setListCache(1); }, cache},
    {Which::DEAD_LETTERS, [](Request r) { r.setListDeadLetters(); }, letters},
}};

// What the daemon has answered is added whole or not at all.
bool answered(ipc::AdminClient& client, const Question& question, Deadline deadline, std::string& page) {
  auto message = client.request(question.ask, deadline.left());
  if (!message) return false;
  Exposition part;
  auto read = ipc::guard([&]() -> Result<void> {
    auto reply = message->root<wire::AdminReply>();
    if (reply.which() != question.answer) return Error{Errc::kProtocol, "another answer than was asked for"};
    question.tell(part, reply);
    return {};
  });
  if (read) page += part.text();
  return static_cast<bool>(read);
}

}  // namespace

std::string collect(const std::string& runtime_dir, Nanoseconds timeout) {
  auto began = monotonic_ns();
  auto deadline = Deadline::in(timeout);
  std::string page;
  bool up = false;
  if (auto client = ipc::AdminClient::connect(runtime_dir)) {
    for (const auto& question : kQuestions) {
      if (!answered(*client, question, deadline, page)) break;
      up = true;
    }
  }
  Exposition head;
  head.gauge("tensorvisor_up", "Whether the daemon answers.");
  head.sample(up ? 1 : 0);
  head.gauge("tensorvisor_scrape_duration_seconds", "How long asking the daemon took.");
  head.sample(seconds(monotonic_ns() - began));
  return head.text() + page;
}

}  // namespace tv::metrics
