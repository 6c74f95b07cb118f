// Checkpoints: commits on disk, and back. Decides what is written next (checkpoint_plan.h), tells the writer (writer_process.h), and puts
// what the writer has read in the place of an actor's commit.
//
// The directory is this daemon's alone: its lock is held here and by the writer. One thread (the loop's); no file is touched here but the
// directory and its lock.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "config/config.h"
#include "shm/state.h"
#include "supervisor/actors.h"
#include "supervisor/checkpoint_plan.h"
#include "supervisor/recovery.h"
#include "supervisor/writer_process.h"

namespace tv::supervisor {

class Checkpoints {
 public:
  struct Surroundings {
    EventLoop& loop;
    const config::Config& config;
    Children& children;
    Recovery& recovery;
    shm::DirectoryWriter& directory;
    const shm::Arena& arena;
    const Actors& actors;
    systemd::FdStore& store;
    std::function<void(ActorId, const std::string& why)> withhold;  // it is not to start: it fails, and that is why
  };
  // REQUIRES that the configuration names a directory. Makes and locks it. kAlreadyExists when another daemon writes there, kPermission.
  static Result<std::unique_ptr<Checkpoints>> create(const Surroundings& surroundings, ParticipantId writer);

  // Starts the writer and has it restore every actor that has a generation; calls back when all are done. Actors whose state is there and
  // cannot be restored are withheld: they fail, rather than start afresh over it.
  void start(std::function<void()> restored);
  // In place of start(): the actors have what an earlier supervisor gave them, and go on. `withheld`: but for these.
  void go_on(std::map<ActorId, std::string> withheld);
  // Writes what is not yet on disk, each actor once, then lets the writer end and calls back; 60 s at most.
  void finish(std::function<void()> done);

  // As soon as the writer is free.
  void hurry(ActorId actor);
  // Its worker has been asked for a commit, which is to be written at once when committed() says that it is there.
  void expect(ActorId actor) { expected_.insert(actor); }
  void committed(ActorId actor);
  bool expects(ActorId actor) const { return expected_.contains(actor); }
  // `stop` is called once the state is in the arena; it tells whether the actor runs and actor_stopped() will come. `placed` when the state
  // is the actor's commit. kUnavailable while another restore of this actor goes on.
  Result<void> restore(ActorId actor, std::uint64_t generation, std::function<bool()> stop, std::function<void()> placed);
  bool withheld(ActorId actor) const { return withheld_.contains(actor); }
  // Of one that is withheld: tries again; `placed` when it may start, with what was found or with nothing.
  void retry(ActorId actor, std::function<void()> placed);

  // From whoever knows it: the actor does not run any more, its last commit is made; or its worker is gone and cleaned up after.
  void actor_stopped(ActorId actor);
  void worker_cleaned_up(std::size_t worker);

  // What administrators see.
  bool on_disk(ActorId actor) const { return plan_.has(actor); }
  const CheckpointState& state(ActorId actor) const { return plan_.of(actor); }
  bool pending(ActorId actor) const;
  const CheckpointPlan& plan() const { return plan_; }
  const WriterProcess& writer() const { return *writer_; }
  // Why commits do not reach the disk as they should, for people: attempts that fail, a writer that does not get on. Each actor once.
  std::vector<std::string> problems() const;
  struct RestoreRecord {
    bool going_on = false;
    std::uint64_t done = 0;
    std::uint64_t failed = 0;
    std::uint64_t generation = 0;  // of the last one that was done
    std::string error;             // of the last one that failed
  };
  RestoreRecord restores(ActorId actor) const;

 private:
  enum class Purpose { kStart, kRetry, kOrder };
  struct Job {
    ActorId actor;
    std::uint64_t generation;  // 0: the newest
    Purpose purpose;
    std::function<bool()> stop;
    std::function<void()> placed;
    int tries = 0;
  };
  // A state in the arena, held here, and what becomes of it.
  struct Held {
    Job job;
    shm::Tensor manifest;
    shm::State state;
    CheckpointState on_disk;
  };

  explicit Checkpoints(const Surroundings& surroundings) : in_(surroundings), plan_(surroundings.config.checkpoints.min_interval) {}
  Result<void> lock();
  void look_again();
  void look();
  void pump();
  void arm();
  void order_write(const CheckpointPlan::Write& write);
  void order_restore();
  void take(const WriterAnswer& answer);
  void take_restored(const WriterAnswer& answer);
  void end_job(const std::optional<Error>& why);
  void place(Held held);
  void withhold(ActorId actor, const std::string& why);
  void writer_died(const std::string& cause);
  void check_restored();
  void check_finished();

  Surroundings in_;
  Fd lock_;
  CheckpointPlan plan_;
  std::unique_ptr<WriterProcess> writer_;
  std::deque<Job> jobs_;  // the first one is at hand while `restoring_`
  bool restoring_ = false;
  std::map<ActorId, Held> waiting_;  // for their actors to stop
  std::map<ActorId, std::string> withheld_;
  std::set<ActorId> expected_;
  std::map<ActorId, RestoreRecord> records_;
  std::function<void()> restored_;
  std::function<void()> finished_;
  bool ending_ = false;
  Source look_timer_;
  Source due_timer_;
  Source patience_;
};

}  // namespace tv::supervisor
