// Every limit of the system, with its reason. A limit that a user may meet names its configuration key in the error.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tv::limits {

// One bit a participant in a 64-bit word: the word is what makes holding crash-safe. Number 0 is the supervisor.
inline constexpr std::uint32_t kMaxParticipants = 64;

// A block is what a participant leases by one compare-and-swap: the size of a huge page, so that one backs one.
inline constexpr std::size_t kBlockBytes = std::size_t{2} << 20;

// Payloads begin on a cache line: what SIMD kernels and DMA engines like best.
inline constexpr std::size_t kAlignment = 64;

// Dimensions of a tensor: fixed, so that its description has a fixed size and is never itself allocated.
inline constexpr std::size_t kMaxDims = 8;

// Objects larger than the largest cell take units: small enough that rounding costs little, and 64 of them are a block, so that a word
// says which are taken. The largest cell is four units, from where on rounding to a unit costs less than classes do.
inline constexpr std::size_t kUnitBytes = std::size_t{32} << 10;
inline constexpr std::size_t kLargestCellBytes = 4 * kUnitBytes;

// Blocks that a participant keeps leased though nothing lies in them, so that a steady coming and going of tensors makes no system
// calls; and never more than this share of the arena. They are given back when somebody waits for room.
inline constexpr std::uint32_t kMaxKeptBlocks = 256;
inline constexpr std::uint32_t kKeptShare = 8;
// What an idle participant goes on keeping: enough for the first small tensors of its next work.
inline constexpr std::uint32_t kIdleKeptBlocks = 2;

// Memory that is kept ready is never more than this share of the arena, whatever [arena] prefault says: a small arena is not to be taken
// whole from the machine before anybody needs it.
inline constexpr std::uint32_t kPrefaultShare = 4;

// [arena] patience. An arena's header that says more is not believed.
inline constexpr std::int64_t kMaxPatienceNs = std::int64_t{3600} * 1'000'000'000;

// Object slots come in chunks of this many; a chunk is leased like a block.
inline constexpr std::uint32_t kSlotsPerChunk = 512;
inline constexpr std::uint32_t kMaxObjects = 1u << 24;      // 24 bits of a handle are the slot's index
inline constexpr std::uint32_t kDefaultObjects = 1u << 20;  // [arena] objects

// A smaller arena could not give each of a handful of participants one block of each kind.
inline constexpr std::size_t kMinArenaBytes = std::size_t{16} << 20;
inline constexpr std::size_t kMaxArenaBytes = std::size_t{1} << 46;

// A ring holds a burst of small messages; tensors travel beside it, by handle. [arena] ring
inline constexpr std::size_t kMinRingBytes = std::size_t{16} << 10;
inline constexpr std::size_t kDefaultRingBytes = std::size_t{256} << 10;
inline constexpr std::size_t kMaxRingBytes = std::size_t{16} << 20;
// The priority lane holds control messages only, which are small.
inline constexpr std::size_t kPriorityRingBytes = std::size_t{16} << 10;

// The directory in the arena: actors (members of pools included), pools, named objects.
inline constexpr std::uint32_t kMaxActors = 1024;
inline constexpr std::uint32_t kMaxPools = 256;
// Groups, and how deep they nest: the tree is walked by recursion.
inline constexpr std::uint32_t kMaxGroups = 256;
inline constexpr std::uint32_t kMaxGroupDepth = 16;
inline constexpr std::uint32_t kMaxNames = 8192;
inline constexpr std::size_t kMaxName = 95;        // bytes of an actor's, pool's, worker's or type's name
inline constexpr std::size_t kMaxObjectName = 127;  // bytes of a named object's name
inline constexpr std::size_t kMaxLabel = 31;       // bytes of an object's origin, as people see it; longer ones are cut

// Messages. A ring message is bounded by half its ring as well; an envelope may carry this many handles.
inline constexpr std::size_t kMaxHandlesPerMessage = 256;
inline constexpr std::size_t kMaxControlMessageBytes = std::size_t{1} << 20;  // ZMQ_MAXMSGSIZE of control and admin sockets
inline constexpr std::size_t kMaxAdminReplyBytes = std::size_t{16} << 20;     // what tensorctl takes from a supervisor
inline constexpr int kMaxNesting = 32;                                        // nested lists and maps of a Value
inline constexpr std::uint32_t kMaxCallsInFlight = 65536;                     // of one participant; then Overloaded

// A message is begun so often at most before it is given up: eight bits of the word that names it (AtHand). [[actor]] max_deliveries
inline constexpr std::uint32_t kMaxDeliveries = 255;
// Messages that were given up and wait for somebody to look at them. Each holds its tensors in the arena; the oldest goes when it is full.
inline constexpr std::size_t kMaxDeadLetters = 1000;

// What an actor's state may hold besides its tensors: it is copied with each commit, tensors are not.
inline constexpr std::size_t kMaxStateBytes = std::size_t{64} << 20;

// Of an actor, on disk; [checkpoints] keep.
inline constexpr std::uint32_t kMaxGenerations = 1000;

// Effectively once. Answers of several messages wait for their commit until there are so many bytes of them.
inline constexpr std::size_t kMaxHeldAnswerBytes = std::size_t{1} << 20;
// Answers that callers who are being restarted may ask for again. They are copied with each commit, so that in practice there should be few:
// as many as calls whose callers have not finished. Beyond, such calls are refused.
inline constexpr std::size_t kMaxKeptAnswers = 16384;
inline constexpr std::size_t kMaxKeptAnswerBytes = std::size_t{16} << 20;

// What workers print, where the daemon carries it to the journal: a longer line comes in pieces, a longer dump without its end. Of each worker so
// many records at once and so many a second for long, so that one that prints in a loop neither fills the journal nor keeps the daemon busy.
inline constexpr std::size_t kMaxOutputLine = std::size_t{16} << 10;
inline constexpr std::size_t kMaxStackDump = std::size_t{256} << 10;
inline constexpr double kOutputBurst = 2000;
inline constexpr double kOutputPerSecond = 200;

// The latest records of the log, which the daemon keeps in memory ([log] keep), and what it gives of them at once: little enough for its loop to
// copy between two other things.
inline constexpr std::uint64_t kDefaultLogBytes = std::uint64_t{4} << 20;
inline constexpr std::uint64_t kMinLogBytes = std::uint64_t{64} << 10;
inline constexpr std::uint64_t kMaxLogBytes = std::uint64_t{256} << 20;
inline constexpr std::size_t kMaxLogPage = 2000;
inline constexpr std::uint64_t kMaxLogPageBytes = std::uint64_t{1} << 20;
inline constexpr std::size_t kMaxLogNames = 64;

// Faults on purpose: for how many messages of an actor at once.
inline constexpr std::uint32_t kMaxFaults = 10'000;

// Configuration.
inline constexpr std::size_t kMaxConfigBytes = std::size_t{1} << 20;
inline constexpr std::size_t kMaxWorkers = 48;  // leaves participants for clients
inline constexpr std::size_t kMaxSpares = 16;
// Of a worker's resources: what the kernel takes, and what any process needs.
inline constexpr std::uint64_t kMinWorkerMemoryBytes = std::uint64_t{4} << 20;
inline constexpr std::int64_t kMaxCpuWeight = 10'000;
inline constexpr std::uint32_t kMaxCpus = 8192;
inline constexpr std::uint32_t kMaxMemoryNodes = 1024;
inline constexpr std::size_t kMaxConfigErrors = 100;
inline constexpr std::size_t kMaxLabels = 16;       // of one worker, actor or pool: they travel with every list
inline constexpr std::size_t kMaxLabelKey = 63;     // bytes
inline constexpr std::size_t kMaxLabelValue = 63;
inline constexpr std::size_t kMaxAccessEntries = 256;  // of a role; each is looked at for every request
inline constexpr std::size_t kMaxKeyParts = 32;     // dotted parts of one key: parsers recurse over them
// Sockets lie in the runtime directory and a socket's path has 108 bytes (sun_path): this leaves 27 for a name.
inline constexpr std::size_t kMaxRuntimeDirBytes = 80;

static_assert(kMaxParticipants <= 64, "holders are bits of one 64-bit word");
static_assert(kMaxWorkers + 8 < kMaxParticipants, "clients need numbers, too");
static_assert(kMinArenaBytes % kBlockBytes == 0);
static_assert(kBlockBytes / kUnitBytes == 64, "the units of a block are bits of one word");

}  // namespace tv::limits
