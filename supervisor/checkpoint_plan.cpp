#include "supervisor/checkpoint_plan.h"

#include <algorithm>
#include <utility>

#include "config/config.h"
#include "supervisor/restart_policy.h"

namespace tv::supervisor {
namespace {

// Between attempts at a disk that does not take it.
constexpr config::Backoff kBackoff{.min = 1s, .max = 60s, .factor = 2.0, .reset = 0s, .intensity = 0, .period = 0s};

// "No space left on device" of "cannot write /a/b: No space left on device": the same for every actor.
std::string cause_in(const std::string& error) {
  auto at = error.rfind(": ");
  return at == std::string::npos ? error : error.substr(at + 2);
}

}  // namespace

std::optional<std::uint64_t> newest_undamaged(std::span<const std::uint64_t> generations, const std::function<bool(std::uint64_t)>& damaged) {
  auto found = std::find_if_not(generations.rbegin(), generations.rend(), damaged);
  return found == generations.rend() ? std::nullopt : std::optional(*found);
}

void CheckpointPlan::look(ActorId id, std::uint64_t committed, std::uint64_t commits) {
  Actor& actor = actors_.at(id);
  bool waited = actor.pending();
  actor.seen = committed;
  actor.seen_commits = commits;
  if (!waited && actor.pending()) actor.waiting_since = ++looks_;
}

void CheckpointPlan::restored(ActorId id, std::uint64_t committed, const CheckpointState& on_disk) {
  Actor& actor = actors_.at(id);
  actor.seen = actor.on_disk = committed;
  actor.state.generation = on_disk.generation;
  actor.state.commit = on_disk.commit;
  actor.state.time_ns = on_disk.time_ns;
  actor.state.bytes = on_disk.bytes;
}

void CheckpointPlan::hurry(ActorId id) {
  actors_.at(id).not_before_ns = 0;
  actors_.at(id).hurried = at_hand_ == id;
}

void CheckpointPlan::last_chance() {
  for (auto& [id, actor] : actors_) {
    actor.not_before_ns = 0;
    actor.failures_in_a_row = 0;
    actor.hurried = at_hand_ == id;
  }
}

std::optional<CheckpointPlan::Write> CheckpointPlan::next(std::int64_t now_ns) {
  if (at_hand_) return std::nullopt;
  const std::pair<const ActorId, Actor>* first = nullptr;
  for (const auto& entry : actors_) {
    const Actor& actor = entry.second;
    if (!actor.pending() || actor.not_before_ns > now_ns) continue;
    if (!first || actor.waiting_since < first->second.waiting_since) first = &entry;
  }
  if (!first) return std::nullopt;
  at_hand_ = first->first;
  actors_.at(*at_hand_).ordered = first->second.seen;
  return Write{first->first, first->second.seen_commits == first->second.disk_commits};
}

std::optional<std::int64_t> CheckpointPlan::due_ns() const {
  std::optional<std::int64_t> due;
  for (const auto& [id, actor] : actors_)
    if (actor.pending()) due = std::min(due.value_or(actor.not_before_ns), actor.not_before_ns);
  return due;
}

bool CheckpointPlan::waiting() const {
  return std::any_of(actors_.begin(), actors_.end(), [](const auto& entry) { return entry.second.pending() && entry.second.failures_in_a_row == 0; });
}

CheckpointPlan::Actor& CheckpointPlan::done_with(std::int64_t now_ns) {
  Actor& actor = actors_.at(*at_hand_);
  at_hand_.reset();
  actor.not_before_ns = std::exchange(actor.hurried, false) ? 0 : now_ns + min_interval_.count();
  actor.failures_in_a_row = 0;
  actor.state.error.clear();
  actor.state.error_ns = 0;
  actor.waiting_since = ++looks_;
  return actor;
}

void CheckpointPlan::written(const Done& done, bool changed, std::int64_t now_ns) {
  Actor& actor = done_with(now_ns);
  // Those between the last one and this one were never on disk. A restored state may bring the same number again.
  if (changed && done.commit > actor.disk_commits + 1) actor.state.skipped += done.commit - actor.disk_commits - 1;
  if (changed) ++actor.state.written;
  actor.on_disk = done.committed;
  // The writer may have found a newer one than we had seen.
  if (actor.seen == actor.ordered) actor.seen = done.committed;
  actor.disk_commits = std::max(actor.disk_commits, done.commit);
  actor.seen_commits = std::max(actor.seen_commits, done.commit);
  actor.state.generation = done.generation;
  actor.state.commit = actor.disk_commits;
  actor.state.time_ns = done.time_ns;
  actor.state.bytes = done.bytes;
}

void CheckpointPlan::nothing(std::int64_t now_ns) {
  Actor& actor = done_with(now_ns);
  actor.on_disk = actor.seen;
}

bool CheckpointPlan::failed(const std::string& why, std::int64_t now_ns, std::int64_t realtime_ns) {
  ActorId id = *at_hand_;
  at_hand_.reset();
  bool known = std::any_of(actors_.begin(), actors_.end(), [&](const auto& entry) {
    return !entry.second.state.error.empty() && cause_in(entry.second.state.error) == cause_in(why);
  });
  Actor& actor = actors_.at(id);
  ++actor.state.failures;
  // The second attempt waits already: a full disk is not empty a moment later. An attempt that somebody wants is still to come.
  if (std::exchange(actor.hurried, false)) actor.not_before_ns = 0;
  else actor.not_before_ns = now_ns + delay_before(kBackoff, ++actor.failures_in_a_row + 1).count();
  actor.waiting_since = ++looks_;
  actor.state.error = why;
  actor.state.error_ns = realtime_ns;
  return !known;
}

std::size_t CheckpointPlan::failing() const {
  return static_cast<std::size_t>(
      std::count_if(actors_.begin(), actors_.end(), [](const auto& entry) { return !entry.second.state.error.empty(); }));
}

}  // namespace tv::supervisor
