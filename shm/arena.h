// Arena: shared memory, mapped. Owns the mapping and its descriptors, nothing else; all meaning is in the classes that take one.
//
// Three sealed memfds in one range of addresses: control (tables, headers, rings), the blocks of workers, and those of clients. So the
// kernel can keep clients from writing to workers' tensors: they get a read-only descriptor of the second. Each process has one Arena.
// It is mapped read-only but for the shared tables; participants open their rings, the headers of their chunks and the blocks that they
// lease for writing. Thread-safe: the object is constant after creation, the words in it are atomics.
#pragma once

#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "config/clock.h"
#include "config/fd.h"
#include "shm/layout.h"

namespace tv::shm {

struct ArenaFds {
  Fd control;
  Fd blocks;
  Fd client_blocks;  // none where the arena has no blocks for clients

  // As they travel beside a message, in this order.
  std::vector<int> numbers() const;
  static Result<ArenaFds> from(std::vector<Fd> fds);
};

struct ArenaOptions {
  std::uint64_t bytes = 0;  // of all blocks
  std::uint64_t ring_bytes = limits::kDefaultRingBytes;
  std::uint32_t objects = limits::kDefaultObjects;
  std::uint64_t client_bytes = 0;  // of `bytes`
  bool huge_pages = false;         // ask the kernel for them (huge_pages.h says whether it has them)
  Nanoseconds patience{0};         // how long create() waits for room
};

class Arena {
 public:
  enum class Access { kWorker, kClient };

  // A fresh arena; nothing of its memory is touched but the tables. Refuses sizes outside config/limits.h.
  static Result<std::shared_ptr<Arena>> create(const ArenaOptions& options);
  static Result<std::shared_ptr<Arena>> create(std::uint64_t arena_bytes, std::uint64_t ring_bytes = limits::kDefaultRingBytes,
                                               std::uint32_t objects = limits::kDefaultObjects) {
    return create(ArenaOptions{.bytes = arena_bytes, .ring_bytes = ring_bytes, .objects = objects});
  }
  // Maps an arena that another process made. Refuses what is not sealed, another version, or a header that contradicts itself or the
  // files' sizes.
  static Result<std::shared_ptr<Arena>> attach(ArenaFds fds);
  // Descriptors for another process. A client's are read-only where workers' tensors lie.
  Result<ArenaFds> share(Access access) const;

  const Geometry& geometry() const { return geometry_; }
  std::byte* base() const { return base_; }
  std::uint64_t offset_of(const void* address) const { return static_cast<const std::byte*>(address) - base_; }
  bool contains(const void* address) const { return address >= base_ && address < base_ + geometry_.total_bytes; }

  ArenaHeader& header() const { return *at<ArenaHeader>(0); }
  ParticipantSlot& participant(ParticipantId id) const { return at<ParticipantSlot>(geometry_.participants_at)[id]; }
  RingCursors& ring(ParticipantId from, ParticipantId to, Lane lane = Lane::kMail) const {
    std::uint32_t pair = from * limits::kMaxParticipants + to;
    return at<RingCursors>(geometry_.rings_at)[pair * kLanes + static_cast<std::uint32_t>(lane)];
  }
  std::span<std::byte> ring_data(ParticipantId from, ParticipantId to, Lane lane = Lane::kMail) const {
    return {base_ + ring_offset(from, to, lane), ring_bytes(lane)};
  }
  std::uint64_t ring_bytes(Lane lane) const { return lane == Lane::kMail ? geometry_.ring_bytes : limits::kPriorityRingBytes; }
  ActorEntry& actor(ActorId id) const { return at<ActorEntry>(geometry_.actors_at)[id]; }
  ActorCell& cell(ActorId id) const { return at<ActorCell>(geometry_.cells_at)[id]; }
  PoolEntry& pool(std::uint32_t index) const { return at<PoolEntry>(geometry_.pools_at)[index]; }
  NameEntry& name(std::uint32_t index) const { return at<NameEntry>(geometry_.names_at)[index]; }
  // Bit i % 64 of word i / 64: name i has been looked up. Set by readers, taken by the supervisor.
  Word& names_used(std::uint32_t word) const { return at<Word>(geometry_.names_used_at)[word]; }
  ChunkEntry& chunk(std::uint32_t index) const { return at<ChunkEntry>(geometry_.chunks_at)[index]; }
  // Bit c % 64 of word c / 64: chunk c has freed bits.
  Word& freed_chunks(std::uint32_t word) const { return at<Word>(geometry_.freed_chunks_at)[word]; }
  TensorHeader& object_header(std::uint32_t index) const { return at<TensorHeader>(geometry_.headers_at)[index]; }
  std::uint64_t chunk_headers_offset(std::uint32_t chunk) const { return geometry_.headers_at + chunk * kChunkHeaderBytes; }
  ObjectSlot& slot(std::uint32_t index) const { return at<ObjectSlot>(geometry_.slots_at)[index]; }
  std::atomic<BlockWord>& block_word(std::uint32_t index) const { return at<std::atomic<BlockWord>>(geometry_.block_words_at)[index]; }
  std::uint64_t block_offset(std::uint32_t index) const { return geometry_.blocks_at + std::uint64_t{index} * limits::kBlockBytes; }
  std::uint64_t ring_offset(ParticipantId from, ParticipantId to, Lane lane = Lane::kMail) const {
    std::uint64_t at = lane == Lane::kMail ? geometry_.ring_data_at : geometry_.priority_data_at;
    return at + (std::uint64_t{from} * limits::kMaxParticipants + to) * ring_bytes(lane);
  }

  // Asks the kernel for the memory of a range before anybody writes there: a full machine answers with an error instead of SIGBUS.
  Result<void> reserve(std::uint64_t offset, std::uint64_t bytes) const;
  // The same, and the pages are zeroed and in this process's page tables afterwards: the first write costs what later ones do. In huge
  // pages where the arena has them. REQUIRES that the range is writable.
  Result<void> populate(std::uint64_t offset, std::uint64_t bytes) const;
  // The same through a mapping that is gone afterwards: the memory counts for the arena and not for this process. For offset and bytes in
  // whole blocks.
  Result<void> populate_aside(std::uint64_t offset, std::uint64_t bytes) const;
  // Gives the memory of a range back; it reads as zeros afterwards.
  void punch(std::uint64_t offset, std::uint64_t bytes) const;
  Result<void> allow_writing(std::uint64_t offset, std::uint64_t bytes, bool allow) const;
  // The user that has made it, as the kernel says: nobody else can be taken for the daemon by what the arena contains.
  Result<unsigned> owner() const;
  // Bytes of memory that the kernel has given to the whole arena.
  std::uint64_t backed_bytes() const;

 private:
  Arena(ArenaFds fds, const Geometry& geometry) : fds_(std::move(fds)), geometry_(geometry) {}
  static Result<std::shared_ptr<Arena>> map(ArenaFds fds, const Geometry& geometry, bool huge_pages);
  // The file that holds an offset, and where the file begins.
  std::pair<int, std::uint64_t> file_of(std::uint64_t offset) const;
  template <class T>
  T* at(std::uint64_t offset) const {
    return reinterpret_cast<T*>(base_ + offset);
  }

  ArenaFds fds_;
  boost::interprocess::mapped_region control_;
  boost::interprocess::mapped_region blocks_;
  boost::interprocess::mapped_region client_blocks_;
  std::byte* base_ = nullptr;
  Geometry geometry_;
};

}  // namespace tv::shm
