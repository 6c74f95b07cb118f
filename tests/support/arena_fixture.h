// A private arena with attached participants, for tests that need no daemon.
#pragma once

#include <memory>

#include "shm/directory.h"
#include "shm/fsck.h"
#include "shm/store.h"
#include "shm/usage.h"
#include "tests/support/catch.h"

namespace tv::test {

inline constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

struct ArenaFixture {
  explicit ArenaFixture(std::uint64_t bytes = 64 * kMiB, std::uint64_t ring_bytes = 64 << 10, std::uint32_t objects = 4096,
                        std::uint64_t client_bytes = 0) {
    auto created = shm::Arena::create({.bytes = bytes, .ring_bytes = ring_bytes, .objects = objects, .client_bytes = client_bytes});
    if (!created) FAIL(created.error().message);
    arena = *created;
    directory = std::make_unique<shm::DirectoryWriter>(arena);
    directory->set_participant(kSupervisor, shm::ParticipantKind::kSupervisor, 0, 1, "supervisor");
  }

  std::shared_ptr<shm::Store> attach(ParticipantId id, Incarnation incarnation = 1) {
    directory->set_participant(id, shm::ParticipantKind::kWorker, 0, incarnation, "p" + std::to_string(id));
    auto store = shm::Store::open(arena, id);
    if (!store) FAIL(store.error().message);
    return *store;
  }

  // Participants take back what has been freed; then the books must balance.
  void require_consistent() {
    auto report = shm::fsck(*arena);
    for (const auto& problem : report.problems) UNSCOPED_INFO(problem);
    REQUIRE(report.problems.empty());
  }

  std::shared_ptr<shm::Arena> arena;
  std::unique_ptr<shm::DirectoryWriter> directory;
};

inline shm::TensorSpec bytes_spec(std::int64_t n) { return *shm::TensorSpec::contiguous(shm::DType::kUInt8, {n}); }

// A sealed tensor of n bytes that all have `value`.
inline shm::Tensor make_tensor(shm::Store& store, std::int64_t n, std::uint8_t value = 0) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(n), std::byte{value});
  auto tensor = store.put(bytes_spec(n), bytes);
  if (!tensor) FAIL(tensor.error().message);
  return *std::move(tensor);
}

}  // namespace tv::test
