// CallRates: whether a client sends this worker more calls than [clients] calls_per_second allows. Pure: the caller brings the clock.
//
// Calls travel through rings that the supervisor does not see, and a client's library could be any: so it is the receiver that counts, by
// the ring that a call lies in. (A program that writes into other clients' rings is beyond what the arena keeps apart; shm/README.md.) One
// thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "config/ids.h"
#include "config/limits.h"

namespace tv::worker {

// As the supervisor says (spawn.capnp).
struct ClientCalls {
  ParticipantId first = 0;       // participants from here on are clients
  std::uint32_t per_second = 0;  // of each; 0: no limit
};

class CallRates {
 public:
  explicit CallRates(ClientCalls limit) : limit_(limit), gap_ns_(limit.per_second == 0 ? 0 : kSecondNs / limit.per_second) {}

  // Counts a call of `from` at `now_ns`. False when it is beyond what the last second and a burst of as many allow; it is not counted then.
  bool take(ParticipantId from, std::int64_t now_ns) {
    if (limit_.per_second == 0 || from < limit_.first || from >= due_ns_.size()) return true;
    std::int64_t due = std::max(due_ns_[from], now_ns);
    if (due - now_ns > kSecondNs - gap_ns_) return false;
    due_ns_[from] = due + gap_ns_;
    return true;
  }

 private:
  static constexpr std::int64_t kSecondNs = 1'000'000'000;

  const ClientCalls limit_;
  const std::int64_t gap_ns_;
  // By client: when its calls would end if they came gap_ns_ apart. A second ahead at most.
  std::array<std::int64_t, limits::kMaxParticipants> due_ns_{};
};

}  // namespace tv::worker
