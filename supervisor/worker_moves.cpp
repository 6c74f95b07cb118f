// How actors of a worker that was given up come to another one, and back. Part of Workers; README.md, "Migration", has the steps and what a
// death at each means.
#include <capnp/message.h>

#include <algorithm>

#include "config/log.h"
#include "ipc/seqpacket.h"
#include "shm/mailbox.h"
#include "supervisor/workers.h"

namespace tv::supervisor {
namespace {

// Of a packet with an assignment: for its frame, and for what may become longer, such as the cause of the last death.
constexpr std::size_t kSlackBytes = 8192;

bool goes_on(WorkerState state) {
  return state == WorkerState::kForking || state == WorkerState::kStarting || state == WorkerState::kReady || state == WorkerState::kBackoff;
}

}  // namespace

// The mailboxes that its process has read: its own, and those of workers that were given up before it. All have gone before anything is said
// of their actors: callers give up those of whom the directory says that they failed.
void Workers::move_away(Worker& from) {
  std::vector<std::size_t> moved;
  for (auto mailbox : mailboxes_.read_by(from.index)) {
    auto actors = in_.actors.of_mailbox(mailbox);
    std::vector<const PlacedActor*> placed;
    for (ActorId id : actors) placed.push_back(&in_.actors[id].placed);
    auto to = choose_host(placed, candidates_for(actors, from.index));
    if (!to) continue;
    shm::set_reader(in_.arena, workers_[mailbox].participant(), workers_[*to].participant());
    mailboxes_.move(mailbox, *to);
    for (ActorId id : actors) in_.actors.move(id, *to, "worker \"" + from.config->name + "\" was given up: " + from.message);
    moved.push_back(mailbox);
  }
  // Its actors are well where they are: a chance of its own would call them back.
  if (!mailboxes_.at_home(from.index)) from.next_chance.reset();
  in_.supervision.moved();
  for (auto mailbox : moved) tell_moved(mailbox, from);
}

std::vector<Candidate> Workers::candidates_for(std::span<const ActorId> actors, std::size_t from) const {
  std::vector<Candidate> candidates;
  for (const auto& worker : workers_) {
    if (worker.index == from || !goes_on(worker.state)) continue;
    candidates.push_back({worker.index, worker.state == WorkerState::kReady, has_room(worker.index, actors), in_.actors.of_worker(worker.index).size()});
  }
  return candidates;
}

bool Workers::has_room(std::size_t index, std::span<const ActorId> actors) const {
  const Worker& to = workers_[index];
  std::vector<AssignedActor> all;
  for (ActorId id : in_.actors.of_worker(to.index)) all.push_back({id, 0, &in_.actors[id].placed, false, {}});
  for (ActorId id : actors) all.push_back({id, 0, &in_.actors[id].placed, false, {}});
  capnp::MallocMessageBuilder message;
  write_assignment({to.config, to.participant(), 0, in_.control_endpoint, in_.config.supervisor.log_level, std::move(all), to.last_death},
                   message.initRoot<wire::Assignment>());
  return message.sizeInWords() * sizeof(capnp::word) + kSlackBytes <= ipc::kMaxPacketBytes;
}

void Workers::tell_moved(std::size_t mailbox, const Worker& from) {
  auto actors = in_.actors.of_mailbox(mailbox);
  const Worker& to = workers_[mailboxes_.reader(mailbox)];
  for (ActorId id : actors) {
    const auto& placed = in_.actors[id].placed;
    if (may_live(placed, to.index))
      log::notice("actor moved", {{"actor", placed.name}, {"from", from.config->name}, {"to", to.config->name}, {"cause", from.message}});
    else
      log::error("actor not moved", {{"actor", placed.name}, {"worker", from.config->name}, {"cause", in_.actors[id].message}});
  }
  // To a process that is there; the next one finds them in its assignment.
  if (to.child) in_.orders.host(to.participant(), in_.supervision.assign_moved(actors));
}

// A worker is ready that was not there when others were given up.
void Workers::call_stranded() {
  for (auto& worker : workers_)
    if (worker.state == WorkerState::kFailed) move_away(worker);
}

// True: its mailbox is its own. Else the process that reads it is asked to end; then both start, each with its own.
bool Workers::fetch_home(Worker& worker) {
  Worker& host = workers_[mailboxes_.reader(worker.index)];
  switch (mailboxes_.fetch(worker.index, host.child != nullptr)) {
    case Mailboxes::Fetch::kIsHome: return true;
    case Mailboxes::Fetch::kComesHome: come_home(worker, host); return true;
    case Mailboxes::Fetch::kWaits: break;
  }
  worker.message = "waits for its actors, which worker \"" + host.config->name + "\" gives back";
  if (goes_on(host.state)) raise(host.index, WorkerEvent::kRestart);
  return false;
}

void Workers::come_home(const Worker& worker, const Worker& host) {
  shm::set_reader(in_.arena, worker.participant(), worker.participant());
  for (ActorId id : in_.actors.of_mailbox(worker.index)) {
    in_.actors.move(id, worker.index, {});
    log::notice("actor moved", {{"actor", in_.actors[id].placed.name},
                                {"from", host.config->name},
                                {"to", worker.config->name},
                                {"cause", "its worker was restarted"}});
  }
  in_.supervision.moved();
}

// The host's process has ended, and has been cleaned up after. Who has got its mailbox back.
std::vector<std::size_t> Workers::bring_home_from(std::size_t host) {
  auto home = mailboxes_.ended(host);
  for (auto index : home) {
    come_home(workers_[index], workers_[host]);
    workers_[index].message.clear();
  }
  return home;
}

}  // namespace tv::supervisor
