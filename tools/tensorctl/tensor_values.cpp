#include "tools/tensorctl/tensor_values.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "tools/tensorctl/json_value.h"

namespace tv::ctl {
namespace {

using shm::DType;

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// The double that prints as shortly as the float does.
double shortest(float value) {
  if (!std::isfinite(value)) return value;
  char text[32];
  auto [end, error] = std::to_chars(text, text + sizeof text, value);
  double wide = value;
  if (error == std::errc{}) std::from_chars(text, end, wide);
  return wide;
}

// Small binary floats. IEEE: the largest exponent means infinity and NaN. Finite: no infinity, NaN is all ones.
// Unsigned zero ("fnuz"): the same, and NaN is what would be minus zero.
enum class Specials { kIeee, kFinite, kUnsignedZero };

float small_float(unsigned bits, int exponent_bits, int mantissa_bits, int bias, Specials specials) {
  unsigned mantissa = bits & ((1u << mantissa_bits) - 1);
  unsigned exponent = (bits >> mantissa_bits) & ((1u << exponent_bits) - 1);
  unsigned all_ones = (1u << exponent_bits) - 1;
  bool negative = (bits >> (mantissa_bits + exponent_bits)) & 1;
  float value = 0;
  if (specials == Specials::kIeee && exponent == all_ones) {
    value = mantissa ? std::numeric_limits<float>::quiet_NaN() : std::numeric_limits<float>::infinity();
  } else if (specials == Specials::kFinite && exponent == all_ones && mantissa == (1u << mantissa_bits) - 1) {
    value = std::numeric_limits<float>::quiet_NaN();
  } else if (specials == Specials::kUnsignedZero && negative && exponent == 0 && mantissa == 0) {
    return std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    value = std::ldexp(static_cast<float>(mantissa), 1 - bias - mantissa_bits);
  } else {
    value = std::ldexp(static_cast<float>(mantissa | (1u << mantissa_bits)), static_cast<int>(exponent) - bias - mantissa_bits);
  }
  return negative ? -value : value;
}

float bfloat16(std::uint16_t bits) {
  std::uint32_t wide = std::uint32_t{bits} << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

float half(const std::byte* at) { return small_float(load<std::uint16_t>(at), 5, 10, 15, Specials::kIeee); }
Json real(float value) { return json_number(shortest(value)); }
Json dequantised(const shm::TensorSpec& spec, std::int64_t stored) {
  return json_number(static_cast<double>(stored - spec.zero_point) * spec.scale);
}

Json element(const shm::TensorSpec& spec, const std::byte* at) {
  switch (spec.dtype) {
    case DType::kBool:
      return load<std::uint8_t>(at) != 0;
    case DType::kUInt8:
    case DType::kBits8:
      return load<std::uint8_t>(at);
    case DType::kInt8:
      return load<std::int8_t>(at);
    case DType::kInt16:
      return load<std::int16_t>(at);
    case DType::kInt32:
      return load<std::int32_t>(at);
    case DType::kInt64:
      return load<std::int64_t>(at);
    case DType::kUInt16:
    case DType::kBits16:
      return load<std::uint16_t>(at);
    case DType::kUInt32:
      return load<std::uint32_t>(at);
    case DType::kUInt64:
      return load<std::uint64_t>(at);
    case DType::kFloat16:
      return real(half(at));
    case DType::kBFloat16:
      return real(bfloat16(load<std::uint16_t>(at)));
    case DType::kFloat32:
      return real(load<float>(at));
    case DType::kFloat64:
      return json_number(load<double>(at));
    case DType::kFloat8E5M2:
      return real(small_float(load<std::uint8_t>(at), 5, 2, 15, Specials::kIeee));
    case DType::kFloat8E4M3FN:
      return real(small_float(load<std::uint8_t>(at), 4, 3, 7, Specials::kFinite));
    case DType::kFloat8E5M2FNUZ:
      return real(small_float(load<std::uint8_t>(at), 5, 2, 16, Specials::kUnsignedZero));
    case DType::kFloat8E4M3FNUZ:
      return real(small_float(load<std::uint8_t>(at), 4, 3, 8, Specials::kUnsignedZero));
    case DType::kComplex32:
      return Json::array({real(half(at)), real(half(at + 2))});
    case DType::kComplex64:
      return Json::array({real(load<float>(at)), real(load<float>(at + 4))});
    case DType::kComplex128:
      return Json::array({json_number(load<double>(at)), json_number(load<double>(at + 8))});
    case DType::kQInt8:
      return dequantised(spec, load<std::int8_t>(at));
    case DType::kQUInt8:
      return dequantised(spec, load<std::uint8_t>(at));
    case DType::kQInt32:
      return dequantised(spec, load<std::int32_t>(at));
    default:
      return nullptr;
  }
}

bool packs_elements(DType dtype) {
  return dtype == DType::kQUInt4x2 || dtype == DType::kQUInt2x4 || dtype == DType::kBits1x8 || dtype == DType::kBits2x4 ||
         dtype == DType::kBits4x2;
}

Json nested(const shm::TensorSpec& spec, const std::byte* at, std::size_t dim) {
  if (dim == spec.dims) return element(spec, at);
  Json list = Json::array();
  auto step = static_cast<std::size_t>(spec.strides[dim]) * shm::dtype_bytes(spec.dtype);
  for (std::int64_t i = 0; i < spec.shape[dim]; ++i) list.push_back(nested(spec, at + static_cast<std::size_t>(i) * step, dim + 1));
  return list;
}

}  // namespace

Json tensor_values(const files::TensorView& tensor) {
  if (packs_elements(tensor.spec->dtype)) return nullptr;
  return nested(*tensor.spec, static_cast<const std::byte*>(tensor.data), 0);
}

}  // namespace tv::ctl
