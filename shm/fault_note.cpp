#include "shm/fault_note.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>

#include "shm/origin.h"

namespace tv::shm {
namespace {

constexpr std::array kSignals = {SIGSEGV, SIGBUS};
constexpr std::size_t kStackBytes = std::size_t{64} << 10;

// What the handler reads. The slot is written last and cleared first: without it, nothing is noted.
std::atomic<const std::byte*> arena_base{nullptr};
std::atomic<std::uint64_t> arena_bytes{0};
std::atomic<ParticipantSlot*> noted_in{nullptr};
std::array<struct sigaction, kSignals.size()> before;

// A stray write by an overflowing stack must find another one to be noted on.
alignas(64) std::byte signal_stack[kStackBytes];

void note(const void* address) {
  ParticipantSlot* slot = noted_in.load(std::memory_order_acquire);
  if (slot == nullptr) return;
  auto offset = reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(arena_base.load(std::memory_order_relaxed));
  if (offset >= arena_bytes.load(std::memory_order_relaxed)) return;
  slot->fault_actor.store(current_origin().actor, std::memory_order_relaxed);
  slot->fault_address.store(offset + 1, std::memory_order_release);
}

// Returning runs the faulting instruction again, under the handler that was there before us: the kernel's default ends the process with
// this very fault. A signal that somebody sent does not come again by itself.
void hand_on(int number, siginfo_t* info, void* context) {
  const struct sigaction& previous = before[number == SIGSEGV ? 0 : 1];
  if ((previous.sa_flags & SA_SIGINFO) != 0) return previous.sa_sigaction(number, info, context);
  if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) return previous.sa_handler(number);
  ::sigaction(number, &previous, nullptr);
  if (info->si_code <= 0) ::raise(number);
}

void on_fault(int number, siginfo_t* info, void* context) {
  if (info->si_code > 0) note(info->si_addr);
  hand_on(number, info, context);
}

bool is_ours(const struct sigaction& action) { return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == on_fault; }

void install(std::size_t i, Handlers handlers) {
  struct sigaction present {};
  if (::sigaction(kSignals[i], nullptr, &present) != 0 || is_ours(present)) return;
  bool none = (present.sa_flags & SA_SIGINFO) == 0 && present.sa_handler == SIG_DFL;
  if (handlers == Handlers::kIfNone && !none) return;
  before[i] = present;
  struct sigaction ours {};
  ours.sa_sigaction = on_fault;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigemptyset(&ours.sa_mask);
  (void)::sigaction(kSignals[i], &ours, nullptr);
}

void give_signal_stack() {
  stack_t present{};
  if (::sigaltstack(nullptr, &present) != 0 || (present.ss_flags & SS_DISABLE) == 0) return;
  static std::atomic<bool> taken{false};
  if (taken.exchange(true)) return;  // other threads run the handler on their own stacks
  stack_t stack{};
  stack.ss_sp = signal_stack;
  stack.ss_size = sizeof signal_stack;
  (void)::sigaltstack(&stack, nullptr);
}

std::mutex& setting() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace

void note_faults(const Arena& arena, ParticipantId self, Handlers handlers) {
  std::lock_guard lock(setting());
  (void)current_origin();  // this thread's is there before the handler asks for it
  noted_in.store(nullptr, std::memory_order_release);
  arena_base.store(arena.base(), std::memory_order_relaxed);
  arena_bytes.store(arena.geometry().total_bytes, std::memory_order_relaxed);
  noted_in.store(&arena.participant(self), std::memory_order_release);
  give_signal_stack();
  for (std::size_t i = 0; i < kSignals.size(); ++i) install(i, handlers);
}

void forget_faults(const Arena& arena) {
  std::lock_guard lock(setting());
  if (arena_base.load(std::memory_order_relaxed) == arena.base()) noted_in.store(nullptr, std::memory_order_release);
}

std::optional<FaultNote> take_fault_note(const Arena& arena, ParticipantId dead) {
  ParticipantSlot& slot = arena.participant(dead);
  std::uint64_t address = slot.fault_address.exchange(0, std::memory_order_acq_rel);
  if (address == 0 || address > arena.geometry().total_bytes) return std::nullopt;
  return FaultNote{address - 1, slot.fault_actor.load(std::memory_order_relaxed)};
}

}  // namespace tv::shm
