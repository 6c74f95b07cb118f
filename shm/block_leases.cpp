#include "shm/block_leases.h"

#include <algorithm>
#include <string>

#include "shm/doorbell.h"

namespace tv::shm {

BlockLeases::BlockLeases(const Arena& arena, ParticipantId self)
    : arena_(arena),
      self_(self),
      // The supervisor only winds up what the dead have left.
      most_kept_(self == kSupervisor ? 0 : std::min(limits::kMaxKeptBlocks, arena.geometry().blocks / limits::kKeptShare)) {}

// Asked each time: the supervisor says what a participant is before the participant begins, but may say it again for the next one.
BlockLeases::Range BlockLeases::range() const {
  const Geometry& g = arena_.geometry();
  auto kind = static_cast<ParticipantKind>(arena_.participant(self_).kind.load(std::memory_order_relaxed));
  if (kind == ParticipantKind::kClient) return {g.worker_blocks(), g.blocks};
  return {0, g.worker_blocks()};
}

Result<std::uint32_t> BlockLeases::lease(std::uint32_t count) {
  std::uint32_t first = 0;
  if (take_kept(count, first)) return first;
  if (most_ != 0 && leased_ + count > most_) trim();
  if (most_ != 0 && leased_ + count > most_) return over_limit(count);
  bool found = count == 1 ? find_single(first) : find_run(count, first);
  if (!found && !kept_.empty()) {
    // What we keep may be what is missing between two free blocks.
    trim();
    found = count == 1 ? find_single(first) : find_run(count, first);
  }
  if (!found) return full(count);
  if (auto usable = make_usable(first, count); !usable) {
    unlease(first, count);
    return usable.error();
  }
  return first;
}

void BlockLeases::set_kind(std::uint32_t block, BlockKind kind, std::uint16_t size_class) {
  arena_.block_word(block).store({static_cast<std::uint8_t>(self_ + 1), kind, size_class, 1, {}}, std::memory_order_release);
}

void BlockLeases::give_up(std::uint32_t first, std::uint32_t count) {
  if (count > most_kept_ || arena_.header().wanted_bytes.load(std::memory_order_relaxed) != 0) return give_back(first, count);
  for (std::uint32_t i = 0; i < count; ++i) set_kind(first + i, BlockKind::kNone);
  kept_.push_back({first, count});
  kept_blocks_ += count;
  while (kept_blocks_ > most_kept_) {
    Run oldest = kept_.front();
    kept_.erase(kept_.begin());
    kept_blocks_ -= oldest.count;
    give_back(oldest.first, oldest.count);
  }
}

void BlockLeases::give_back(std::uint32_t first, std::uint32_t count) {
  unlease(first, count);
  announce_room(arena_);
}

void BlockLeases::trim(std::uint32_t most) {
  bool any = false;
  while (kept_blocks_ > most) {
    Run oldest = kept_.front();
    kept_.erase(kept_.begin());
    kept_blocks_ -= oldest.count;
    unlease(oldest.first, oldest.count);
    any = true;
  }
  if (any) announce_room(arena_);
}

bool BlockLeases::take_kept(std::uint32_t count, std::uint32_t& first) {
  // The newest of the right length first: its memory is the most likely to be in the caches.
  auto run = std::find_if(kept_.rbegin(), kept_.rend(), [count](const Run& kept) { return kept.count == count; });
  if (run == kept_.rend()) run = std::find_if(kept_.rbegin(), kept_.rend(), [count](const Run& kept) { return kept.count > count; });
  if (run == kept_.rend()) return false;
  first = run->first;
  kept_blocks_ -= count;
  if (run->count == count) {
    kept_.erase(std::next(run).base());
  } else {
    run->first += count;
    run->count -= count;
  }
  return true;
}

bool BlockLeases::find_single(std::uint32_t& block) {
  auto [begin, end] = range();
  for (std::uint32_t b = std::max(begin, singles_from_); b < end; ++b) {
    if (arena_.block_word(b).load(std::memory_order_relaxed).owner_plus_1 != 0 || !try_lease(b, 1)) continue;
    block = b;
    singles_from_ = b + 1;
    return true;
  }
  // Others give back where we do not look: once more from the beginning.
  if (singles_from_ <= begin) return false;
  singles_from_ = begin;
  return find_single(block);
}

bool BlockLeases::find_run(std::uint32_t count, std::uint32_t& first) {
  auto [begin, end] = range();
  std::uint32_t run = 0;
  for (std::uint32_t b = end; b-- > begin;) {
    run = arena_.block_word(b).load(std::memory_order_relaxed).owner_plus_1 == 0 ? run + 1 : 0;
    if (run < count) continue;
    if (try_lease(b, count)) {
      first = b;
      return true;
    }
    run = 0;
  }
  return false;
}

bool BlockLeases::try_lease(std::uint32_t first, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) {
    auto& word = arena_.block_word(first + i);
    BlockWord before = word.load(std::memory_order_relaxed);
    BlockWord ours{static_cast<std::uint8_t>(self_ + 1), BlockKind::kNone, 0, before.backed, {}};
    if (before.owner_plus_1 == 0 && word.compare_exchange_strong(before, ours, std::memory_order_acq_rel)) continue;
    for (std::uint32_t taken = 0; taken < i; ++taken) {
      auto& back = arena_.block_word(first + taken);
      BlockWord free{};
      free.backed = back.load(std::memory_order_relaxed).backed;
      back.store(free, std::memory_order_release);
    }
    return false;
  }
  leased_ += count;
  return true;
}

// Writable first, then populated through our own mapping: so the memory is there, and in huge pages where there are any.
Result<void> BlockLeases::make_usable(std::uint32_t first, std::uint32_t count) {
  std::uint64_t offset = arena_.block_offset(first);
  std::uint64_t bytes = std::uint64_t{count} * limits::kBlockBytes;
  TV_TRY(arena_.allow_writing(offset, bytes, true));
  TV_TRY(arena_.populate(offset, bytes));
  for (std::uint32_t i = 0; i < count; ++i) set_kind(first + i, BlockKind::kNone);
  return {};
}

void BlockLeases::unlease(std::uint32_t first, std::uint32_t count) {
  leased_ -= std::min(leased_, count);  // the supervisor also gives back what it has adopted
  (void)arena_.allow_writing(arena_.block_offset(first), std::uint64_t{count} * limits::kBlockBytes, false);
  for (std::uint32_t i = 0; i < count; ++i) {
    auto& word = arena_.block_word(first + i);
    BlockWord free{};
    free.backed = word.load(std::memory_order_relaxed).backed;
    word.store(free, std::memory_order_release);
  }
  singles_from_ = std::min(singles_from_, first);
}

Error BlockLeases::full(std::uint32_t count) const {
  auto [begin, end] = range();
  std::uint64_t wanted = std::uint64_t{count} * limits::kBlockBytes >> 20;
  std::uint64_t all = std::uint64_t{end - begin} * limits::kBlockBytes >> 20;
  const char* key = begin == 0 ? "[arena] size" : "[arena] clients";
  if (all == 0) return Error{Errc::kArenaFull, "the arena has no room for clients' tensors; raise [arena] clients"};
  return Error{Errc::kArenaFull, "the arena is full: no " + std::to_string(wanted) + " MiB in one piece are left of " +
                                     std::to_string(all) + " MiB (" + key + ")"};
}

Error BlockLeases::over_limit(std::uint32_t count) const {
  auto mib = [](std::uint64_t blocks) { return std::to_string(blocks * limits::kBlockBytes >> 20) + " MiB"; };
  return Error{Errc::kOverloaded, "this client has " + mib(leased_) + " of the arena, and " + mib(count) + " more are beyond the " + mib(most_) +
                                      " that [clients] bytes allows each; let go of tensors, or wait until others have let go of them"};
}

void announce_room(const Arena& arena) {
  ArenaHeader& header = arena.header();
  if (header.room_waiters.load(std::memory_order_seq_cst) == 0) return;
  header.room_waiters.store(0, std::memory_order_relaxed);
  header.room.fetch_add(1, std::memory_order_seq_cst);
  futex_wake(header.room, 1 << 20);
}

}  // namespace tv::shm
