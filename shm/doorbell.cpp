#include "shm/doorbell.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <cerrno>

#include "shm/mailbox.h"
#include "shm/pause.h"

namespace tv::shm {
namespace {

static_assert(std::endian::native == std::endian::little, "the low half of a word is at its address");

bool wait_at(const void* address, std::uint32_t expected, Deadline deadline) {
  timespec until{};
  until.tv_sec = deadline.ns / 1'000'000'000;
  until.tv_nsec = deadline.ns % 1'000'000'000;
  // FUTEX_WAIT_BITSET takes an absolute CLOCK_MONOTONIC time. Not the PRIVATE kind: the word is shared between processes.
  long result = ::syscall(SYS_futex, address, FUTEX_WAIT_BITSET, expected, &until, nullptr, FUTEX_BITSET_MATCH_ANY);
  return !(result != 0 && errno == ETIMEDOUT);
}

// Whoever is to ring may be waiting for this core: it rings now, without having to wake us, and goes on ringing for a burst. Where others use
// the core, too, that costs their time slice: then it is left alone, for longer each time.
void give_way() {
  constexpr std::int64_t kTooLongNs = 200'000;
  constexpr int kMaxRest = 1024;
  thread_local int rest = 0;
  thread_local int next_rest = 16;
  if (rest > 0) {
    --rest;
    return;
  }
  std::int64_t began = monotonic_ns();
  ::sched_yield();
  if (monotonic_ns() - began < kTooLongNs) {
    next_rest = 16;
  } else {
    rest = next_rest;
    next_rest = next_rest * 2 < kMaxRest ? next_rest * 2 : kMaxRest;
  }
}

void wake_at(const void* address, int count) { ::syscall(SYS_futex, address, FUTEX_WAKE, count, nullptr, nullptr, 0); }

}  // namespace

bool futex_wait(const HalfWord& word, std::uint32_t expected, Deadline deadline) { return wait_at(&word, expected, deadline); }
bool futex_wait(const Word& word, std::uint32_t expected_low, Deadline deadline) { return wait_at(&word, expected_low, deadline); }
void futex_wake(const HalfWord& word, int count) { wake_at(&word, count); }
void futex_wake(const Word& word, int count) { wake_at(&word, count); }

void ring_doorbell(const Arena& arena, ParticipantId to, ParticipantId from) {
  DoorbellLine& line = arena.participant(reader_of(arena, to)).doorbell;
  // Rung already and not yet taken: the owner will look after it has taken the bit, and finds what we have stored. Whoever set the bit
  // wakes the owner. So a burst costs one write of the owner's line, not one a message.
  if ((line.rung.load(std::memory_order_seq_cst) & bit(from)) != 0) return;
  ring_for_dead(arena, to, from);
}

void ring_for_dead(const Arena& arena, ParticipantId to, ParticipantId from) {
  DoorbellLine& line = arena.participant(reader_of(arena, to)).doorbell;
  // Sequentially consistent with the owner's store of `sleeping` and its look at `rung`: one of the two sees the other.
  line.rung.fetch_or(bit(from), std::memory_order_seq_cst);
  if (line.sleeping.load(std::memory_order_seq_cst) == 0) return;
  line.bell.fetch_add(1, std::memory_order_seq_cst);
  futex_wake(line.bell, 1);
}

std::uint64_t wait_doorbell(const Arena& arena, ParticipantId self, Deadline deadline, Nanoseconds spin) {
  DoorbellLine& line = arena.participant(self).doorbell;
  if (line.rung.load(std::memory_order_seq_cst) != 0) return line.rung.exchange(0, std::memory_order_seq_cst);
  if (spin.count() > 0) {
    for (Deadline until = Deadline::in(spin); !until.passed();) {
      for (int i = 0; i < 64; ++i) {
        if (line.rung.load(std::memory_order_relaxed) != 0) return line.rung.exchange(0, std::memory_order_seq_cst);
        pause_cpu();
      }
    }
  }
  give_way();
  for (;;) {
    std::uint32_t bell = line.bell.load(std::memory_order_seq_cst);
    line.sleeping.store(1, std::memory_order_seq_cst);
    std::uint64_t rung = line.rung.exchange(0, std::memory_order_seq_cst);
    bool in_time = true;
    if (rung == 0) {
      in_time = futex_wait(line.bell, bell, deadline);
      rung = line.rung.exchange(0, std::memory_order_seq_cst);
    }
    line.sleeping.store(0, std::memory_order_seq_cst);
    if (rung != 0 || !in_time || deadline.passed()) return rung;
  }
}

}  // namespace tv::shm
