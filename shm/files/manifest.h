// The manifest of a generation: what it is of, what its files hold, and how its tensors lie in memory. JSON that ends with a checksum of
// itself: no byte of it can change unnoticed, white space included.
//
//     {
//       "format": 1,
//       "actor": "counter", "type": "demo.counter", "schema": 1,
//       "generation": 7, "incarnation": 2, "commit": 1234, "time": "2026-11-25T02:11:30.000000000Z",
//       "files": [{"name": "state.bin", "bytes": 96, "xxh3_128": "..."}, {"name": "state.safetensors", ...}],
//       "tensors": [{"name": "weights", "dtype": "float32", "shape": [2, 3], "strides": [3, 1]}],
//       "xxh3_128": "32 digits: of every byte before them"
//     }
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/ids.h"
#include "shm/files/checksum.h"
#include "shm/tensor_spec.h"

namespace tv::files {

inline constexpr std::uint32_t kGenerationFormat = 1;
// Of state.bin: a framed Cap'n Proto wire::Value (ipc/stored_state.h).
inline constexpr std::uint32_t kStateSchema = 1;

struct StoredTensor {
  std::string name;  // in state.safetensors
  // As it was in the arena. Types that safetensors has no name for stand in the file as their bytes, U8.
  shm::TensorSpec spec;
};

struct Manifest {
  std::string actor;
  std::string type;
  std::uint32_t schema = kStateSchema;
  std::uint64_t generation = 0;
  Incarnation incarnation = 0;   // of the actor
  std::uint64_t commit = 0;      // its number in the daemon's life
  std::int64_t time_ns = 0;      // CLOCK_REALTIME
  std::vector<FileSum> files;    // state.bin, state.safetensors
  std::vector<StoredTensor> tensors;  // state.bin refers to them by their place here

  std::uint64_t bytes() const;  // of the files
};

std::string to_text(const Manifest& manifest);
// kCorrupt with what is wrong; kUnsupported for a whole manifest of another format or schema.
Result<Manifest> parse_manifest(std::string_view text);

std::string iso8601_ns(std::int64_t realtime_ns);

}  // namespace tv::files
