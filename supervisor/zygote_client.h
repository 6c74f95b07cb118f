// ZygoteClient: starts the zygote, asks it for parked processes, and starts another when it dies.
//
// A request is never lost: it waits for a zygote that is ready, and is asked again of the next one. One thread (the loop's).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "ipc/message.h"
#include "supervisor/children.h"
#include "supervisor/restart_policy.h"

namespace tv::supervisor {

using Ticket = std::uint64_t;  // 0: none

class ZygoteClient {
 public:
  using Forked = std::function<void(Parked parked)>;

  // `start_timeout`: from exec to ready. `carry_output`: what zygote and forks print goes through us (worker_output.h); else they inherit ours.
  ZygoteClient(EventLoop& loop, Children& children, std::string program, Nanoseconds start_timeout, bool carry_output = false)
      : loop_(loop), children_(children), program_(std::move(program)), start_timeout_(start_timeout), carry_output_(carry_output) {}

  // kNotFound, kPermission or kSystem when the program cannot be executed.
  Result<void> start();
  Ticket fork(Forked callback);
  void cancel(Ticket ticket);
  // Lets the zygote end (it sees its socket closed); no other is started and no request answered.
  void stop();

  // Why requests wait; empty when they do not.
  const std::string& trouble() const { return trouble_; }

 private:
  struct Request {
    Forked callback;
    Fd socket;            // our end of the child's pair, once it has been asked for
    Fd output;            // our end of the pipe that it prints to
    std::uint32_t failures = 0;
    Source retry;
  };

  Result<void> spawn();
  std::optional<OutputPipe> output_pipe() const;
  std::unique_ptr<WorkerOutput> read_output(Fd read_end, const std::string& who, pid_t pid) const;
  void ask(Ticket ticket, Request& request);
  void ask_later(Ticket ticket, Request& request);
  void ask_all();
  void watch_answers();
  void receive();
  Result<void> take(const ipc::Message& message);
  void take_pid(Ticket ticket, pid_t pid);
  void take_failure(Ticket ticket, const std::string& why);
  void died(const Cause& cause);

  EventLoop& loop_;
  Children& children_;
  const std::string program_;
  const Nanoseconds start_timeout_;
  const bool carry_output_;
  std::unique_ptr<WorkerOutput> output_;
  std::unique_ptr<Child> child_;
  Fd socket_;
  Source readable_;
  Source timer_;  // until ready, or until the next start
  Source overdue_;  // for the next answer, while one is due
  bool ready_ = false;
  bool stopping_ = false;
  std::uint32_t deaths_in_a_row_ = 0;
  std::int64_t started_ns_ = 0;
  std::map<Ticket, Request> requests_;  // in the order they came
  Ticket next_ticket_ = 1;
  std::string trouble_;
};

// The worker's program: $TENSORVISOR_WORKER, or tensorvisor-worker beside the running program.
Result<std::string> worker_program();

}  // namespace tv::supervisor
