#include "supervisor/worker_state.h"

#include <set>

#include "tests/support/catch.h"

using namespace tv::supervisor;
using S = WorkerState;
using E = WorkerEvent;

namespace {

S after(S state, std::initializer_list<E> events) {
  for (auto event : events) state = next_step(state, event).next;
  return state;
}

template <class Visit>
void each_pair(Visit visit) {
  for (std::size_t s = 0; s < kWorkerStates; ++s)
    for (std::size_t e = 0; e < kWorkerEvents; ++e) visit(static_cast<S>(s), static_cast<E>(e));
}

}  // namespace

TEST_CASE("a worker that is started gets a process, an assignment, and is ready when it says so", "[worker_state]") {
  CHECK(next_step(S::kStopped, E::kStart).actions == kAcquire);
  CHECK(next_step(S::kForking, E::kProcess).actions == (kAssign | kArmStart));
  CHECK(after(S::kStopped, {E::kStart, E::kProcess, E::kReady}) == S::kReady);
  CHECK(next_step(S::kStarting, E::kReady).actions == (kDisarm | kReportReady));
}

TEST_CASE("a death leads to a fork at once, to a fork after the backoff, or to failed", "[worker_state]") {
  for (auto state : {S::kStarting, S::kReady}) {
    CHECK(after(state, {E::kDeathNow}) == S::kForking);
    CHECK(after(state, {E::kDeathLater}) == S::kBackoff);
    CHECK(after(state, {E::kDeathLater, E::kBackoffOver}) == S::kForking);
    CHECK(after(state, {E::kDeathGiveUp}) == S::kFailed);
  }
}

TEST_CASE("a stop asks first and kills when the grace is over", "[worker_state]") {
  for (auto state : {S::kStarting, S::kReady}) {
    auto step = next_step(state, E::kStop);
    CHECK(step.next == S::kStopping);
    CHECK(step.actions == (kDisarm | kSendStop | kArmGrace));
  }
  CHECK(next_step(S::kStopping, E::kGraceOver).actions == kKill);
  for (auto death : {E::kDeathNow, E::kDeathLater, E::kDeathGiveUp}) CHECK(after(S::kStopping, {death}) == S::kStopped);
}

TEST_CASE("a stop of a worker without a process takes effect at once", "[worker_state]") {
  for (auto state : {S::kForking, S::kBackoff, S::kFailed}) {
    auto step = next_step(state, E::kStop);
    CHECK(step.next == S::kStopped);
    CHECK((step.actions & kReportStopped) != 0);
  }
  CHECK((next_step(S::kForking, E::kStop).actions & kCancel) != 0);
}

TEST_CASE("a restart stops in order, starts again and forgets earlier deaths", "[worker_state]") {
  CHECK(after(S::kReady, {E::kRestart, E::kDeathGiveUp, E::kProcess, E::kReady}) == S::kReady);
  CHECK((next_step(S::kReady, E::kRestart).actions & (kForgive | kSendStop)) == (kForgive | kSendStop));
  CHECK(next_step(S::kFailed, E::kRestart).actions == (kForgive | kAcquire));
  CHECK(after(S::kBackoff, {E::kRestart}) == S::kForking);
  CHECK(after(S::kReady, {E::kRestart, E::kStop, E::kDeathNow}) == S::kStopped);
  CHECK(after(S::kReady, {E::kStop, E::kStart, E::kDeathNow}) == S::kForking);
}

TEST_CASE("a worker that does not start in time is killed, and its death decides", "[worker_state]") {
  auto step = next_step(S::kStarting, E::kStartTimeout);
  CHECK(step.next == S::kStarting);
  CHECK(step.actions == kKill);
}

TEST_CASE("a process that arrives when none is wanted is discarded, never lost", "[worker_state]") {
  each_pair([](S state, E event) {
    if (event != E::kProcess) return;
    auto actions = next_step(state, event).actions;
    INFO(state_name(state));
    CHECK((actions == (kAssign | kArmStart)) == (state == S::kForking));
    CHECK((actions == kDiscard) == (state != S::kForking));
  });
}

TEST_CASE("every state with a timer arms it on entry and every way out of it disarms", "[worker_state]") {
  const std::set<S> timed = {S::kStarting, S::kBackoff, S::kStopping, S::kCycling};
  each_pair([&](S state, E event) {
    auto step = next_step(state, event);
    bool own_timer = event == E::kBackoffOver || event == E::kStartTimeout || event == E::kGraceOver;
    INFO(state_name(state) << " " << static_cast<int>(event) << " -> " << state_name(step.next));
    bool same_timer = (state == S::kStopping && step.next == S::kCycling) || (state == S::kCycling && step.next == S::kStopping);
    if (timed.contains(state) && step.next != state && !own_timer && !same_timer) CHECK((step.actions & kDisarm) != 0);
    if (timed.contains(step.next) && step.next != state && !same_timer)
      CHECK((step.actions & (kArmStart | kArmGrace | kArmBackoff)) != 0);
  });
}

TEST_CASE("a process is asked for exactly on entry to forking", "[worker_state]") {
  each_pair([](S state, E event) {
    auto step = next_step(state, event);
    INFO(state_name(state) << " " << static_cast<int>(event));
    CHECK(((step.actions & kAcquire) != 0) == (step.next == S::kForking && state != S::kForking));
  });
}

TEST_CASE("shutdown reaches stopped from everywhere, with at most one death", "[worker_state]") {
  each_pair([](S state, E event) {
    if (event != E::kStop) return;
    S stopped = after(state, {E::kStop});
    if (has_process(stopped)) stopped = after(stopped, {E::kGraceOver, E::kDeathNow});
    CHECK(stopped == S::kStopped);
  });
}
