// A mixed load on an arena: several participants make and drop tensors of very different sizes and lifetimes. Seeded.
#pragma once

#include <memory>
#include <random>
#include <vector>

#include "tools/bench/bench_arena.h"

namespace tv::bench {

// Sizes of tensors: every other a power of two, as batches and weights are, the rest log-uniform; from 64 B to `largest`.
class SizeMix {
 public:
  SizeMix(std::uint64_t seed, std::uint64_t largest) : random_(seed), largest_(largest) {}
  std::uint64_t next();

 private:
  std::mt19937_64 random_;
  std::uint64_t largest_;
};

class MixedLoad {
 public:
  MixedLoad(std::uint64_t arena_bytes, std::uint64_t largest, std::uint32_t participants, std::uint64_t seed);

  // Keeps the live payload at this part of the arena's blocks: drops before it makes.
  void aim_at(double live) { target_bytes_ = static_cast<std::uint64_t>(live * static_cast<double>(capacity_)); }
  // One more object. False when the arena said that it is full: nothing has been made then.
  bool step();

  std::uint64_t allocations() const { return allocations_; }
  double live() const { return static_cast<double>(live_bytes_) / static_cast<double>(capacity_); }
  // (bytes of leased blocks - live payload) / bytes of leased blocks, in percent; without blocks that are only kept, and given back when
  // somebody asks for room.
  double unusable_percent() const;

 private:
  void drop_one();

  BenchArena arena_;
  std::vector<std::shared_ptr<shm::Store>> stores_;
  std::mt19937_64 random_;
  SizeMix sizes_;
  std::vector<shm::Tensor> alive_;  // the newest at the end, but for swaps
  std::uint64_t capacity_;
  std::uint64_t live_bytes_ = 0;
  std::uint64_t target_bytes_ = 0;
  std::uint64_t allocations_ = 0;
};

}  // namespace tv::bench
