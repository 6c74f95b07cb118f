// EventLoop: the daemon's one loop, over sd-event. Descriptors, timers, signals, and work put off to the next turn.
//
// One thread. A Source stops watching when it is destroyed, also from inside its own callback. A callback that throws is logged and the
// loop goes on: nothing that comes from outside may end the daemon.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "config/clock.h"
#include "config/fd.h"
#include "config/result.h"

struct sd_event;

namespace tv::supervisor {

class Source {
 public:
  Source() = default;
  explicit operator bool() const { return state_ != nullptr; }
  void reset() { state_.reset(); }

  struct State;  // event_loop.cpp

 private:
  friend class EventLoop;
  struct Stop {
    void operator()(State* state) const;
  };
  std::unique_ptr<State, Stop> state_;
};

class EventLoop {
 public:
  using Callback = std::function<void()>;

  static Result<std::unique_ptr<EventLoop>> create();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // `events` as for epoll; 0: only when the other side has hung up. Level-triggered. The descriptor stays the caller's.
  Result<Source> watch(int fd, std::uint32_t events, Callback callback);
  // Once, `delay` from now. Timers cannot fail but for memory, so a failure is an assertion.
  Source after(Nanoseconds delay, Callback callback);
  // The signal is blocked for the calling thread; to be called before other threads are started.
  Result<Source> on_signal(int number, Callback callback);
  // Runs once, after what the loop has already found ready. In order.
  void post(Callback callback);

  // Feeds the service manager's watchdog, where there is one.
  void feed_watchdog();

  // Until quit(). An error is one of the loop's own.
  Result<void> run();
  void quit();

 private:
  explicit EventLoop(sd_event* event) : event_(event) {}
  void run_posted();

  sd_event* event_;
  // Posted work is announced through a descriptor: a source of sd-event's own kind for it (defer) that posts again each turn would keep
  // all others from their turn.
  Fd wake_;
  Source woken_;
  std::vector<Callback> posted_;
};

}  // namespace tv::supervisor
