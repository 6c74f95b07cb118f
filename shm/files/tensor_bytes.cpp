#include "shm/files/tensor_bytes.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace tv::files {

static_assert(std::endian::native == std::endian::little, "files hold little-endian numbers and are read as they are");

shm::TensorSpec fortran_ordered(shm::TensorSpec spec) {
  std::int64_t stride = 1;
  for (std::size_t d = 0; d < spec.dims; ++d) {
    spec.strides[d] = stride;
    stride *= std::max<std::int64_t>(spec.shape[d], 1);
  }
  return spec;
}

bool is_fortran_ordered(const shm::TensorSpec& spec) {
  std::int64_t stride = 1;
  for (std::size_t d = 0; d < spec.dims; ++d) {
    if (spec.shape[d] != 1 && spec.strides[d] != stride) return false;
    stride *= std::max<std::int64_t>(spec.shape[d], 1);
  }
  return true;
}

namespace {

// Calls `visit` with the place of each element in storage, in elements, in C order, until it says false.
template <class Visit>
void each_element(const shm::TensorSpec& spec, Visit visit) {
  std::array<std::int64_t, limits::kMaxDims> index{};
  for (std::int64_t n = 0; n < spec.elements(); ++n) {
    std::int64_t at = 0;
    for (std::size_t d = 0; d < spec.dims; ++d) at += index[d] * spec.strides[d];
    if (!visit(static_cast<std::size_t>(at))) return;
    for (std::size_t d = spec.dims; d-- > 0;) {
      if (++index[d] < spec.shape[d]) break;
      index[d] = 0;
    }
  }
}

}  // namespace

Result<void> write_packed(ByteSink& file, const TensorView& tensor) {
  const auto& spec = *tensor.spec;
  const auto element = shm::dtype_bytes(spec.dtype);
  const auto elements = spec.elements();
  const auto* first = static_cast<const std::byte*>(tensor.data);
  if (elements <= 0) return {};
  if (spec.is_contiguous()) return file.write({first, static_cast<std::size_t>(elements) * element});
  Result<void> written;
  each_element(spec, [&](std::size_t at) { return (written = file.write({first + at * element, element})).ok(); });
  return written;
}

void unpack(std::span<const std::byte> packed, const shm::TensorSpec& spec, std::byte* storage) {
  const auto element = shm::dtype_bytes(spec.dtype);
  const auto* next = packed.data();
  each_element(spec, [&](std::size_t at) {
    std::memcpy(storage + at * element, next, element);
    next += element;
    return true;
  });
}

void swap_byte_order(shm::DType dtype, std::span<std::byte> bytes) {
  using shm::DType;
  auto unit = shm::dtype_bytes(dtype);
  if (dtype == DType::kComplex32 || dtype == DType::kComplex64 || dtype == DType::kComplex128) unit /= 2;
  if (unit < 2) return;
  for (std::size_t at = 0; at + unit <= bytes.size(); at += unit) std::reverse(bytes.begin() + at, bytes.begin() + at + unit);
}

void make_bools_valid(shm::DType dtype, std::span<std::byte> bytes) {
  if (dtype != shm::DType::kBool) return;
  for (auto& byte : bytes) byte = byte == std::byte{0} ? std::byte{0} : std::byte{1};
}

}  // namespace tv::files
