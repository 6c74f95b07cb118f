// What the processes of a storm tell each other beside the arena: who has sent and read how much, who rests, what went wrong.
//
// In memory that survives each of them. One writer a word: the participant, or the driver while that participant is dead.
#pragma once

#include <atomic>
#include <cstdarg>
#include <cstdint>
#include <cstdio>

#include "shm/layout.h"

namespace tv::test {

inline constexpr std::uint32_t kMaxMembers = 16;     // participants 1 to 15
inline constexpr std::uint32_t kMaxLives = 1 << 14;  // of one participant

// Each life of a sender numbers its letters to one receiver from 0.
struct Letters {
  std::uint32_t life = 0;
  std::uint32_t count = 0;
};

struct Ledger {
  // Everybody rests while this is odd, and says so by storing it; then the driver looks at the arena.
  std::atomic<std::uint32_t> rest{0};
  std::atomic<std::uint32_t> stop{0};
  std::atomic<std::uint64_t> messages{0};  // read

  struct Member {
    std::atomic<std::uint32_t> resting{0};
    std::atomic<std::uint32_t> restored{0};  // the life that has the state of the one before
    std::atomic<std::uint64_t> objects{0};   // that it refers to, while it rests
    std::atomic<std::uint64_t> turns{0};
  } members[kMaxMembers];

  // Of one ring.
  struct Ring {
    std::atomic<Letters> read{};                 // up to here; by the receiver
    std::atomic<Letters> withdrawn{};            // the last of which the sender knows that it will not be handled: its number, plus one
    std::atomic<std::uint32_t> forgive{0};       // mail was thrown away; by the driver
    std::atomic<std::uint32_t> sent[kMaxLives];  // [life]: at least; by the sender
  };
  Ring rings[kMaxMembers][kMaxMembers][shm::kLanes];  // [from][to]
  Ring& ring(ParticipantId from, ParticipantId to, shm::Lane lane) { return rings[from][to][static_cast<std::uint32_t>(lane)]; }

  static constexpr std::uint32_t kShown = 20;
  std::atomic<std::uint32_t> violations{0};
  char texts[kShown][200];

  [[gnu::format(printf, 2, 3)]] void violation(const char* format, ...) {
    std::uint32_t n = violations.fetch_add(1);
    if (n >= kShown) return;
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(texts[n], sizeof texts[n], format, arguments);
    va_end(arguments);
  }
};
static_assert(std::atomic<Letters>::is_always_lock_free);

}  // namespace tv::test
