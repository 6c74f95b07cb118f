#include "shm/object_header.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace tv::shm {

void write_header(const Arena& arena, std::uint32_t slot, const TensorSpec& spec, std::uint64_t storage_bytes, std::string_view label) {
  TensorHeader& header = arena.object_header(slot);
  header.magic = kTensorMagic;
  header.dtype = static_cast<std::uint8_t>(spec.dtype);
  header.dims = spec.dims;
  header.reserved = 0;
  header.storage_bytes = storage_bytes;
  std::copy(spec.shape.begin(), spec.shape.end(), header.shape);
  std::copy(spec.strides.begin(), spec.strides.end(), header.strides);
  header.scale = spec.scale;
  header.zero_point = spec.zero_point;
  std::size_t n = std::min(label.size(), limits::kMaxLabel);
  if (n > 0) std::memcpy(header.label, label.data(), n);
  header.label[n] = 0;
}

Result<Content> read_header(const Arena& arena, std::uint32_t index) {
  const ObjectSlot& slot = arena.slot(index);
  std::uint64_t offset = slot.offset, footprint = slot.footprint, payload = slot.payload_bytes;
  std::uint64_t end = offset + footprint;
  if (offset < arena.geometry().blocks_at || end > arena.geometry().total_bytes || end < offset || payload > footprint ||
      offset % limits::kAlignment != 0)
    return Error{Errc::kCorrupt, "an object's slot points outside the arena"};
  TensorHeader header;
  std::memcpy(&header, &arena.object_header(index), sizeof header);
  auto dtype = dtype_from_number(header.dtype);
  if (header.magic != kTensorMagic || !dtype || header.dims > limits::kMaxDims || header.storage_bytes != payload)
    return Error{Errc::kCorrupt, "an object's header holds nonsense"};
  TensorSpec spec;
  spec.dtype = *dtype;
  spec.dims = header.dims;
  std::copy(std::begin(header.shape), std::end(header.shape), spec.shape.begin());
  std::copy(std::begin(header.strides), std::end(header.strides), spec.strides.begin());
  spec.scale = header.scale;
  spec.zero_point = header.zero_point;
  auto bytes = spec.storage_bytes();
  if (!bytes || *bytes != header.storage_bytes) return Error{Errc::kCorrupt, "an object's header contradicts its size"};
  return Content{spec, offset, payload};
}

std::string read_label(const Arena& arena, std::uint32_t slot) {
  TensorHeader header;
  std::memcpy(&header, &arena.object_header(slot), sizeof header);
  if (header.magic != kTensorMagic) return {};
  return {header.label, ::strnlen(header.label, limits::kMaxLabel)};
}

void write_failure(const Arena& arena, std::uint32_t slot, const Error& why) {
  FailureHeader failure{};
  failure.magic = kFailureMagic;
  failure.code = static_cast<std::uint16_t>(why.code);
  failure.bytes = static_cast<std::uint16_t>(std::min(why.message.size(), sizeof failure.text));
  std::memcpy(failure.text, why.message.data(), failure.bytes);
  std::memcpy(static_cast<void*>(&arena.object_header(slot)), &failure, sizeof failure);
}

Error read_failure(const Arena& arena, std::uint32_t slot) {
  FailureHeader failure;
  std::memcpy(&failure, &arena.object_header(slot), sizeof failure);
  if (failure.magic != kFailureMagic || failure.bytes > sizeof failure.text || failure.code > static_cast<std::uint16_t>(Errc::kNotDelivered))
    return Error{Errc::kCorrupt, "an object's failure holds nonsense"};
  return Error{static_cast<Errc>(failure.code), std::string(failure.text, failure.bytes)};
}

}  // namespace tv::shm
