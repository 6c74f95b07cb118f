// Object headers: what a tensor is, or why it will never be one, as bytes beside the object's slot. Written by whoever owns the slot's
// chunk, read with suspicion by everybody else.
#pragma once

#include <string_view>

#include "shm/arena.h"
#include "shm/tensor_spec.h"

namespace tv::shm {

void write_header(const Arena& arena, std::uint32_t slot, const TensorSpec& spec, std::uint64_t storage_bytes, std::string_view label);
struct Content {
  TensorSpec spec;
  std::uint64_t offset;  // of the payload, aligned and inside the blocks
  std::uint64_t bytes;
};
// kCorrupt when the header holds nonsense or contradicts the slot. Shared words are read once: what was checked is what is returned.
Result<Content> read_header(const Arena& arena, std::uint32_t slot);
// What made it; empty when nobody said.
std::string read_label(const Arena& arena, std::uint32_t slot);

void write_failure(const Arena& arena, std::uint32_t slot, const Error& why);
// The error that the object was sealed with.
Error read_failure(const Arena& arena, std::uint32_t slot);

}  // namespace tv::shm
