#include "tools/bench/mixed_load.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "shm/usage.h"

namespace tv::bench {
namespace {

constexpr std::uint64_t kSmallest = 64;
// Two of three objects die young: among the last so many.
constexpr std::size_t kYoung = 32;

}  // namespace

std::uint64_t SizeMix::next() {
  double span = std::log2(static_cast<double>(largest_) / static_cast<double>(kSmallest));
  bool power = (random_() & 1) != 0;
  if (power) return kSmallest << (random_() % (static_cast<std::uint64_t>(span) + 1));
  double exponent = std::uniform_real_distribution<double>(0, span)(random_);
  return static_cast<std::uint64_t>(static_cast<double>(kSmallest) * std::exp2(exponent));
}

MixedLoad::MixedLoad(std::uint64_t arena_bytes, std::uint64_t largest, std::uint32_t participants, std::uint64_t seed)
    : arena_(arena_bytes, participants), random_(seed), sizes_(seed + 1, largest) {
  for (ParticipantId id = 1; id <= participants; ++id) stores_.push_back(must(shm::Store::open(arena_.arena, id)));
  capacity_ = std::uint64_t{arena_.arena->geometry().blocks} * limits::kBlockBytes;
}

bool MixedLoad::step() {
  std::uint64_t bytes = sizes_.next();
  while (!alive_.empty() && live_bytes_ + bytes > target_bytes_) drop_one();
  auto& store = *stores_[random_() % stores_.size()];
  auto draft = store.create(bytes_spec(bytes));
  if (!draft) {
    if (draft.error().code != Errc::kArenaFull) throw Failure(draft.error().message);
    return false;
  }
  alive_.push_back(std::move(*draft).seal());
  live_bytes_ += bytes;
  ++allocations_;
  return true;
}

void MixedLoad::drop_one() {
  std::size_t among = random_() % 3 != 0 ? std::min(kYoung, alive_.size()) : alive_.size();
  std::size_t victim = alive_.size() - 1 - random_() % among;
  live_bytes_ -= alive_[victim].bytes();
  std::swap(alive_[victim], alive_.back());
  alive_.pop_back();
}

double MixedLoad::unusable_percent() const {
  for (const auto& store : stores_) store->collect();
  auto figures = shm::stats(*arena_.arena);
  double leased = static_cast<double>(figures.blocks_leased - figures.blocks_kept) * static_cast<double>(limits::kBlockBytes);
  return leased <= 0 ? 0 : 100 * (leased - static_cast<double>(live_bytes_)) / leased;
}

}  // namespace tv::bench
