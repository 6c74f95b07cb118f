// Arena: one sealed memfd, mapped. Owns the mapping and the descriptor, nothing else; all meaning is in the classes that take one.
//
// Each process has one. It is mapped read-only but for the shared tables; participants open their row of rings and the blocks that they
// lease for writing. Thread-safe: the object is constant after creation, the words in it are atomics.
#pragma once

#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>
#include <memory>
#include <span>

#include "config/fd.h"
#include "shm/layout.h"

namespace tv::shm {

class Arena {
 public:
  // A fresh arena; nothing of its memory is touched but the header. Refuses sizes outside config/limits.h.
  static Result<std::shared_ptr<Arena>> create(std::uint64_t arena_bytes, std::uint64_t ring_bytes = limits::kDefaultRingBytes,
                                               std::uint32_t objects = limits::kDefaultObjects);
  // Maps an arena that another process made. Refuses what is not sealed, another version, or a header that contradicts itself or the
  // file's size.
  static Result<std::shared_ptr<Arena>> attach(Fd fd);

  const Geometry& geometry() const { return geometry_; }
  int fd() const { return fd_.get(); }
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
  ChunkEntry& chunk(std::uint32_t index) const { return at<ChunkEntry>(geometry_.chunks_at)[index]; }
  ObjectSlot& slot(std::uint32_t index) const { return at<ObjectSlot>(geometry_.slots_at)[index]; }
  std::atomic<BlockWord>& block_word(std::uint32_t index) const { return at<std::atomic<BlockWord>>(geometry_.block_words_at)[index]; }
  std::uint64_t block_offset(std::uint32_t index) const { return geometry_.blocks_at + std::uint64_t{index} * limits::kBlockBytes; }
  std::uint64_t ring_offset(ParticipantId from, ParticipantId to, Lane lane = Lane::kMail) const {
    std::uint64_t at = lane == Lane::kMail ? geometry_.ring_data_at : geometry_.priority_data_at;
    return at + (std::uint64_t{from} * limits::kMaxParticipants + to) * ring_bytes(lane);
  }

  // Asks the kernel for the memory of a range before anybody writes there: a full machine answers with an error instead of SIGBUS.
  Result<void> reserve(std::uint64_t offset, std::uint64_t bytes) const;
  // Gives the memory of a range back; it reads as zeros afterwards.
  void punch(std::uint64_t offset, std::uint64_t bytes) const;
  Result<void> allow_writing(std::uint64_t offset, std::uint64_t bytes, bool allow) const;
  // Bytes of memory that the kernel has given to the whole arena.
  std::uint64_t backed_bytes() const;

 private:
  Arena(Fd fd, boost::interprocess::mapped_region region, const Geometry& geometry);
  static Result<std::shared_ptr<Arena>> map(Fd fd, const Geometry& geometry);
  template <class T>
  T* at(std::uint64_t offset) const { return reinterpret_cast<T*>(base_ + offset); }

  Fd fd_;
  boost::interprocess::mapped_region region_;
  std::byte* base_;
  Geometry geometry_;
};

}  // namespace tv::shm
