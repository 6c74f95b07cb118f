#include "tools/bench/processes.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "shm/doorbell.h"

namespace tv::bench {

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) throw Failure(system_error("sched_getaffinity", errno).message);
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  return cpus;
}

void pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  if (::sched_setaffinity(0, sizeof set, &set) != 0)
    throw Failure(system_error("cannot pin to processor " + std::to_string(cpu), errno).message);
}

SharedMemory::SharedMemory(std::size_t bytes) : bytes_(bytes) {
  data_ = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (data_ == MAP_FAILED) throw Failure(system_error("cannot map " + std::to_string(bytes) + " bytes", errno).message);
}

SharedMemory::~SharedMemory() { ::munmap(data_, bytes_); }

Crew::Crew(std::string name, std::vector<Side> sides, std::size_t most_samples)
    : name_(std::move(name)),
      control_memory_(sizeof(Control)),
      samples_memory_((most_samples + 1) * sizeof(std::int64_t)),
      control_(new (control_memory_.as<void>()) Control{}) {
  std::fflush(nullptr);  // what is buffered would be written by every side
  for (std::size_t i = 0; i < sides.size(); ++i) {
    pid_t parent = ::getpid();
    pid_t pid = ::fork();
    if (pid < 0) {
      int why = errno;
      kill_all();
      throw Failure(system_error("fork", why).message);
    }
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(1);
      run_side(sides[i], i == 0);
    }
    pids_.push_back(pid);
  }
  try {
    await_all(Deadline::in(60s));
  } catch (...) {
    kill_all();
    throw;
  }
}

Crew::~Crew() { kill_all(); }

void Crew::kill_all() {
  for (auto pid : pids_) ::kill(pid, SIGKILL);
  for (auto pid : pids_) ::waitpid(pid, nullptr, 0);
  pids_.clear();
}

void Crew::run_side(const Side& side, bool first) {
  int status = 0;
  ::prctl(PR_SET_NAME, name_.substr(0, name_.find(' ')).substr(0, 15).c_str());  // so that perf and top tell contenders apart
  try {
    if (side.cpu >= 0) pin_to(side.cpu);
    side.open();
    for (std::uint32_t seen = 0;; ++seen) {
      control_->done.fetch_add(1, std::memory_order_seq_cst);
      shm::futex_wake(control_->done, 1);
      while (control_->order.load(std::memory_order_seq_cst) == seen) shm::futex_wait(control_->order, seen, Deadline::in(600s));
      std::span<std::int64_t> samples(samples_memory_.as<std::int64_t>(), first ? control_->samples : 0);
      side.round({control_->count, samples, control_->called_ns});
    }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "tv-bench: %s: %s\n", name_.c_str(), e.what());
    status = 1;
  }
  ::_exit(status);
}

void Crew::await_all(Deadline deadline) {
  for (;;) {
    auto done = control_->done.load(std::memory_order_seq_cst);
    if (done == pids_.size()) break;
    if (deadline.passed()) throw Failure(name_ + ": a round did not end in time");
    for (auto& pid : pids_) {
      if (::waitpid(pid, nullptr, WNOHANG) != pid) continue;
      pid = pids_.back();
      pids_.pop_back();
      throw Failure(name_ + ": a process of the benchmark has ended");
    }
    shm::futex_wait(control_->done, done, Deadline::in(100ms));
  }
  control_->done.store(0, std::memory_order_seq_cst);
}

std::vector<std::int64_t> Crew::round(std::size_t count, std::size_t samples, Nanoseconds timeout) {
  TV_ASSERT((samples + 1) * sizeof(std::int64_t) <= samples_memory_.bytes());
  control_->count = count;
  control_->samples = samples;
  control_->called_ns = monotonic_ns();
  control_->order.fetch_add(1, std::memory_order_seq_cst);
  shm::futex_wake(control_->order, 1 << 20);
  await_all(Deadline::in(timeout));
  auto* first = samples_memory_.as<std::int64_t>();
  return {first, first + samples};
}

}  // namespace tv::bench
