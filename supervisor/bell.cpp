#include "supervisor/bell.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <system_error>

#include "shm/doorbell.h"
#include "supervisor/signals_blocked.h"

namespace tv::supervisor {
Result<std::unique_ptr<Bell>> Bell::create(EventLoop& loop, std::shared_ptr<shm::Arena> arena) {
  std::unique_ptr<Bell> bell(new Bell(std::move(arena)));
  bell->rung_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!bell->rung_) return system_error("cannot make an eventfd", errno);
  bell->watched_ = TV_TRY(loop.watch(bell->rung_.get(), EPOLLIN, [raw = bell.get()] { raw->look(); }));
  // Looked at here: what is rung from now on is heard, however late the thread begins.
  std::uint32_t seen = bell->arena_->header().supervisor_bell.load(std::memory_order_seq_cst);
  AllSignalsBlocked blocked;
  try {
    bell->listener_ = std::thread([raw = bell.get(), seen] { raw->listen(seen); });
  } catch (const std::system_error& e) {
    return system_error("cannot start the thread that listens for participants", e.code().value());
  }
  return bell;
}

Bell::~Bell() {
  if (!listener_.joinable()) return;
  ending_.store(true);
  auto& word = arena_->header().supervisor_bell;
  word.fetch_add(1, std::memory_order_seq_cst);
  shm::futex_wake(word, 1);
  listener_.join();
}

void Bell::listen(std::uint32_t seen) {
  const auto& word = arena_->header().supervisor_bell;
  while (!ending_.load()) {
    shm::futex_wait(word, seen, Deadline::in(kLookAgain));
    std::uint32_t now = word.load(std::memory_order_seq_cst);
    if (now == seen) continue;
    seen = now;
    (void)::eventfd_write(rung_.get(), 1);  // can only fail when it is rung already, 2^64 times
  }
}

void Bell::look() {
  eventfd_t count;
  (void)::eventfd_read(rung_.get(), &count);
  for (const auto& look : looks_) look();
}

}  // namespace tv::supervisor
