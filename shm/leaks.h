// Leaks: sealed and failed objects that are old and that nothing explains. What explains an object: a name, the committed state of an
// actor, unread mail, or whoever else says so (dead letters). What is left is held by some process's memory alone: by a variable of an
// actor, which may be right, or by one that was forgotten.
//
// Reads only, but for a hold on each manifest while it is read. Memory: a bit an object and a bounded list of groups.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "shm/store.h"

namespace tv::shm {

using Explain = std::function<void(Handle handle, const std::string& why)>;
// Calls `explain` with every handle that something in the arena explains; handles may be stale, or come more than once.
void for_each_explained(Store& store, const Explain& explain);

// Objects that the same participants hold and the same actor method of the same incarnation made.
struct LeakGroup {
  std::uint64_t holders = 0;
  ParticipantId creator = 0;
  Incarnation incarnation = 0;
  ActorId creator_actor = kNoActor;
  std::string label;
  std::uint64_t objects = 0;
  std::uint64_t bytes = 0;
  std::int64_t oldest_ns = 0;  // CLOCK_MONOTONIC
  Handle oldest;
};
struct LeakReport {
  std::vector<LeakGroup> groups;  // most bytes first; at most kMaxLeakGroups
  std::uint64_t objects = 0;      // in all groups, those left out included
  std::uint64_t bytes = 0;
};
inline constexpr std::size_t kMaxLeakGroups = 1000;

// Of those that were made before `before_ns`. `more`: explains what else is known to have its reason.
LeakReport find_leaks(Store& store, std::int64_t before_ns, const std::function<void(const Explain&)>& more = {});

}  // namespace tv::shm
