#include "tests/crash/watch.h"

#include <cstring>

namespace tv::test {

using namespace tv::shm;

namespace {
constexpr std::uint64_t kBlockBytesWatched = 64 << 10;
}

bool Watch::compare(std::vector<std::byte>& copy, std::uint64_t offset, std::uint64_t bytes) {
  const std::byte* now = arena_.base() + offset;
  if (copy.size() == bytes && std::memcmp(copy.data(), now, bytes) == 0) return false;
  copy.assign(now, now + bytes);
  return true;
}

bool Watch::changed() {
  const Geometry& g = arena_.geometry();
  bool any = compare(tables_, 0, g.tables_end);
  std::size_t ring = 0;
  for (ParticipantId from = 0; from < limits::kMaxParticipants; ++from)
    for (ParticipantId to = 0; to < limits::kMaxParticipants; ++to)
      for (Lane lane : {Lane::kMail, Lane::kPriority}) {
        if (arena_.ring(from, to, lane).made.load() == 0) continue;
        if (rings_.size() == ring) rings_.emplace_back();
        any |= compare(rings_[ring++], arena_.ring_offset(from, to, lane), arena_.ring_bytes(lane));
      }
  headers_.resize(g.chunks);
  for (std::uint32_t c = 0; c < g.chunks; ++c)
    if (arena_.chunk(c).owner.load() != 0) any |= compare(headers_[c], arena_.chunk_headers_offset(c), kChunkHeaderBytes);
  blocks_.resize(g.blocks);
  for (std::uint32_t b = 0; b < g.blocks; ++b)
    if (arena_.block_word(b).load().owner_plus_1 != 0) any |= compare(blocks_[b], arena_.block_offset(b), kBlockBytesWatched);
  return any;
}

}  // namespace tv::test
