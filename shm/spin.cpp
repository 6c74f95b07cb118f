#include "shm/spin.h"

#include <unistd.h>

#include <algorithm>

namespace tv::shm {
namespace {

// Gaps beyond this are left to the futex: spinning would take the larger part of a core.
constexpr Nanoseconds kWorthwhile = 50us;
constexpr Nanoseconds kMaxBudget = 2 * kWorthwhile;
// A hiccup of the other side should not end the spinning; less than the last is not worth the two looks at the clock.
constexpr Nanoseconds kMinAfterHit = 20us;
constexpr Nanoseconds kMin = 5us;
// A round trip of two sleepers takes about this long at most; so waits like it may be traffic that would be fast if we spun.
constexpr Nanoseconds kNear = 150us;
constexpr Nanoseconds kIdle = 1ms;
constexpr int kSteady = 16;
constexpr int kMaxPenalty = 1024;

}  // namespace

SpinPolicy SpinPolicy::of_this_process() {
  // Not what this process may run on: one that is pinned to a core of its own waits for others on theirs. Where they share one core, no
  // look ever finds anything, and the policy learns that.
  return SpinPolicy(::sysconf(_SC_NPROCESSORS_ONLN) > 1);
}

void SpinPolicy::waited(Nanoseconds span, bool rang) {
  if (!may_spin_) return;
  if (!rang && span < budget_) return;  // a short deadline says nothing about the traffic
  if (budget_ > 0ns) return rang && span <= budget_ ? hit(span) : miss(span);
  if (!rang || span > kNear) return;
  if (rest_ > 0) {
    --rest_;
    return;
  }
  budget_ = kMaxBudget;
  gap_ = kWorthwhile / 2;
  hits_ = 0;
}

void SpinPolicy::hit(Nanoseconds span) {
  gap_ += (span - gap_) / 4;
  if (gap_ > kWorthwhile) return give_up();
  budget_ = std::clamp(2 * gap_, kMinAfterHit, kMaxBudget);
  if (++hits_ >= kSteady) penalty_ = 1;
}

void SpinPolicy::miss(Nanoseconds span) {
  hits_ = 0;
  budget_ /= 2;
  if (span > kIdle || budget_ < kMin) give_up();
}

void SpinPolicy::give_up() {
  budget_ = 0ns;
  rest_ = penalty_;
  penalty_ = std::min(2 * penalty_, kMaxPenalty);
}

}  // namespace tv::shm
