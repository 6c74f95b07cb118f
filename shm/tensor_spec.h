// What a tensor is besides its bytes: element type, shape, strides. Knows LibTorch's numbering but not LibTorch.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "config/limits.h"
#include "config/result.h"

namespace tv::shm {

// The numbers are c10::ScalarType's of LibTorch 2.6; an older LibTorch lacks the later ones and refuses them at conversion.
enum class DType : std::uint8_t {
  kUInt8 = 0, kInt8 = 1, kInt16 = 2, kInt32 = 3, kInt64 = 4,
  kFloat16 = 5, kFloat32 = 6, kFloat64 = 7,
  kComplex32 = 8, kComplex64 = 9, kComplex128 = 10,
  kBool = 11, kQInt8 = 12, kQUInt8 = 13, kQInt32 = 14, kBFloat16 = 15, kQUInt4x2 = 16, kQUInt2x4 = 17,
  kBits1x8 = 18, kBits2x4 = 19, kBits4x2 = 20, kBits8 = 21, kBits16 = 22,
  kFloat8E5M2 = 23, kFloat8E4M3FN = 24, kFloat8E5M2FNUZ = 25, kFloat8E4M3FNUZ = 26,
  kUInt16 = 27, kUInt32 = 28, kUInt64 = 29,
};
inline constexpr std::size_t kDTypeCount = 30;

std::string_view dtype_name(DType type);                       // "float32"
std::optional<DType> parse_dtype(std::string_view name);
std::optional<DType> dtype_from_number(int scalar_type);
std::size_t dtype_bytes(DType type);                           // of one element
bool dtype_is_quantized(DType type);

// Shape and strides in elements, as LibTorch has them. A fresh spec is contiguous; strided ones are kept as they are, as long as no two
// elements overlap and no stride is negative: then the bytes from the first to the last element are what is stored.
struct TensorSpec {
  DType dtype = DType::kFloat32;
  std::uint8_t dims = 0;  // 0: a scalar, one element
  std::array<std::int64_t, limits::kMaxDims> shape{};
  std::array<std::int64_t, limits::kMaxDims> strides{};
  double scale = 1.0;           // quantised types, per tensor: value = (q - zero_point) * scale
  std::int64_t zero_point = 0;

  static Result<TensorSpec> contiguous(DType dtype, std::span<const std::int64_t> shape);
  static Result<TensorSpec> contiguous(DType dtype, std::initializer_list<std::int64_t> shape) {
    return contiguous(dtype, std::span(shape.begin(), shape.size()));
  }

  std::span<const std::int64_t> shape_span() const { return {shape.data(), dims}; }
  std::span<const std::int64_t> strides_span() const { return {strides.data(), dims}; }
  std::int64_t elements() const;
  bool is_contiguous() const;

  // Bytes of storage; refuses negative or overflowing shapes, more than kMaxDims dimensions, negative or overlapping strides.
  Result<std::uint64_t> storage_bytes() const;
};

std::string to_string(const TensorSpec& spec);  // "float32[60000, 28, 28]"

}  // namespace tv::shm
