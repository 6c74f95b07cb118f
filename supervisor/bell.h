// Bell: how a participant gets the supervisor's attention without a message: it stores what it wants, adds one to
// ArenaHeader::supervisor_bell and wakes that futex. Rung by those who wait for room and by those who die of a stray write.
//
// A thread of its own sleeps on the futex and passes each ring on to the event loop as an eventfd. It touches nothing else, blocks all
// signals, and ends with this object. Rings that come close together may become one call. A ring whose process dies before the wake is
// seen when the sleep is over, kLookAgain later at most.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "config/fd.h"
#include "shm/arena.h"
#include "supervisor/event_loop.h"

namespace tv::supervisor {

class Bell {
 public:
  static constexpr Nanoseconds kLookAgain = 5s;

  static Result<std::unique_ptr<Bell>> create(EventLoop& loop, std::shared_ptr<shm::Arena> arena);
  ~Bell();
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;

  // Called on the loop's thread after each ring, with the others in the order in which they were given. Each looks itself whether it is
  // meant: the bell does not say why it rang.
  void on_bell(std::function<void()> look) { looks_.push_back(std::move(look)); }

 private:
  explicit Bell(std::shared_ptr<shm::Arena> arena) : arena_(std::move(arena)) {}
  void listen(std::uint32_t seen);
  void look();

  // Of both threads; constant, or synchronised by itself.
  const std::shared_ptr<shm::Arena> arena_;
  Fd rung_;
  std::atomic<bool> ending_{false};
  // Of the loop's thread.
  Source watched_;
  std::vector<std::function<void()>> looks_;
  std::thread listener_;
};

}  // namespace tv::supervisor
