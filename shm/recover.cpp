#include "shm/recover.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "shm/doorbell.h"

namespace tv::shm {
namespace {

constexpr std::uint64_t kSupervisorOwner = kSupervisor + 1;

// Takes the dead one's bit off every object, and marks what nobody holds any more, whoever left it so.
void clear_bits(const Arena& arena, ParticipantId dead, Custody::Report& report) {
  const std::uint64_t mask = bit(dead);
  for (std::uint32_t c = 0; c < arena.geometry().chunks; ++c) {
    if (arena.chunk(c).owner.load(std::memory_order_acquire) == 0) continue;
    for (std::uint32_t i = 0; i < limits::kSlotsPerChunk; ++i) {
      ObjectSlot& slot = arena.slot(c * limits::kSlotsPerChunk + i);
      std::uint64_t before = slot.holders.load(std::memory_order_acquire);
      if ((before & mask) != 0) {
        before = slot.holders.fetch_and(~mask, std::memory_order_acq_rel);
        ++report.bits_cleared;
      }
      std::uint64_t tag = slot.tag.load(std::memory_order_acquire);
      if (tag_state(tag) == SlotState::kFree) continue;
      if ((before & ~mask) != 0) continue;
      mark_freed(arena, c * limits::kSlotsPerChunk + i);
      ++report.objects_freed;
    }
  }
}

// The same for bits of our own number that an earlier process has set: those that this one does not hold for a reason.
void clear_bits(Store& store, Custody::Report& report) {
  const Arena& arena = *store.arena();
  const std::uint64_t mask = bit(store.self());
  for (std::uint32_t index = 0; index < arena.geometry().slots(); ++index) {
    if (arena.chunk(index / limits::kSlotsPerChunk).owner.load(std::memory_order_acquire) == 0) {
      index += limits::kSlotsPerChunk - 1;
      continue;
    }
    if (store.holds(index)) continue;
    ObjectSlot& slot = arena.slot(index);
    std::uint64_t before = slot.holders.load(std::memory_order_acquire);
    if ((before & mask) != 0) {
      before = slot.holders.fetch_and(~mask, std::memory_order_acq_rel);
      ++report.bits_cleared;
    }
    if ((before & ~mask) != 0 || tag_state(slot.tag.load(std::memory_order_acquire)) == SlotState::kFree) continue;
    mark_freed(arena, index);
    ++report.objects_freed;
  }
}

// Blocks in which objects of the dead one's chunks lie.
std::vector<bool> blocks_in_use(const Arena& arena, std::uint64_t owner) {
  std::vector<bool> used(arena.geometry().blocks);
  for (std::uint32_t c = 0; c < arena.geometry().chunks; ++c) {
    if (arena.chunk(c).owner.load(std::memory_order_acquire) != owner) continue;
    for (std::uint32_t i = 0; i < limits::kSlotsPerChunk; ++i) {
      const ObjectSlot& slot = arena.slot(c * limits::kSlotsPerChunk + i);
      if (tag_state(slot.tag.load(std::memory_order_acquire)) == SlotState::kFree) continue;
      auto place = place_of(arena, slot);
      if (!place) continue;
      for (std::uint32_t n = 0; n < place->blocks(); ++n) used[place->block + n] = true;
    }
  }
  return used;
}

void settle_blocks(const Arena& arena, ParticipantId dead, Custody::Report& report) {
  auto used = blocks_in_use(arena, dead + 1);
  for (std::uint32_t b = 0; b < arena.geometry().blocks; ++b) {
    BlockWord word = arena.block_word(b).load(std::memory_order_acquire);
    if (word.owner_plus_1 != dead + 1) continue;
    if (used[b]) {
      word.owner_plus_1 = kSupervisorOwner;
      ++report.blocks_adopted;
    } else {
      std::uint8_t backed = word.backed;
      word = BlockWord{};
      word.backed = backed;
      ++report.blocks_freed;
    }
    arena.block_word(b).store(word, std::memory_order_release);
  }
}

// Those who wait for what the dead one was to write, or has written without waking them. kNoParticipant: in a chunk of the supervisor's, whose
// objects nobody writes any more, whoever made them.
void end_waits(Store& store, std::uint32_t chunk, ParticipantId dead, const Error& why) {
  const Arena& arena = *store.arena();
  for (std::uint32_t i = 0; i < limits::kSlotsPerChunk; ++i) {
    std::uint32_t index = chunk * limits::kSlotsPerChunk + i;
    ObjectSlot& slot = arena.slot(index);
    if (dead != kNoParticipant && slot.creator != dead) continue;
    if (tag_state(slot.tag.load(std::memory_order_acquire)) == SlotState::kUnsealed) {
      store.fail_for(index, why);
    } else if (slot.waiters.load(std::memory_order_seq_cst) != 0) {
      futex_wake(slot.tag, 1 << 20);
    }
  }
}

// Slots are marked by a bit each, then the chunk, then the owner: the dead one may have stopped after the first or the second.
void mark_chunks(const Arena& arena) {
  for (std::uint32_t c = 0; c < arena.geometry().chunks; ++c) {
    ChunkEntry& chunk = arena.chunk(c);
    if (chunk.owner.load(std::memory_order_acquire) == 0) continue;
    bool any =
        std::any_of(std::begin(chunk.freed), std::end(chunk.freed), [](const Word& w) { return w.load(std::memory_order_acquire) != 0; });
    if (any) arena.freed_chunks(c / 64).fetch_or(std::uint64_t{1} << (c % 64), std::memory_order_seq_cst);
  }
}

Error died(const Arena& arena, ParticipantId dead, const std::string& cause) {
  const ParticipantSlot& slot = arena.participant(dead);
  std::string name(slot.name, ::strnlen(slot.name, sizeof slot.name));
  return Error{Errc::kUnavailable, "its producer \"" + name + "\" died" + (cause.empty() ? "" : ": " + cause)};
}

// What the dead one may have stored without telling anybody: mail, cursors that moved, freed bits.
void announce_for(const Arena& arena, ParticipantId dead) {
  for (ParticipantId p = 0; p < limits::kMaxParticipants; ++p) {
    if (p == dead || arena.participant(p).kind.load(std::memory_order_acquire) == 0) continue;
    arena.participant(p).freed.store(1, std::memory_order_seq_cst);
    bool any = false;
    for (Lane lane : kEveryLane) {
      RingCursors& incoming = arena.ring(p, dead, lane);
      bool made = arena.ring(dead, p, lane).made.load(std::memory_order_acquire) != 0 || incoming.made.load(std::memory_order_acquire) != 0;
      if (!made) continue;
      any = true;
      incoming.space_waiters.store(0, std::memory_order_relaxed);
      futex_wake(incoming.head, 1 << 20);
    }
    if (any) ring_for_dead(arena, p, dead);
  }
  arena.participant(dead).doorbell.sleeping.store(0, std::memory_order_seq_cst);
}

}  // namespace

Custody::Report Custody::recover(ParticipantId dead, std::span<const ActorId> actors, const std::string& cause) {
  TV_ASSERT(dead != kSupervisor && dead < limits::kMaxParticipants);
  const Arena& arena = *store_->arena();
  Report report;
  std::size_t kept_before = mail_.size();
  // First the holds that keep what must outlive the dead one, then the end of its own.
  keep_mail(dead);
  for (ActorId actor : actors) keep_state(actor);
  report.mail_kept = mail_.size() - kept_before;
  clear_bits(arena, dead, report);
  settle_blocks(arena, dead, report);
  for (std::uint32_t c = 0; c < arena.geometry().chunks; ++c) {
    std::uint64_t owner = dead + 1;
    if (!arena.chunk(c).owner.compare_exchange_strong(owner, kSupervisorOwner, std::memory_order_acq_rel)) continue;
    end_waits(*store_, c, dead, died(arena, dead, cause));
    store_->adopt(c);
  }
  mark_chunks(arena);
  arena.participant(kSupervisor).freed.store(1, std::memory_order_seq_cst);
  store_->collect();
  announce_for(arena, dead);
  // The dead one may have waited for room: nobody else would take its wish back. Others who wait say theirs again.
  arena.header().wanted_bytes.store(0, std::memory_order_relaxed);
  announce_room(arena);
  arena.header().restarts.fetch_add(1, std::memory_order_relaxed);
  return report;
}

// Unread mail of the living is held as well: whose it is does not matter to those that read it, and it is let go when it has been read.
Custody::Report Custody::take_over(std::span<const ActorId> actors) {
  const Arena& arena = *store_->arena();
  Report report;
  for (ParticipantId from = 0; from < limits::kMaxParticipants; ++from) keep_mail(from);
  for (ActorId actor : actors) keep_state(actor);
  report.mail_kept = mail_.size();
  clear_bits(*store_, report);
  settle_blocks(arena, kSupervisor, report);
  for (std::uint32_t c = 0; c < arena.geometry().chunks; ++c) {
    if (arena.chunk(c).owner.load(std::memory_order_acquire) != kSupervisorOwner) continue;
    end_waits(*store_, c, kNoParticipant, Error{Errc::kUnavailable, "its producer died, and the supervisor with it"});
    store_->adopt(c);
  }
  mark_chunks(arena);
  arena.participant(kSupervisor).freed.store(1, std::memory_order_seq_cst);
  store_->collect();
  announce_for(arena, kSupervisor);
  announce_room(arena);
  return report;
}

void Custody::keep_mail(ParticipantId from) {
  for (ParticipantId to = 0; to < limits::kMaxParticipants; ++to)
    for (Lane lane : kEveryLane) keep_mail(from, to, lane);
}

void Custody::keep_mail(ParticipantId from, ParticipantId to, Lane lane) {
  for (auto& record : unread_handles(*store_->arena(), from, to, lane)) {
    // Taken into custody at an earlier death of the same participant, and still unread.
    bool kept = std::any_of(mail_.begin(), mail_.end(),
                            [&](const Mail& m) { return m.from == from && m.to == to && m.lane == lane && m.end == record.end; });
    if (kept) continue;
    Mail mail{from, to, lane, record.end, {}};
    for (Handle handle : record.handles)
      if (store_->hold(handle)) mail.handles.push_back(handle);
    if (!mail.handles.empty()) mail_.push_back(std::move(mail));
  }
}

void Custody::keep_state(ActorId actor) {
  KeptState kept{actor, {}};
  // Held until all are: ours may be the only bit, which a supervisor before has set.
  std::optional<Tensor> read;
  if (Handle manifest = committed(*store_->arena(), actor)) {
    if (auto tensor = store_->get(manifest)) {
      auto handles = manifest_handles(*tensor);
      if (handles) kept.handles = *handles;
      kept.handles.push_back(manifest);
      read = std::move(*tensor);
    }
  }
  std::erase_if(kept.handles, [this](Handle handle) { return !store_->hold(handle); });
  release_state(actor);  // of an earlier death; after the hold, for it may be the same commit
  if (!kept.handles.empty()) states_.push_back(std::move(kept));
}

bool Custody::settle() {
  std::erase_if(mail_, [this](const Mail& mail) {
    if (store_->arena()->ring(mail.from, mail.to, mail.lane).head.load(std::memory_order_acquire) < mail.end) return false;
    for (Handle handle : mail.handles) store_->drop(handle);
    return true;
  });
  return !mail_.empty();
}

void Custody::release_state(ActorId actor) {
  std::erase_if(states_, [&](const KeptState& kept) {
    if (kept.actor != actor) return false;
    for (Handle handle : kept.handles) store_->drop(handle);
    return true;
  });
}

void Custody::discard_inbox(ParticipantId receiver) {
  const Arena& arena = *store_->arena();
  for (ParticipantId from = 0; from < limits::kMaxParticipants; ++from) {
    for (Lane lane : kEveryLane) {
      RingCursors& ring = arena.ring(from, receiver, lane);
      if (ring.made.load(std::memory_order_acquire) == 0) continue;
      ring.head.store(ring.tail.load(std::memory_order_acquire), std::memory_order_seq_cst);
      ring.space_waiters.store(0, std::memory_order_relaxed);
      futex_wake(ring.head, 1 << 20);
      if (arena.participant(from).kind.load(std::memory_order_acquire) != 0) ring_doorbell(arena, from, receiver);
    }
  }
  settle();
}

// `made` first: dead in between, the ring has memory that nobody counts, and the next owner of the number reserves what is there already.
void Custody::release_rings(ParticipantId sender) {
  const Arena& arena = *store_->arena();
  for (ParticipantId to = 0; to < limits::kMaxParticipants; ++to) {
    for (Lane lane : {Lane::kMail, Lane::kPriority}) {
      RingCursors& ring = arena.ring(sender, to, lane);
      if (ring.made.exchange(0, std::memory_order_acq_rel) == 0) continue;
      arena.punch(arena.ring_offset(sender, to, lane), arena.ring_bytes(lane));
    }
  }
}

bool Custody::outbox_empty(ParticipantId sender) const {
  const Arena& arena = *store_->arena();
  for (ParticipantId to = 0; to < limits::kMaxParticipants; ++to) {
    for (Lane lane : kEveryLane) {
      const RingCursors& ring = arena.ring(sender, to, lane);
      if (ring.made.load(std::memory_order_acquire) == 0) continue;
      if (ring.head.load(std::memory_order_acquire) != ring.tail.load(std::memory_order_acquire)) return false;
    }
  }
  return true;
}

}  // namespace tv::shm
