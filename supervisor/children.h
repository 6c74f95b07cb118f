// Children: every process whose parent we are. Child: one that we know, seen through its pidfd.
//
// A child's number is forgotten at the moment it is reaped, and signals go to the pidfd: nobody ever signals a number that is another's.
// As the subreaper we also inherit what workers leave behind; those strangers are reaped when SIGCHLD tells of them.
#pragma once

#include <sys/types.h>

#include <functional>
#include <list>
#include <memory>
#include <set>

#include "config/fd.h"
#include "supervisor/death.h"
#include "supervisor/event_loop.h"
#include "supervisor/worker_output.h"

namespace tv::supervisor {

class Children;

class Child {
 public:
  // Reaped; `noticed_ns` is when the kernel's word was read (CLOCK_MONOTONIC). The callback may destroy the Child.
  using OnExit = std::function<void(const Cause& cause, std::int64_t noticed_ns)>;

  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }
  void on_exit(OnExit callback) { on_exit_ = std::move(callback); }
  Result<void> signal(int number) const;
  // The process has ended, whether or not its end has been reported.
  bool ended() const;

 private:
  friend class Children;
  Child(Children& children, pid_t pid, Fd pidfd) : children_(children), pid_(pid), pidfd_(std::move(pidfd)) {}
  void reap();

  Children& children_;
  pid_t pid_;
  Fd pidfd_;
  Source source_;
  OnExit on_exit_;
};

// A process forked by the zygote that waits for its assignment on the other end of `socket`.
struct Parked {
  std::unique_ptr<Child> child;
  Fd socket;
  std::unique_ptr<WorkerOutput> output = {};  // where it is carried
};

class Children {
 public:
  explicit Children(EventLoop& loop) : loop_(loop) {}

  // Becomes the subreaper and listens to SIGCHLD.
  Result<void> start();
  // Takes charge of a child of ours by number. It may have ended already.
  Result<std::unique_ptr<Child>> adopt(pid_t pid);
  // The same for a process that an earlier supervisor had, and its pidfd. It need not be our child: then only that it ends is seen.
  Result<std::unique_ptr<Child>> take_over(pid_t pid, Fd pidfd);
  // The process is to end by itself (its socket has been closed); kept and reaped without a word.
  void dismiss(std::unique_ptr<Child> child);

  // While a fork is under way a number that we do not know may be ours yet.
  void fork_begins() { ++forks_; }
  void fork_ends();
  void forks_end_all() { forks_ = 0; sweep_later(); }

  // Known processes that have not been reaped.
  std::size_t known() const { return known_.size(); }
  // Calls back (once) when none is left.
  void when_none(std::function<void()> callback);
  // SIGKILL to those that were dismissed, and to strangers that we inherited.
  void kill_dismissed();
  void kill_strangers();

 private:
  friend class Child;
  void forget(pid_t pid);
  void sweep();
  void sweep_later();
  void check_none();

  EventLoop& loop_;
  Source sigchld_;
  std::set<pid_t> known_;
  std::function<void()> when_none_;
  int forks_ = 0;
  std::list<std::unique_ptr<Child>> dismissed_;  // last: they look at what is above when they go
};

}  // namespace tv::supervisor
