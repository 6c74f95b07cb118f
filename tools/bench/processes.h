// Processes of a benchmark: pinned, started together round by round, and gone with it.
//
// The benchmark's own process only directs. Whatever is measured runs in sides that are forked for it, so that each contender finds a
// process without another's threads and memory. Failures are thrown as Failure, which main() turns into exit code 1.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "config/clock.h"
#include "config/result.h"
#include "shm/layout.h"

namespace tv::bench {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class T>
T must(Result<T> result) {
  if (!result) throw Failure(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(result).value();
}

// Processors that this process may use.
std::vector<int> allowed_cpus();
// Threads that are made later inherit it.
void pin_to(int cpu);

// Zeroed memory that this process and those forked from it share.
class SharedMemory {
 public:
  explicit SharedMemory(std::size_t bytes);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_;
  void* data_;
};

// What one side is to do in a round. The first side of a crew fills `samples`, in nanoseconds; the others have none.
struct Turn {
  std::size_t count;
  std::span<std::int64_t> samples;
  // When the round was called out, before any side woke: where one side's time would miss what another did before it.
  std::int64_t called_ns;
};

struct Side {
  int cpu = -1;                        // -1: not pinned
  std::function<void()> open = [] {};  // in the side's process, once
  std::function<void(Turn)> round;     // in the side's process
};

// The processes of one contender. Between rounds they sleep, so that contenders can take turns.
class Crew {
 public:
  // Forks the sides and waits until all are open.
  Crew(std::string name, std::vector<Side> sides, std::size_t most_samples);
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // All sides do one round; the samples of the first. Throws Failure when a side ends or the deadline passes.
  std::vector<std::int64_t> round(std::size_t count, std::size_t samples, Nanoseconds timeout = 120s);

 private:
  struct Control {
    shm::HalfWord order;  // futex; +1 for each round
    shm::HalfWord done;   // futex; sides that have finished it
    std::uint64_t count;
    std::uint64_t samples;
    std::int64_t called_ns;
  };
  [[noreturn]] void run_side(const Side& side, bool first);
  void await_all(Deadline deadline);
  void kill_all();

  std::string name_;
  std::vector<pid_t> pids_;
  SharedMemory control_memory_;
  SharedMemory samples_memory_;
  Control* control_;
};

}  // namespace tv::bench
