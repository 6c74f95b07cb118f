#include "worker/health_checks.h"

#include "config/units.h"

namespace tv::worker {

std::optional<Health> HealthChecks::checked(Health said, std::int64_t began_ns, std::int64_t ended_ns) {
  due_ns_ = ended_ns + plan_.period.count();
  Nanoseconds took{ended_ns - began_ns};
  if (took > plan_.timeout)
    said = Health::unhealthy("its check took " + config::format_duration(took) + ", which is longer than health.timeout (" +
                             config::format_duration(plan_.timeout) + ")");
  if (!said.healthy && said.reason.empty()) said.reason = "it gives no reason";
  failed_ = said.healthy ? 0 : failed_ + 1;
  if (!said.healthy && failed_ < plan_.failures) return std::nullopt;
  bool news = !told_ || told_->healthy != said.healthy || told_->reason != said.reason;
  if (said.healthy) said.reason.clear();
  if (!news) return std::nullopt;
  told_ = said;
  return said;
}

}  // namespace tv::worker
