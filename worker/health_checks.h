// HealthChecks: when an actor is asked how it is, and what its answers come to. Pure: the caller brings the clock.
#pragma once

#include <cstdint>
#include <optional>

#include "config/config.h"
#include "worker/actor.h"

namespace tv::worker {

class HealthChecks {
 public:
  HealthChecks() = default;  // never
  // The first check is due at once.
  HealthChecks(const config::HealthCheck& plan, std::int64_t now_ns) : plan_(plan), due_ns_(now_ns) {}

  Deadline due() const { return plan_.period > Nanoseconds{0} ? Deadline::at(due_ns_) : Deadline::never(); }
  // It was asked, and said this. What the actor's health is now, if it is news: after the first answer, when it changes, and
  // when what an unhealthy one suffers from changes.
  std::optional<Health> checked(Health said, std::int64_t began_ns, std::int64_t ended_ns);

 private:
  config::HealthCheck plan_;
  std::int64_t due_ns_ = 0;
  std::uint32_t failed_ = 0;  // in a row
  std::optional<Health> told_;
};

}  // namespace tv::worker
