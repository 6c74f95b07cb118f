#include "worker/context.h"

#include <algorithm>

#include "shm/running.h"

namespace tv::worker {
ActorContext::ActorContext(const Services& services, std::string name, ActorId id, Incarnation incarnation, Arguments args,
                           std::function<Result<void>()> commit)
    : services_(services),
      directory_(services.store->arena()),
      named_(services.store, services.control),
      name_(std::move(name)),
      id_(id),
      incarnation_(incarnation),
      args_(args),
      commit_(std::move(commit)) {}

std::uint64_t ActorContext::version(const std::string& name) const {
  auto found = directory_.find_name(name);
  return found ? found->version : 0;
}

void ActorContext::extend_watchdog(Nanoseconds duration) {
  constexpr Nanoseconds kLongest = 24h;
  shm::Word& word = services_.store->arena()->cell(id_).running;
  auto running = shm::unpack_running(word.load(std::memory_order_relaxed));
  if (running.doing == shm::Doing::kNothing) return;
  running.until_ns = std::max(running.until_ns, Deadline::in(std::clamp(duration, Nanoseconds{0}, kLongest)).ns);
  word.store(pack(running), std::memory_order_relaxed);
}

void ActorContext::log(log::Level level, std::string_view event, std::initializer_list<log::Field> fields) {
  // An initializer_list cannot grow: the actor's name stands in the event's text.
  log::event(level, name_ + ": " + std::string(event), fields);
}

}  // namespace tv::worker
