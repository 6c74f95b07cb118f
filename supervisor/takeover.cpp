// How workers and supervision go on where an earlier supervisor was when it died, or was replaced. Parts of Workers and Supervision; README.md,
// "Handing over", has what is where, and what a death at each point means.
#include <capnp/message.h>

#include <algorithm>

#include "config/log.h"
#include "ipc/seqpacket.h"
#include "ipc/spawn.capnp.h"
#include "shm/mailbox.h"
#include "shm/state.h"
#include "supervisor/handover.h"
#include "supervisor/supervision.h"
#include "supervisor/workers.h"

namespace tv::supervisor {
namespace {

using systemd::take;

std::string of_worker(std::size_t worker, Incarnation incarnation, const char* what) {
  return "worker-" + std::to_string(worker) + "." + std::to_string(incarnation) + "." + what;
}

}  // namespace

std::string process_name(std::size_t worker, Incarnation incarnation) { return of_worker(worker, incarnation, "process"); }
std::string socket_name(std::size_t worker, Incarnation incarnation) { return of_worker(worker, incarnation, "socket"); }
std::string output_name(std::size_t worker, Incarnation incarnation) { return of_worker(worker, incarnation, "output"); }

void Workers::keep(std::vector<KeptWorker>& kept) const {
  for (const auto& worker : workers_) kept.push_back({worker.config->name, worker, mailboxes_.is_waited_for(worker.index), in_.limits.by_itself(worker.index)});
}

// The arena's word is what senders and readers go by.
void Workers::go_on(const Handover& handover, systemd::Estate& estate) {
  restarts_ = handover.restarts;
  for (auto& worker : workers_) {
    if (worker.index < handover.workers.size()) static_cast<WorkerLife&>(worker) = handover.workers[worker.index].life;
    bool comes_home = worker.index < handover.workers.size() && handover.workers[worker.index].comes_home;
    mailboxes_.go_on(worker.index, shm::reader_of(in_.arena, worker.participant()) - 1, comes_home);
  }
  // Who is charged with a death may have another place in the tree.
  auto places = in_.supervision.places_before(handover);
  for (auto& worker : workers_)
    for (auto& past : worker.history.restarts) {
      auto now = std::find(places.begin(), places.end(), past.culprit);
      if (past.culprit != kNoNode) past.culprit = now == places.end() ? kNoNode : static_cast<NodeId>(now - places.begin());
    }
  for (auto& worker : workers_)
    if (worker.index < handover.workers.size()) go_on(worker, estate, handover.workers[worker.index].limited);
  // The next process is another one than any that the arena has known.
  for (auto& worker : workers_)
    if (!worker.child) worker.incarnation = std::max<Incarnation>(worker.incarnation, in_.arena.participant(worker.participant()).incarnation.load(std::memory_order_relaxed));
}

void Workers::go_on(Worker& worker, systemd::Estate& estate, std::uint8_t limited) {
  Fd process = take(estate, process_name(worker.index, worker.incarnation));
  Fd socket = take(estate, socket_name(worker.index, worker.incarnation));
  Fd output = take(estate, output_name(worker.index, worker.incarnation));
  if (has_process(worker.state)) {
    auto child = process && socket ? in_.children.take_over(worker.last_pid, std::move(process)) : Result<std::unique_ptr<Child>>(Error{Errc::kNotFound, "its descriptors were not handed over"});
    if (!child) {
      log::error("worker not taken over", {{"worker", worker.config->name}, {"cause", child.error().message}});
      // Without us at the other end of its socket it ends by itself.
      return in_.loop.post([this, index = worker.index] { ended(workers_[index], unseen(), monotonic_ns()); });
    }
    worker.child = std::move(*child);
    worker.child->on_exit([this, index = worker.index](const Cause& cause, std::int64_t noticed) { left(workers_[index], cause, noticed); });
    worker.socket = std::move(socket);
    in_.limits.take_over(worker.index, worker.last_pid, limited);
    if (output) take_over_output(worker, std::move(output));
    if (in_.store) {
      in_.store->note(process_name(worker.index, worker.incarnation), worker.child->pidfd());
      in_.store->note(socket_name(worker.index, worker.incarnation), worker.socket.get());
    }
    introduce(worker);
  }
  switch (worker.state) {
    case WorkerState::kStarting: return arm(worker, in_.config.supervisor.start_timeout, WorkerEvent::kStartTimeout);
    case WorkerState::kReady: return watchdogs_.begin(worker.index, worker.pid());
    case WorkerState::kStopping:
    case WorkerState::kCycling:
      in_.orders.stop(worker.participant());
      return arm(worker, in_.config.supervisor.stop_grace, WorkerEvent::kGraceOver);
    case WorkerState::kForking:
      if (!mailboxes_.is_waited_for(worker.index)) in_.loop.post([this, index = worker.index] { ask_for_process(workers_[index]); });
      return;
    case WorkerState::kBackoff: return arm(worker, worker.delay, WorkerEvent::kBackoffOver);
    case WorkerState::kFailed:
      if (worker.config->probation > 0ns && mailboxes_.at_home(worker.index))
        worker.next_chance = in_.loop.after(worker.probation.wait, [this, index = worker.index] { give_chance(workers_[index]); });
      return;
    case WorkerState::kStopped: return;
  }
}

void Workers::start_new(const Handover& handover) {
  for (std::size_t index = handover.workers.size(); index < workers_.size(); ++index) {
    // One that was started by somebody who did not live to write it down may have left something.
    in_.recovery.clean_up(workers_[index].participant(), {}, workers_[index].config->name, "its supervisor died when it was new");
    start(index);
  }
}

void Workers::take_over_output(Worker& worker, Fd read_end) {
  auto output = WorkerOutput::create(in_.loop, std::move(read_end), worker.config->name, WorkerOutput::copy_to());
  if (!output) return log::warning("output not carried", {{"worker", worker.config->name}, {"cause", output.error().message}});
  (*output)->set_pid(worker.last_pid);
  worker.output = std::move(*output);
  if (in_.store) in_.store->note(output_name(worker.index, worker.incarnation), worker.output->fd());
}

// By the socket on which it got its assignment: whatever else it has to us, it has to the one before.
void Workers::introduce(Worker& worker) {
  capnp::MallocMessageBuilder message;
  message.initRoot<wire::Renewal>().setVersion(wire::SPAWN_VERSION);
  auto sent = ipc::send_packet(worker.socket.get(), message);
  if (!sent && sent.error().code != Errc::kUnavailable) log::error("worker not told", {{"worker", worker.config->name}, {"cause", sent.error().message}});
}

void Workers::met_again(std::size_t index, bool ready) {
  log::info("worker met again", {{"worker", workers_[index].config->name}, {"pid", workers_[index].pid()}, {"incarnation", workers_[index].incarnation}});
  if (ready && workers_[index].state == WorkerState::kStarting) raise(index, WorkerEvent::kReady);
}

void Workers::met_again(std::size_t index, ActorId actor, ActorReport report, bool restored, const std::string& why) {
  auto state = in_.supervision.tree().state(in_.supervision.node_of(actor));
  if (report == ActorReport::kRunning) in_.recovery.release_state(actor);  // it holds it itself
  if (state == NodeState::kStarting && report == ActorReport::kRunning) return actor_ready(index, actor, restored);
  if (state == NodeState::kStarting && report == ActorReport::kFailed) return actor_failed(actor, why);
  if (state == NodeState::kStopping && report != ActorReport::kRunning) return actor_stopped(actor);
  // It may have come here without its worker having heard of it.
  if (report == ActorReport::kUnknown && !in_.supervision.has_been_told(actor)) in_.orders.host(workers_[index].participant(), in_.supervision.assign_moved({&actor, 1}));
  in_.supervision.met_again(actor, report == ActorReport::kRunning);
}

void Supervision::keep(std::vector<KeptActor>& kept) const {
  for (ActorId id = 0; id < kept.size(); ++id) {
    kept[id].was_up = was_up_[id];
    kept[id].readies = readies_[id];
    if (auto withheld = withheld_.find(id); withheld != withheld_.end()) kept[id].withheld = withheld->second;
    kept[id].restoring = restoring_.contains(id);
    kept[id].suspended = suspended_.contains(id);
    kept[id].stale = stale_[id];
  }
}

// By name: the configuration may be another one than that tree was of.
std::vector<NodeId> Supervision::places_before(const Handover& handover) const {
  std::map<std::string, bool> was_leaf;
  for (const auto& actor : handover.actors) was_leaf.emplace(actor.name, actor.removed);
  std::map<std::string, NodeId> before;
  for (NodeId node = 0; node < handover.nodes.size(); ++node) before.emplace(handover.nodes[node], node);
  std::vector<NodeId> places;
  for (NodeId node = 0; node < tree_->size(); ++node) {
    const auto& spec = tree_->spec(node);
    auto place = before.find(spec.name);
    auto leaf = was_leaf.find(spec.name);
    bool same = place != before.end() && (leaf == was_leaf.end()) == spec.is_group;
    bool back = same && leaf != was_leaf.end() && leaf->second && !actors_[actor_of_[node]].placed.removed;
    places.push_back(same && !back ? place->second : kNoNode);
  }
  return places;
}

std::vector<ActorId> Supervision::to_be_read() const {
  std::vector<ActorId> ids;
  for (const auto& [id, why] : withheld_)
    if (why == kToBeRead) ids.push_back(id);
  return ids;
}

void Supervision::go_on(Hosts& hosts, const Handover& handover) {
  hosts_ = &hosts;
  for (ActorId id = 0; id < actors_.all().size(); ++id) {
    const auto& placed = actors_[id].placed;
    bool fresh = id >= handover.actors.size() || (handover.actors[id].removed && !placed.removed);
    if (!fresh || !placed.present || !placed.checkpoint.on_disk() || shm::committed(arena_, id).bits() != 0) continue;
    withheld_[id] = kToBeRead;
    tree_->stop(node_of(id), now());
  }
  tree_->go_on(handover.tree, places_before(handover), now());
  for (ActorId id = 0; id < actors_.all().size(); ++id) {
    if (id >= handover.actors.size()) {
      stale_[id] = true;
      continue;
    }
    const auto& kept = handover.actors[id];
    was_up_[id] = kept.was_up;
    readies_[id] = kept.readies;
    bool back = kept.removed && !actors_[id].placed.removed;
    stale_[id] = kept.stale || back;
    if (actors_[id].placed.removed || back) continue;
    if (kept.withheld) withheld_[id] = *kept.withheld;
    if (kept.suspended) suspended_.insert(id);
  }
  carry_out();
  // Its state was on its way from the disk, and is not any more: it goes on with the one that it had.
  for (ActorId id = 0; id < handover.actors.size(); ++id)
    if (handover.actors[id].restoring) restart(node_of(id));
}

void Supervision::met_again(ActorId actor, bool running) {
  auto worker = static_cast<ParticipantId>(actors_[actor].host) + 1;
  switch (tree_->state(node_of(actor))) {
    case NodeState::kStarting:
      if (!stranded(actor)) orders_.start_actor(worker, actor);
      return;
    case NodeState::kUp:
      if (!running) orders_.start_actor(worker, actor);
      return;
    default:
      if (running) orders_.stop_actor(worker, actor);
  }
}

}  // namespace tv::supervisor
