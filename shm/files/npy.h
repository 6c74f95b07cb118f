// NumPy's .npy files, versions 1 to 3: one array a file.
// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
//
// Reading trusts nothing: the header is at most 64 KiB and parsed without evaluating it, pickled objects are refused, and the file's
// size must be what shape and dtype say before anybody allocates. Fortran order becomes strides; big-endian numbers are swapped.
// bfloat16, float8 and quantised types have no name in NumPy: .safetensors has the first two.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "shm/files/tensor_bytes.h"

namespace tv::files {

// What the Python dictionary in the header says.
struct NpyHeader {
  shm::DType dtype = shm::DType::kFloat32;
  bool big_endian = false;
  bool fortran_order = false;
  std::vector<std::int64_t> shape;
};
Result<NpyHeader> parse_npy_header(std::string_view dictionary);

class NpyFile {
 public:
  static Result<NpyFile> open(const std::string& path);
  const shm::TensorSpec& spec() const { return spec_; }
  std::uint64_t bytes() const { return bytes_; }
  // REQUIRES out.size() == bytes().
  Result<void> read(std::span<std::byte> out) const;

 private:
  NpyFile(InputFile file, shm::TensorSpec spec, std::uint64_t data_at, std::uint64_t bytes, bool big_endian)
      : file_(std::move(file)), spec_(spec), data_at_(data_at), bytes_(bytes), big_endian_(big_endian) {}
  InputFile file_;
  shm::TensorSpec spec_;
  std::uint64_t data_at_;
  std::uint64_t bytes_;
  bool big_endian_;
};

// Version 1; Fortran order is kept, other strides are packed to C order. Replaces the file in one step.
Result<void> write_npy(const std::string& path, const TensorView& tensor);

}  // namespace tv::files
