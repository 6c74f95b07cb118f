// The arena of a fuzz target: the one place that knows how an arena is made, attached to and scribbled upon.
#pragma once

#include <memory>
#include <string>

#include "shm/directory.h"
#include "shm/store.h"
#include "tests/fuzz/input.h"

namespace tv::fuzz {

inline constexpr std::uint64_t kRingBytes = limits::kMinRingBytes;

inline std::shared_ptr<shm::Arena> make_arena() {
  auto arena = shm::Arena::create(limits::kMinArenaBytes, kRingBytes, limits::kSlotsPerChunk * 2);
  FUZZ_CHECK(arena.ok());
  return *std::move(arena);
}

// A mapping of its own, as another process would have it.
inline Result<std::shared_ptr<shm::Arena>> attach_again(const shm::Arena& arena) {
  return shm::Arena::attach(TV_TRY(arena.share(shm::Arena::Access::kWorker)));
}

inline std::shared_ptr<shm::Store> join(const std::shared_ptr<shm::Arena>& arena, ParticipantId id) {
  auto kind = id == kSupervisor ? shm::ParticipantKind::kSupervisor : shm::ParticipantKind::kWorker;
  shm::DirectoryWriter(arena).set_participant(id, kind, 0, 1, "p" + std::to_string(id));
  auto store = shm::Store::open(arena, id);
  FUZZ_CHECK(store.ok());
  return *std::move(store);
}

inline shm::TensorSpec bytes_spec(std::int64_t n) { return *shm::TensorSpec::contiguous(shm::DType::kUInt8, {n}); }

inline shm::Tensor make_tensor(shm::Store& store, std::size_t n) {
  auto tensor = store.put(bytes_spec(static_cast<std::int64_t>(n)), std::vector<std::byte>(n, std::byte{7}));
  FUZZ_CHECK(tensor.ok());
  return *std::move(tensor);
}

}  // namespace tv::fuzz
