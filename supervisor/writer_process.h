// WriterProcess: the checkpoint writer's process as the supervisor sees it: started, set up, asked one thing at a time, started again with
// a growing delay when it dies. Cleans up after it as after any participant.
//
// One thread (the loop's).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "config/config.h"
#include "ipc/checkpoint.capnp.h"
#include "shm/directory.h"
#include "supervisor/children.h"
#include "supervisor/recovery.h"
#include "systemd/fd_store.h"

namespace tv::supervisor {

struct WriterGeneration {
  std::uint64_t generation = 0;
  std::uint64_t commit = 0;
  std::int64_t time_ns = 0;
  std::uint64_t bytes = 0;
  std::uint64_t committed = 0;
};
struct WriterAnswer {
  enum class Kind { kWritten, kUnchanged, kNothing, kRestored, kFailed, kLetGo };
  Kind kind = Kind::kNothing;
  WriterGeneration info;
  shm::Handle manifest;  // kRestored
  std::uint32_t damaged = 0;
  Error failure;         // kFailed
};

class WriterProcess {
 public:
  struct Surroundings {
    EventLoop& loop;
    const config::Config& config;
    Children& children;
    Recovery& recovery;
    shm::DirectoryWriter& directory;
    const shm::Arena& arena;
    systemd::FdStore& store;
  };
  static constexpr const char* kStoreName = "checkpoint-writer";  // of its process's descriptor
  // `lock` is passed on to the process. `idle`: there is a process that may be asked; also after each answer, which comes first. `died`:
  // what it was asked is forgotten.
  WriterProcess(const Surroundings& surroundings, ParticipantId participant, int lock);
  using Answered = std::function<void(const WriterAnswer&)>;
  void on_answer(Answered answered) { answered_ = std::move(answered); }
  void on_idle(std::function<void()> idle) { idle_ = std::move(idle); }
  void on_death(std::function<void(const std::string& cause)> died) { died_ = std::move(died); }

  void start();
  bool idle() const { return state_ == State::kIdle; }
  // For how long it has been at what it was asked last; 0: it is at nothing.
  Nanoseconds busy_for() const { return state_ == State::kBusy ? Nanoseconds{monotonic_ns() - asked_ns_} : Nanoseconds{0}; }
  // REQUIRES idle().
  void ask(const std::function<void(wire::WriterOrder::Builder)>& fill);
  // The process ends when it has done what it is at; no other is started. Calls back when it is gone.
  void stop(std::function<void()> stopped);
  void kill();

  pid_t pid() const { return child_ ? child_->pid() : 0; }
  std::uint64_t restarts() const { return restarts_; }

 private:
  enum class State { kDown, kStarting, kIdle, kBusy };

  Result<void> spawn();
  void spawn_later(const std::string& cause);
  void receive();
  Result<void> take(wire::WriterAnswer::Reader answer);
  void ended(const Cause& cause);

  Surroundings in_;
  const ParticipantId participant_;
  const int lock_;
  Answered answered_;
  std::function<void()> idle_;
  std::function<void(const std::string&)> died_;
  std::function<void()> stopped_;
  State state_ = State::kDown;
  std::unique_ptr<Child> child_;
  Fd socket_;
  Source readable_;
  Source timer_;
  Incarnation incarnation_ = 0;
  std::uint64_t restarts_ = 0;
  std::uint32_t deaths_in_a_row_ = 0;
  bool stopping_ = false;
  std::int64_t asked_ns_ = 0;
};

}  // namespace tv::supervisor
