// The arena byte by byte: plain structs with asserted sizes, and where each table begins. shm/README.md is the long form: every shared
// word, its writers, its memory order, and why a death after each store is harmless.
//
// Every std::atomic here is lock-free and address-free, and so works between processes.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "config/ids.h"
#include "config/limits.h"
#include "config/result.h"

namespace tv::shm {

inline constexpr std::uint64_t kArenaMagic = 0x3141'414e'4552'4154;  // "TARENA1" and more, little-endian
inline constexpr std::uint32_t kArenaVersion = 5;

using Word = std::atomic<std::uint64_t>;
using HalfWord = std::atomic<std::uint32_t>;
static_assert(Word::is_always_lock_free && HalfWord::is_always_lock_free);

// Offsets and counts, fixed at creation. Computed by one function, and checked against the header by every process that attaches.
struct Geometry {
  std::uint64_t total_bytes;
  std::uint64_t ring_bytes;
  std::uint32_t chunks;  // of limits::kSlotsPerChunk object slots
  std::uint32_t blocks;  // of limits::kBlockBytes, those of clients included
  std::uint32_t client_blocks;  // the last ones: only clients lease them
  std::uint32_t reserved;
  std::uint64_t participants_at;
  std::uint64_t rings_at;
  std::uint64_t actors_at;
  std::uint64_t cells_at;
  std::uint64_t pools_at;
  std::uint64_t names_at;
  std::uint64_t names_used_at;
  std::uint64_t chunks_at;
  std::uint64_t freed_chunks_at;
  std::uint64_t slots_at;
  std::uint64_t block_words_at;
  std::uint64_t tables_end;    // everything before is writable by every participant
  std::uint64_t headers_at;    // a TensorHeader a slot; those of a chunk are writable by the chunk's owner alone
  std::uint64_t ring_data_at;  // row s (64 rings) is writable by participant s alone
  std::uint64_t priority_data_at;  // the same for the rings of the priority lane
  std::uint64_t blocks_at;     // a block is writable by its leaseholder alone; the control file ends here
  std::uint64_t client_blocks_at;

  std::uint32_t slots() const { return chunks * limits::kSlotsPerChunk; }
  std::uint32_t worker_blocks() const { return blocks - client_blocks; }
  bool operator==(const Geometry&) const = default;
};

// `client_bytes` of `arena_bytes` are for clients, rounded up to blocks.
Result<Geometry> make_geometry(std::uint64_t arena_bytes, std::uint64_t ring_bytes, std::uint32_t objects, std::uint64_t client_bytes);

// At offset 0. Written once by the supervisor before anybody attaches, but for the words.
struct ArenaHeader {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t header_bytes;
  Geometry geometry;
  std::int64_t created_realtime_ns;
  std::int64_t patience_ns;   // how long create() waits for room before it says that there is none
  std::uint32_t huge_pages;   // 1: participants ask for huge pages for the blocks
  std::uint32_t reserved;
  Word directory_version;  // supervisor: +1 after each change of the directory, then every doorbell is rung
  Word restarts;           // supervisor: clean-ups done
  // Waiting for room (store.h). A waiter sets the first two, rings the bell and sleeps on `room`; whoever gives memory or a slot back
  // bumps `room` if somebody waits.
  alignas(64) Word wanted_bytes;  // what some waiter needs, 0: nobody waits. Participants give back what they keep; the supervisor evicts
  HalfWord room_waiters;   // 1: somebody sleeps on `room`
  HalfWord room;           // futex
  HalfWord supervisor_bell;  // futex: +1 by a participant that wants the supervisor to look (at wanted_bytes, at last words)
  char spill_directory[1024];  // supervisor, before anybody attaches; "": nothing is spilled
};
static_assert(sizeof(ArenaHeader) <= 4096);

enum class ParticipantKind : std::uint32_t { kNone = 0, kSupervisor = 1, kWorker = 2, kClient = 3, kWriter = 4 };

// One line that every sender and the owner write: who has rung, and the futex that the owner sleeps on.
struct alignas(64) DoorbellLine {
  Word rung;         // bit s: set by participant s after a store that the owner should look at; taken by the owner
  HalfWord bell;     // futex; +1 by whoever wakes the owner
  HalfWord sleeping;  // 1 from before the owner's last look until after its sleep; written by the owner
};

struct alignas(64) ParticipantSlot {
  HalfWord kind;         // ParticipantKind; supervisor writes, 0 last when the number is free again
  std::int32_t pid;      // supervisor
  HalfWord incarnation;  // supervisor
  HalfWord freed;        // 1: some chunk of ours has freed bits. Set after the bit by whoever set it; cleared by the owner before it looks
  std::int64_t attached_ns;  // CLOCK_MONOTONIC; supervisor
  char name[limits::kMaxName + 1];  // supervisor, before kind
  HalfWord reader;       // who reads this one's mailbox, + 1; 0: itself (mailbox.h). Supervisor
  DoorbellLine doorbell;
  alignas(64) Word beat;  // owner: counts turns of its loop
  Word urgent;            // bit s: set by participant s after a message in the priority lane, before the doorbell; taken by the owner. A
                          // hint beside the doorbell, on a line that no ordinary sender writes, so that looking here costs nothing
  // Last words: what a process noted in its signal handler before it died of a stray write. Read by the supervisor after the death.
  alignas(64) Word fault_address;  // offset in the arena of what it wrote to, + 1; 0: no such note
  HalfWord fault_actor;            // ActorId whose method was running, or kNoActor; before fault_address
  HalfWord leaving;                // exit code + 1 with which it was about to end by itself; 0: no such note. Cleared by the supervisor when
                                   // the number gets another process
  Word readers;                    // bit p: p reads this one's mailbox, or has read it. Supervisor, before `reader`; never cleared
};
static_assert(sizeof(ParticipantSlot) == 320);

// Every ordered pair of participants has two rings: ordinary mail, and control messages, which are read first.
enum class Lane : std::uint32_t { kMail = 0, kPriority = 1 };
inline constexpr std::uint32_t kLanes = 2;
inline constexpr Lane kEveryLane[kLanes] = {Lane::kPriority, Lane::kMail};  // in the order in which they are read

// One ring: positions count bytes since the beginning and never go back; tail - head is what is unread.
struct RingCursors {
  alignas(64) Word tail;  // sender: after the record is whole
  HalfWord made;          // sender: 1 once the ring's memory is reserved
  alignas(64) Word head;  // receiver: after the record has been dealt with
  HalfWord space_waiters;  // sender sets 1 before it waits for head to move; receiver wakes it and clears
  Word begun;  // receiver: end of the furthest record that it has begun to handle. Stored before it looks at the record's `cancelled`
};
static_assert(sizeof(RingCursors) == 128);

// Before each record. Records are 8-byte aligned and never wrap: a record that would is preceded by padding to the ring's end.
struct RecordHeader {
  std::uint32_t payload_bytes;  // a multiple of 8
  std::uint16_t handles;        // that many 64-bit handles stand behind the payload
  std::uint16_t flags;          // kRecordPadding
  std::uint32_t cancelled;      // atomic_ref: sender sets kRecordUnwanted, at any time before the cursor has passed, and then looks at
                                // RingCursors::begun; the receiver looks after it has stored that: one of the two sees the other. The sender
  std::uint32_t reserved;       // that has not seen it sets kRecordWithdrawn: whoever finds that knows that the record was never begun
};
static_assert(sizeof(RecordHeader) == 16);
inline constexpr std::uint16_t kRecordPadding = 1;
inline constexpr std::uint32_t kRecordUnwanted = 1;
inline constexpr std::uint32_t kRecordWithdrawn = 2;

enum class ActorState : std::uint8_t { kUnused = 0, kStarting = 1, kReady = 2, kRestarting = 3, kStopped = 4, kFailed = 5, kSuspended = 6 };

// Bits of ActorWhere::flags. A pool's new messages go past both, if any member is left; to one that is drained nobody sends anything.
inline constexpr std::uint16_t kActorAvoided = 1;
inline constexpr std::uint16_t kActorDrained = 2;

// Where an actor is: one word, so that readers see participant, state and incarnation of one moment.
struct ActorWhere {
  std::uint8_t participant;
  ActorState state;
  std::uint16_t flags;
  Incarnation incarnation;
};
static_assert(sizeof(ActorWhere) == 8);

// Written by the supervisor. Names are final once `published`; `where` changes by single stores; `message` under its sequence lock.
struct alignas(64) ActorEntry {
  HalfWord published;
  std::uint32_t pool;  // index of its pool, or 0xffffffff
  std::atomic<ActorWhere> where;
  char name[limits::kMaxName + 1];
  char type[limits::kMaxName + 1];
  HalfWord message_sequence;  // odd while `message` is being written
  char message[300];          // why it failed
};
static_assert(sizeof(ActorEntry) == 512 && std::atomic<ActorWhere>::is_always_lock_free);

// Written by the worker that hosts the actor (after its death, by nobody until the next incarnation).
struct alignas(64) ActorCell {
  Word committed;      // handle of the manifest of the last commit, 0 for none: this store is the commit
  Word handled;        // messages
  Word failed;         // of these, answered with an error
  Word commits;
  Word last_commit_ns;  // CLOCK_MONOTONIC
  Word state_bytes;    // of the last commit
  Word at_hand;        // AtHand: stored before a message is handled. A next incarnation that finds the same message unread knows that the
                       // worker died of it or with it, and how often
  Word expired;        // messages whose deadline had passed before they were read; not in `handled`
  Word cancelled;      // messages withdrawn by their senders before they were begun; not in `handled`
  Word dead_letters;   // messages given up because they killed the worker too often
  Word commits_failed;
  Word commit_failing_since_ns;  // CLOCK_MONOTONIC of the first failed commit in a row; 0: the last one succeeded, or there was none
  Word repeated;       // effectively once: messages that the state had in it already when they were read; not in `handled`
  Word suspect;        // AtHand of another unread message that a worker died with before, while `at_hand` is overwritten; 0: none
  Word running;        // not 0 while code of the actor runs (running.h): on_start, a method, save, on_stop. Found after its worker's death, it
                       // tells whose doing that was; the supervisor clears it then
};
static_assert(sizeof(ActorCell) == 128);

// The message that an actor is handling, as one word. 2^48 bytes through one ring last 10 days at 300 MB/s; what is compared is
// the position's low part, and only with unread mail.
struct AtHand {
  std::uint8_t from = 0;     // sender's participant number
  std::uint8_t tries = 0;    // 1 for the first
  std::uint64_t end48 = 0;   // low 48 bits of the record's end position; bit 47 is the lane
};
constexpr std::uint64_t pack(AtHand at) {
  return (std::uint64_t{at.from} << 56) | (std::uint64_t{at.tries} << 48) | (at.end48 & ((std::uint64_t{1} << 48) - 1));
}
constexpr AtHand unpack_at_hand(std::uint64_t word) {
  return {static_cast<std::uint8_t>(word >> 56), static_cast<std::uint8_t>(word >> 48), word & ((std::uint64_t{1} << 48) - 1)};
}

// Written by the supervisor before `published`, then final.
struct alignas(64) PoolEntry {
  HalfWord published;
  std::uint32_t first;  // ActorId of member 0
  std::uint32_t size;
  std::uint32_t routing;  // config::Routing
  char name[limits::kMaxName + 1];
  char type[limits::kMaxName + 1];
};
static_assert(sizeof(PoolEntry) == 256);

// Open addressing by hash, linear probing; written by the supervisor alone, read under the sequence lock.
struct alignas(64) NameEntry {
  HalfWord sequence;  // odd while the entry is being written
  HalfWord state;     // 0 never used (ends a probe), 1 used, 2 withdrawn
  std::atomic<std::uint64_t> handle;
  std::atomic<std::uint64_t> version;  // +1 with each publication of the name
  char name[limits::kMaxObjectName + 1];
  Word last_used_ns;  // CLOCK_MONOTONIC of the last look-up; any reader, followed by the entry's bit in the table of names used
  HalfWord place;     // NamePlace; under the sequence lock
  HalfWord care;      // kNameCached, kNamePinned; what the supervisor notes for whoever takes over from it
};
static_assert(sizeof(NameEntry) == 192);

// Bits of NameEntry::care.
inline constexpr std::uint32_t kNameCached = 1;
inline constexpr std::uint32_t kNamePinned = 2;

// Where the tensor of a name is: `handle` is 0 for one that was spilled.
enum class NamePlace : std::uint32_t { kArena = 0, kSpilled = 1 };

enum class SlotState : std::uint8_t { kFree = 0, kUnsealed = 1, kSealed = 2, kFailed = 3 };

// An object. Everything but `holders` is written by the owner of the slot's chunk. Born by two stores, holders and then tag: so a slot
// whose state is not kFree had a holder once, and no holder means dead.
struct alignas(64) ObjectSlot {
  Word holders;  // bit p: participant p refers to it; added only to a word that is not zero; who clears the last frees
  Word tag;      // generation << 8 | SlotState
  std::uint64_t offset;        // of its TensorHeader, from the arena's beginning
  std::uint64_t footprint;     // bytes from there that are its own, header and padding included
  std::uint64_t payload_bytes;
  std::int64_t created_ns;     // CLOCK_MONOTONIC
  std::uint32_t creator;       // participant; stays when the chunk's owner changes
  std::uint32_t creator_actor;  // ActorId or kNoActor
  HalfWord waiters;            // 1: somebody sleeps on the low half of `tag`; any holder, before it looks at `tag` again
  Incarnation incarnation;     // of the creator
};
static_assert(sizeof(ObjectSlot) == 64);

constexpr std::uint64_t make_tag(std::uint64_t generation, SlotState state) {
  return (generation << 8) | static_cast<std::uint64_t>(state);
}
constexpr std::uint64_t tag_generation(std::uint64_t tag) { return tag >> 8; }
constexpr SlotState tag_state(std::uint64_t tag) { return static_cast<SlotState>(tag & 0xff); }

// Object slots are leased by the chunk.
struct alignas(64) ChunkEntry {
  Word owner;  // participant + 1; 0 free. Leased by CAS from 0; handed to the supervisor by the supervisor when the owner is dead
  Word reserved[7];
  Word freed[limits::kSlotsPerChunk / 64];  // bit: holders of this slot became 0. Set by whoever cleared the last bit, taken by the owner
};
static_assert(sizeof(ChunkEntry) == 128);

// What lies in a leased block. Cells: objects of one size class. Units: objects of up to 128 KiB and more, in units of 32 KiB; one that is
// larger than a block begins at the beginning of a block and goes on in the ones behind it.
enum class BlockKind : std::uint8_t { kNone = 0, kCells = 1, kUnits = 2 };
struct BlockWord {
  std::uint8_t owner_plus_1 = 0;  // 0: free
  BlockKind kind = BlockKind::kNone;
  std::uint16_t size_class = 0;   // kCells
  std::uint8_t backed = 0;        // 1: its memory is there; kept when the block is given back
  std::uint8_t reserved[3] = {};
  bool operator==(const BlockWord&) const = default;
};
static_assert(sizeof(BlockWord) == 8 && std::atomic<BlockWord>::is_always_lock_free);

// One a slot, written by the owner of the slot's chunk before the object can be seen, then read-only to everybody else.
struct alignas(64) TensorHeader {
  std::uint32_t magic;  // kTensorMagic, or kFailureMagic: then a FailureHeader
  std::uint8_t dtype;
  std::uint8_t dims;
  std::uint16_t reserved;
  std::uint64_t storage_bytes;
  std::int64_t shape[limits::kMaxDims];
  std::int64_t strides[limits::kMaxDims];
  double scale;
  std::int64_t zero_point;
  char label[limits::kMaxLabel + 1];  // what made it, for people: an actor's method
};
static_assert(sizeof(TensorHeader) == 192);
inline constexpr std::uint32_t kTensorMagic = 0x5256'5354;  // "TSVR"

// In place of the TensorHeader of an object in state kFailed. By the owner of the chunk, or, for a dead one, by the supervisor.
struct alignas(64) FailureHeader {
  std::uint32_t magic;  // kFailureMagic
  std::uint16_t code;   // Errc
  std::uint16_t bytes;  // of the text
  char text[184];
};
static_assert(sizeof(FailureHeader) == sizeof(TensorHeader));
inline constexpr std::uint32_t kFailureMagic = 0x4c49'4146;  // "FAIL"
inline constexpr std::uint64_t kChunkHeaderBytes = std::uint64_t{limits::kSlotsPerChunk} * sizeof(TensorHeader);
static_assert(kChunkHeaderBytes % 4096 == 0, "a chunk's headers are protected by pages");

}  // namespace tv::shm
