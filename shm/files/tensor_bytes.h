// Tensors as files want them: packed in C order, little-endian, bools that are 0 or 1.
#pragma once

#include <cstddef>
#include <span>

#include "config/result.h"
#include "shm/tensor_spec.h"
#include "shm/files/file_io.h"

namespace tv::files {

// A tensor in memory; neither is owned.
struct TensorView {
  const shm::TensorSpec* spec = nullptr;
  const void* data = nullptr;
};

// Strides of column-major order ("Fortran order"), in elements.
shm::TensorSpec fortran_ordered(shm::TensorSpec contiguous);
bool is_fortran_ordered(const shm::TensorSpec& spec);

// Writes the elements in C order, whatever the strides.
Result<void> write_packed(ByteSink& file, const TensorView& tensor);
// The reverse: elements in C order to where `spec` has them. REQUIRES room for spec.storage_bytes() at `storage`.
void unpack(std::span<const std::byte> packed, const shm::TensorSpec& spec, std::byte* storage);

// After reading from a file: elements (or the parts of complex ones) from big-endian to ours.
void swap_byte_order(shm::DType dtype, std::span<std::byte> bytes);
// A bool of any other value than 0 and 1 is undefined behaviour in C++: everything but 0 becomes 1.
void make_bools_valid(shm::DType dtype, std::span<std::byte> bytes);

}  // namespace tv::files
