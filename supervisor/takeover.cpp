// How workers and supervision go on where an earlier supervisor was when it died, or was replaced. Parts of Workers and Supervision; README.md,
// "Handing over", has what is where, and what a death at each point means.
#include <capnp/message.h>

#include <algorithm>

#include "config/log.h"
#include "ipc/seqpacket.h"
#include "ipc/spawn.capnp.h"
#include "shm/mailbox.h"
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
  for (const auto& worker : workers_) kept.push_back({worker.config->name, worker, mailboxes_.is_waited_for(worker.index)});
}

// The arena's word is what senders and readers go by.
void Workers::go_on(const Handover& handover, systemd::Estate& estate) {
  restarts_ = handover.restarts;
  for (auto& worker : workers_) {
    static_cast<WorkerLife&>(worker) = handover.workers[worker.index].life;
    mailboxes_.go_on(worker.index, shm::reader_of(in_.arena, worker.participant()) - 1, handover.workers[worker.index].comes_home);
  }
  for (auto& worker : workers_) go_on(worker, estate);
  // The next process is another one than any that the arena has known.
  for (auto& worker : workers_)
    if (!worker.child) worker.incarnation = std::max<Incarnation>(worker.incarnation, in_.arena.participant(worker.participant()).incarnation.load(std::memory_order_relaxed));
}

void Workers::go_on(Worker& worker, systemd::Estate& estate) {
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
  if (report == ActorReport::kUnknown) in_.orders.host(workers_[index].participant(), in_.supervision.assign_moved({&actor, 1}));
  in_.supervision.met_again(actor, report == ActorReport::kRunning);
}

void Supervision::keep(std::vector<KeptActor>& kept) const {
  for (ActorId id = 0; id < kept.size(); ++id) {
    kept[id].was_up = was_up_[id];
    kept[id].readies = readies_[id];
    if (auto withheld = withheld_.find(id); withheld != withheld_.end()) kept[id].withheld = withheld->second;
    kept[id].restoring = restoring_.contains(id);
    kept[id].suspended = suspended_.contains(id);
  }
}

void Supervision::go_on(Hosts& hosts, const Handover& handover) {
  hosts_ = &hosts;
  tree_->go_on(handover.tree);
  for (ActorId id = 0; id < handover.actors.size(); ++id) {
    const auto& kept = handover.actors[id];
    was_up_[id] = kept.was_up;
    readies_[id] = kept.readies;
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
