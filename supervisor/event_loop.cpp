#include "supervisor/event_loop.h"

#include <kj/exception.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <systemd/sd-event.h>

#include <cerrno>
#include <exception>
#include <utility>

#include "config/log.h"

namespace tv::supervisor {
namespace {

void run_guarded(const EventLoop::Callback& callback) {
  try {
    callback();
  } catch (const kj::Exception& e) {
    log::error("internal error", {{"cause", e.getDescription().cStr()}});
  } catch (const std::exception& e) {
    log::error("internal error", {{"cause", e.what()}});
  }
}

}  // namespace

struct Source::State {
  // Shared with the dispatching frame, so that a callback may destroy its own source.
  std::shared_ptr<EventLoop::Callback> callback;
  sd_event_source* source = nullptr;

  static int dispatch(void* userdata) {
    auto callback = static_cast<State*>(userdata)->callback;
    run_guarded(*callback);
    return 0;
  }
};

void Source::Stop::operator()(State* state) const {
  if (state->source) sd_event_source_disable_unref(state->source);
  delete state;
}

namespace {

using StatePointer = Source::State*;

int on_io(sd_event_source*, int, std::uint32_t, void* userdata) { return Source::State::dispatch(userdata); }
int on_time(sd_event_source*, std::uint64_t, void* userdata) { return Source::State::dispatch(userdata); }
int on_signal_info(sd_event_source*, const signalfd_siginfo*, void* userdata) { return Source::State::dispatch(userdata); }

StatePointer new_state(EventLoop::Callback callback) {
  return new Source::State{std::make_shared<EventLoop::Callback>(std::move(callback)), nullptr};
}

}  // namespace

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
  sd_event* event = nullptr;
  int rc = sd_event_new(&event);
  if (rc < 0) return system_error("cannot make an event loop", -rc);
  std::unique_ptr<EventLoop> loop(new EventLoop(event));
  loop->wake_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!loop->wake_) return system_error("cannot make an eventfd", errno);
  loop->woken_ = TV_TRY(loop->watch(loop->wake_.get(), EPOLLIN, [raw = loop.get()] { raw->run_posted(); }));
  return loop;
}

EventLoop::~EventLoop() {
  woken_.reset();
  sd_event_unref(event_);
}

Result<Source> EventLoop::watch(int fd, std::uint32_t events, Callback callback) {
  Source source;
  source.state_.reset(new_state(std::move(callback)));
  int rc = sd_event_add_io(event_, &source.state_->source, fd, events, on_io, source.state_.get());
  if (rc < 0) return system_error("cannot watch a descriptor", -rc);
  return source;
}

Source EventLoop::after(Nanoseconds delay, Callback callback) {
  Source source;
  source.state_.reset(new_state(std::move(callback)));
  auto microseconds = static_cast<std::uint64_t>(delay.count() > 0 ? (delay.count() + 999) / 1000 : 0);
  int rc = sd_event_add_time_relative(event_, &source.state_->source, CLOCK_MONOTONIC, microseconds, 1000, on_time, source.state_.get());
  TV_ASSERT(rc >= 0);
  return source;
}

Result<Source> EventLoop::on_signal(int number, Callback callback) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  if (int err = ::pthread_sigmask(SIG_BLOCK, &set, nullptr)) return system_error("cannot block a signal", err);
  Source source;
  source.state_.reset(new_state(std::move(callback)));
  int rc = sd_event_add_signal(event_, &source.state_->source, number, on_signal_info, source.state_.get());
  if (rc < 0) return system_error("cannot watch a signal", -rc);
  return source;
}

void EventLoop::post(Callback callback) {
  posted_.push_back(std::move(callback));
  if (posted_.size() == 1) TV_ASSERT(::eventfd_write(wake_.get(), 1) == 0);
}

void EventLoop::run_posted() {
  eventfd_t count;
  (void)::eventfd_read(wake_.get(), &count);
  auto posted = std::exchange(posted_, {});  // what these post runs in the next turn, after other events
  for (const auto& callback : posted) run_guarded(callback);
}

void EventLoop::feed_watchdog() {
  int rc = sd_event_set_watchdog(event_, 1);
  if (rc < 0) log::warning("watchdog not fed", {{"cause", system_error("sd_event_set_watchdog", -rc).message}});
}

Result<void> EventLoop::run() {
  int rc = sd_event_loop(event_);
  if (rc < 0) return system_error("the event loop failed", -rc);
  return {};
}

void EventLoop::quit() { sd_event_exit(event_, 0); }

}  // namespace tv::supervisor
