#include "tests/simulator/stage.h"

#include <algorithm>

namespace tv::simulator {
namespace {

constexpr std::uint64_t kMostEvents = 400'000;
constexpr int kMostAtOneMoment = 2'000;

std::string time_text(std::int64_t ns) { return std::to_string((ns - 3'600'000'000'000) / 1000) + " us"; }

}  // namespace

void Stage::add(Nanoseconds delay, std::function<void()> run, bool background) {
  if (!background) ++in_the_foreground_;
  events_.push_back({now_ + std::max<std::int64_t>(delay.count(), 0), ++order_, std::move(run), background});
  std::push_heap(events_.begin(), events_.end());
}

bool Stage::step() {
  if (in_the_foreground_ == 0) return false;
  std::pop_heap(events_.begin(), events_.end());
  auto event = std::move(events_.back());
  events_.pop_back();
  if (!event.background) --in_the_foreground_;
  // What was due while the machine was frozen comes all at once, and is no loop.
  bool moves = event.at != now_;
  now_ = std::max(now_, event.at);
  steps_at_this_moment_ = moves ? 0 : steps_at_this_moment_ + 1;
  if (steps_at_this_moment_ > kMostAtOneMoment) complain("it is busy, and the clock does not move");
  if (++outcome.steps > kMostEvents) complain("it does not settle: " + std::to_string(kMostEvents) + " events");
  event.run();
  return true;
}

void Stage::freeze(Nanoseconds duration) {
  note("the machine is frozen for " + std::to_string(duration.count() / 1'000'000) + " ms");
  now_ += duration.count();
  frozen_ += duration.count();
}

void Stage::note(std::string what) { outcome.trace.push_back(time_text(now_) + ": " + std::move(what)); }

void Stage::complain(const std::string& what) {
  if (!well()) return;
  outcome.violation = what;
  note("VIOLATION: " + what);
}

bool Stage::fault() {
  if (calm_ || outcome.faults >= max_faults_) return false;
  ++outcome.faults;
  return true;
}

}  // namespace tv::simulator
