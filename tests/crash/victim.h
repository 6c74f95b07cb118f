// Victim: the participant that dies, in a process of its own. What it has before the operation is the same for all operations.
#pragma once

#include <optional>
#include <vector>

#include "tests/crash/scene.h"

namespace tv::test {

struct Victim {
  // Attaches, makes what a worker has, and has told the driver's notes of it.
  explicit Victim(const Scene& scene);

  // Letters to the witness, with one tensor that stays held. Nobody is told: the doorbell is another matter.
  void write_letter(const shm::Tensor& tensor, std::uint8_t fill, std::uint64_t more_bytes = 0);
  // The next letter of the witness.
  shm::Record read_letter();
  shm::Tensor make(std::uint64_t bytes, std::uint8_t fill = kOtherFill);
  shm::Tensor get(shm::Handle handle);
  void commit_state(const shm::Tensor& tensor, std::uint8_t fill);

  Notes& notes;
  std::shared_ptr<shm::Arena> arena;
  std::shared_ptr<shm::Store> store;
  std::optional<shm::RingWriter> to_witness, control_to_witness;
  std::optional<shm::RingReader> from_witness;
  std::vector<shm::Tensor> shared, mailed;
  shm::State state;
  shm::Tensor manifest;

  // What an operation prepares, acts on and leaves behind.
  std::vector<shm::Tensor> tensors;
  std::vector<shm::Draft> drafts;
  std::optional<shm::Record> record;
  shm::RecordPlace last;  // letter to the witness
  std::optional<shm::State> next_state;
  std::optional<shm::DirectoryWriter> directory;
  std::uint32_t entry = 0;  // of a name
  std::uint64_t result = 0;
};

}  // namespace tv::test
