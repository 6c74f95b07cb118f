#include "supervisor/recovery.h"

#include "config/log.h"

namespace tv::supervisor {
namespace {

constexpr Nanoseconds kTick = 100ms;

}  // namespace

void Recovery::clean_up(ParticipantId dead, std::span<const ActorId> actors, const std::string& who, const std::string& cause) {
  std::int64_t began = monotonic_ns();
  auto report = custody_.recover(dead, actors, cause);
  log::info("arena cleaned up", {{"after", who},
                                 {"participant", dead},
                                 {"objects_freed", report.objects_freed},
                                 {"blocks_freed", report.blocks_freed},
                                 {"blocks_adopted", report.blocks_adopted},
                                 {"mail_kept", report.mail_kept},
                                 {"us", (monotonic_ns() - began) / 1000}});
  start_ticking();
}

void Recovery::take_over(std::span<const ActorId> not_running) {
  std::int64_t began = monotonic_ns();
  auto report = custody_.take_over(not_running);
  log::info("arena taken over", {{"objects_freed", report.objects_freed},
                                 {"blocks_freed", report.blocks_freed},
                                 {"mail_kept", report.mail_kept},
                                 {"us", (monotonic_ns() - began) / 1000}});
  start_ticking();
}

void Recovery::start_ticking() {
  if (!timer_) timer_ = loop_.after(kTick, [this] { tick(); });
}

void Recovery::tick() {
  timer_.reset();
  bool mail = custody_.settle();
  store_->collect();
  bool more = more_();
  if (mail || more) start_ticking();
}

}  // namespace tv::supervisor
