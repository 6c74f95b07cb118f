// Stepper: a child process under ptrace, brought to a stop after exactly k instructions of what it does, and killed there.
//
// The child calls begin_stepping() where the operation starts and finish_stepping() where it is over. Its route, the addresses of all
// instructions between the two, is recorded once; afterwards "k steps further" is reached by a breakpoint at a rare address of the route
// and single steps from there, so that the cost of a kill does not grow with k. One thread of the parent uses a Stepper.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace tv::test {

void begin_stepping();
[[noreturn]] void finish_stepping();

// The n-th arrival at an address.
struct Waypoint {
  std::uint64_t address = 0;
  std::uint32_t arrival = 0;  // 1: the first
};
// route[k] is where the process stands after k steps; the last one is in finish_stepping().
using Route = std::vector<Waypoint>;

class Stepper {
 public:
  // Forks; `child` runs traced, and dies with its parent. `shared` is the memory that others see.
  Stepper(std::span<const std::byte> shared, const std::function<void()>& child);
  ~Stepper();  // kills
  Stepper(const Stepper&) = delete;
  Stepper& operator=(const Stepper&) = delete;

  // At full speed to the next begin_stepping(). False, and why_not() says more, if the child ends instead.
  bool run_to_mark();

  enum class At {
    kNext,    // before the next instruction
    kAsleep,  // in a system call that waits for somebody
    kGone,    // dead, see why_not()
    kAstray,  // over, without having come by on a known route
  };
  // One instruction, or one call of the clock, which only reads, or all of an instruction that clears or copies private memory piece by
  // piece. After kAsleep, finish_step() goes on when it has been woken.
  At step();
  At finish_step();

  // The next instruction: where it is, and its first bytes.
  std::uint64_t address() const;
  std::uint64_t instruction() const;
  bool at_system_call(long number) const;
  bool is_over() const;

  // To route[k], from route[0]. kAstray if this run takes another way than the one that was recorded (the heap and the clock have their
  // whims); a process that steps all the way never does. kAsleep if it falls asleep on the way.
  At go_to(const Route& route, std::size_t k, bool step_all_the_way);

  void kill();
  const std::string& why_not() const { return why_not_; }

 private:
  At wait_for_stop(bool may_sleep);
  At leave_kernels_page();
  At run_until(std::uint64_t address);
  bool in_shared(std::uint64_t address) const;
  bool asleep() const;
  At run_to(const Waypoint& point);

  const std::span<const std::byte> shared_;
  pid_t pid_ = -1;
  bool running_ = false;  // past its first mark
  bool set_options_ = true;
  std::string why_not_;
};

// A route that is being recorded.
class RouteRecorder {
 public:
  void add(const Stepper& stepper);
  std::size_t size() const { return route_.size(); }
  Route take() { return std::move(route_); }

 private:
  Route route_;
  std::unordered_map<std::uint64_t, std::uint32_t> arrivals_;  // by address
};

}  // namespace tv::test
