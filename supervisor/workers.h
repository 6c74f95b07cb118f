// Workers: the process table. Feeds events to each worker's state machine (worker_state.h) and does what it says.
//
// One thread (the loop's). A worker is participant index + 1 for the daemon's life; each of its processes is one incarnation.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/config.h"
#include "supervisor/actors.h"
#include "supervisor/migration.h"
#include "supervisor/recovery.h"
#include "supervisor/spares.h"
#include "supervisor/supervision.h"
#include "supervisor/watchdogs.h"
#include "supervisor/worker_limits.h"
#include "supervisor/worker_orders.h"
#include "supervisor/worker_state.h"
#include "systemd/fd_store.h"

namespace tv::supervisor {

// What the next supervisor goes on with.
struct WorkerLife {
  WorkerState state = WorkerState::kStopped;
  Incarnation incarnation = 0;
  std::uint64_t restarts = 0;
  std::string last_death;
  std::int64_t last_death_ns = 0;      // CLOCK_REALTIME
  std::int64_t last_restart_ns = 0;    // from the kernel's word of the death to ready
  std::int64_t ready_realtime_ns = 0;  // 0: not ready
  std::int64_t ready_ns = 0;           // CLOCK_MONOTONIC
  std::int64_t assigned_ns = 0;
  std::optional<std::int64_t> death_noticed_ns;  // of a death that it has not come back from
  std::string message;
  pid_t last_pid = 0;  // of the present process, or of the last one
  DeathHistory history;
  Probation probation;
  Nanoseconds delay{0};    // before the next restart
};

struct Worker : WorkerLife {
  const config::Worker* config = nullptr;
  std::size_t index = 0;

  std::unique_ptr<Child> child;
  Fd socket;           // its end is how the process learns that we are gone
  std::unique_ptr<WorkerOutput> output;  // where it is carried
  Source settles;  // it has no limits, and goes into its cgroup when it is ready and others have had their turn
  Ticket ticket = 0;
  Source timer;
  Source next_chance;  // of one that is given up and has a probation
  std::optional<Cause> known_cause;  // better than the kernel's: "could not start: ..."
  std::string last_word;             // what it said before it left with exit code 78
  std::function<void()> when_last_word;  // goes on with the end of a process whose last word is still on its way
  Source last_word_timer;
  std::deque<WorkerEvent> events;
  std::optional<Parked> arrived;

  ParticipantId participant() const { return static_cast<ParticipantId>(index) + 1; }
  pid_t pid() const { return child ? child->pid() : 0; }
};

struct Handover;   // handover.h
struct KeptWorker;

// What an actor's worker says of it to a supervisor that has taken over.
enum class ActorReport : std::uint8_t { kUnknown, kRunning, kStopped, kFailed };

// The names of a worker's process descriptor, of its socket, and of the pipe that it prints to, in the store of descriptors.
std::string process_name(std::size_t worker, Incarnation incarnation);
std::string socket_name(std::size_t worker, Incarnation incarnation);
std::string output_name(std::size_t worker, Incarnation incarnation);

class Workers final : public Hosts {
 public:
  struct Surroundings {
    EventLoop& loop;
    const config::Config& config;
    std::string control_endpoint;
    Children& children;
    Spares& spares;
    Actors& actors;
    Supervision& supervision;
    Recovery& recovery;
    shm::DirectoryWriter& directory;
    const shm::Directory& directory_view;
    const shm::Arena& arena;
    WorkerLimits& limits;
    WorkerOrders& orders;
    // After anything that health, readiness or the end of the daemon may depend on.
    std::function<void()> changed;
    // An actor of a running worker does not run any more; a worker's process is gone, and cleaned up after. Both: nobody writes to the
    // actors' cells now.
    std::function<void(ActorId)> actor_stopped = [](ActorId) {};
    std::function<void(std::size_t)> cleaned_up = [](std::size_t) {};
    std::function<void(ActorId, std::uint64_t)> actor_settled = [](ActorId, std::uint64_t) {};
    // The process has to be killed, since its grace is over; called before it is.
    std::function<void(std::size_t)> forced = [](std::size_t) {};
    std::function<void(ActorId)> actor_committed = [](ActorId) {};  // as asked
    systemd::FdStore* store = nullptr;  // of descriptors that outlive us
  };
  explicit Workers(Surroundings surroundings);

  void start_all();
  // In place of start_all(): the workers are as an earlier supervisor left them; whose process is there goes on in it, and is asked how its
  // actors are (met_again).
  void go_on(const Handover& handover, systemd::Estate& estate);
  // Those that the one before did not have. After the supervision goes on.
  void start_new(const Handover& handover);
  void keep(std::vector<KeptWorker>& kept) const;
  // A worker's process has said hello to us, who have taken over.
  void met_again(std::size_t index, bool ready);
  void met_again(std::size_t index, ActorId actor, ActorReport report, bool restored, const std::string& why);
  void stop_all();
  void wind_down() { winding_down_ = true; }  // whoever dies from now on does not come back
  void kill_all();

  void start(std::size_t index) { raise(index, WorkerEvent::kStart); }
  void stop(std::size_t index);
  void restart(std::size_t index);
  // Starts one that is given up; forgets the deaths of any.
  void reset_failed(std::size_t index);
  Result<void> signal(std::size_t index, int number);
  // Faults that a worker, or the worker of an actor, obeys itself; kUnavailable where there is none that is ready.
  Result<void> inject(std::size_t index, const Fault& fault);
  Result<void> inject_into_actor(ActorId actor, const Fault& fault);

  // Words of a worker's process, checked by the control server.
  void ready(std::size_t index);
  void actor_ready(std::size_t index, ActorId actor, bool restored);
  void actor_failed(ActorId actor, const std::string& why) { in_.supervision.actor_failed(actor, why); }
  // Whoever waits for it comes first: what it puts in the place of the commit is there before the actor may be started again.
  void actor_stopped(ActorId actor) {
    in_.actor_stopped(actor);
    in_.supervision.actor_stopped(actor);
  }
  void actor_settled(ActorId actor, std::uint64_t token) { in_.actor_settled(actor, token); }
  void commit_failed(ActorId actor, const std::string& why);
  void actor_health(ActorId actor, bool healthy, const std::string& reason);
  void actor_committed(ActorId actor) { in_.actor_committed(actor); }
  // The worker of an actor that is ready is asked for a commit. False: it has none to ask.
  bool ask_for_commit(ActorId actor);
  void cannot_work(std::size_t index, const std::string& why);

  Hosting hosting(std::size_t index) const override;
  const std::string& trouble(std::size_t index) const override { return workers_[index].message; }
  void kill(std::size_t index, Cause cause) override;

  const std::vector<Worker>& all() const { return workers_; }
  const WorkerLimits& limits() const { return in_.limits; }
  bool reads_own_mailbox(std::size_t index) const { return mailboxes_.at_home(index); }  // else its actors have moved
  // Can the worker be told of these actors as well? What it is to host has to fit the packet of its next assignment.
  bool has_room(std::size_t index, std::span<const ActorId> actors) const;
  bool none_active() const;  // every worker is stopped or failed
  std::uint64_t restarts() const { return restarts_; }

 private:
  void raise(std::size_t index, WorkerEvent event);
  void perform(Worker& worker, std::uint32_t actions);
  void acquire(Worker& worker);
  void discard(Worker& worker);
  void go_on(Worker& worker, systemd::Estate& estate, std::uint8_t limited);
  void take_over_output(Worker& worker, Fd read_end);
  void introduce(Worker& worker);
  void assign(Worker& worker);
  void refuse(Worker& worker, const Error& why);
  void kill(Worker& worker);
  void arm(Worker& worker, Nanoseconds delay, WorkerEvent event);
  void report_ready(Worker& worker);
  void report_stopped(Worker& worker);
  void report_failed(Worker& worker);
  void left(Worker& worker, Cause cause, std::int64_t noticed_ns);
  void have_last_word(Worker& worker);
  void ended(Worker& worker, Cause cause, std::int64_t noticed_ns);
  Decision judge(Worker& worker, const Cause& cause, const Verdict& verdict, Nanoseconds healthy, std::int64_t noticed_ns);
  WorkerEvent decide_restart(Worker& worker, const Cause& cause, const Verdict& verdict, Nanoseconds healthy, std::int64_t noticed_ns);
  void give_chance(Worker& worker);
  void strike(Worker& worker, int signal, const std::string& why);
  void ask_for_process(Worker& worker);

  // migration, in worker_moves.cpp
  void move_away(Worker& from);
  void tell_moved(std::size_t mailbox, const Worker& from);
  std::vector<Candidate> candidates_for(std::span<const ActorId> actors, std::size_t from) const;
  bool fetch_home(Worker& worker);
  void come_home(const Worker& worker, const Worker& host);
  std::vector<std::size_t> bring_home_from(std::size_t host);
  void call_stranded();

  Surroundings in_;
  std::vector<Worker> workers_;
  Mailboxes mailboxes_;
  std::uint64_t restarts_ = 0;
  bool winding_down_ = false;
  Watchdogs watchdogs_;
};

}  // namespace tv::supervisor
