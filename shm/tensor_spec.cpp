#include "shm/tensor_spec.h"

#include <algorithm>
#include <vector>

namespace tv::shm {
namespace {

struct DTypeInfo {
  std::string_view name;
  std::uint8_t bytes;
};

constexpr std::array<DTypeInfo, kDTypeCount> kDTypes = {{
    {"uint8", 1},      {"int8", 1},       {"int16", 2},       {"int32", 4},     {"int64", 8},   {"float16", 2},
    {"float32", 4},    {"float64", 8},    {"complex32", 4},   {"complex64", 8}, {"complex128", 16}, {"bool", 1},
    {"qint8", 1},      {"quint8", 1},     {"qint32", 4},      {"bfloat16", 2},  {"quint4x2", 1}, {"quint2x4", 1},
    {"bits1x8", 1},    {"bits2x4", 1},    {"bits4x2", 1},     {"bits8", 1},     {"bits16", 2},  {"float8_e5m2", 1},
    {"float8_e4m3fn", 1}, {"float8_e5m2fnuz", 1}, {"float8_e4m3fnuz", 1}, {"uint16", 2}, {"uint32", 4}, {"uint64", 8},
}};

// No tensor is larger than the largest arena; products are checked against it.
constexpr std::uint64_t kMaxTensorBytes = limits::kMaxArenaBytes;

Error impossible(const TensorSpec& spec, const char* why) {
  return Error{Errc::kInvalidArgument, "tensor " + to_string(spec) + " cannot be: " + why};
}

// Every element has a place of its own if, sorted by stride, each dimension steps over all that the smaller ones span.
bool overlaps(const TensorSpec& spec) {
  std::vector<std::pair<std::int64_t, std::int64_t>> steps;
  for (std::size_t d = 0; d < spec.dims; ++d)
    if (spec.shape[d] > 1) steps.emplace_back(spec.strides[d], spec.shape[d]);
  std::sort(steps.begin(), steps.end());
  std::int64_t span = 1;
  for (auto [stride, size] : steps) {
    if (stride < span) return true;
    span = stride * (size - 1) + span;
  }
  return false;
}

bool is_empty(const TensorSpec& spec) {
  auto shape = spec.shape_span();
  return std::find(shape.begin(), shape.end(), 0) != shape.end();
}

}  // namespace

std::string_view dtype_name(DType type) {
  auto index = static_cast<std::size_t>(type);
  return index < kDTypeCount ? kDTypes[index].name : "unknown";
}

std::optional<DType> parse_dtype(std::string_view name) {
  for (std::size_t i = 0; i < kDTypeCount; ++i)
    if (kDTypes[i].name == name) return static_cast<DType>(i);
  return std::nullopt;
}

std::optional<DType> dtype_from_number(int scalar_type) {
  if (scalar_type < 0 || static_cast<std::size_t>(scalar_type) >= kDTypeCount) return std::nullopt;
  return static_cast<DType>(scalar_type);
}

std::size_t dtype_bytes(DType type) {
  auto index = static_cast<std::size_t>(type);
  return index < kDTypeCount ? kDTypes[index].bytes : 0;
}

bool dtype_is_quantized(DType type) {
  return type == DType::kQInt8 || type == DType::kQUInt8 || type == DType::kQInt32 || type == DType::kQUInt4x2 ||
         type == DType::kQUInt2x4;
}

Result<TensorSpec> TensorSpec::contiguous(DType dtype, std::span<const std::int64_t> shape) {
  if (shape.size() > limits::kMaxDims)
    return Error{Errc::kInvalidArgument, "a tensor of " + std::to_string(shape.size()) + " dimensions: at most " +
                                             std::to_string(limits::kMaxDims) + " are possible; reshape it first"};
  TensorSpec spec;
  spec.dtype = dtype;
  spec.dims = static_cast<std::uint8_t>(shape.size());
  std::copy(shape.begin(), shape.end(), spec.shape.begin());
  std::int64_t stride = 1;
  for (std::size_t d = shape.size(); d-- > 0;) {
    spec.strides[d] = stride;
    if (shape[d] > 0 && __builtin_mul_overflow(stride, shape[d], &stride)) return impossible(spec, "its size overflows");
  }
  if (auto bytes = spec.storage_bytes(); !bytes) return bytes.error();
  return spec;
}

std::int64_t TensorSpec::elements() const {
  if (is_empty(*this)) return 0;  // the product of the other sizes may overflow
  std::int64_t product = 1;
  for (auto size : shape_span()) product *= size;
  return product;
}

bool TensorSpec::is_contiguous() const {
  if (is_empty(*this)) return true;
  std::int64_t expected = 1;
  for (std::size_t d = dims; d-- > 0;) {
    if (shape[d] != 1 && strides[d] != expected) return false;
    expected *= shape[d];
  }
  return true;
}

Result<std::uint64_t> TensorSpec::storage_bytes() const {
  if (static_cast<std::size_t>(dtype) >= kDTypeCount) return impossible(*this, "the dtype is unknown");
  if (dims > limits::kMaxDims) return Error{Errc::kInvalidArgument, "a tensor of more than 8 dimensions"};
  std::int64_t elements = 1;
  std::int64_t last = 0;
  bool empty = false;
  for (std::size_t d = 0; d < dims; ++d) {
    if (shape[d] < 0) return impossible(*this, "a size is negative");
    if (strides[d] < 0) return impossible(*this, "a stride is negative");
    if (shape[d] == 0) empty = true;
  }
  if (empty) return std::uint64_t{0};
  for (std::size_t d = 0; d < dims; ++d) {
    std::int64_t reach = 0;
    if (__builtin_mul_overflow(elements, shape[d], &elements) || __builtin_mul_overflow(shape[d] - 1, strides[d], &reach) ||
        __builtin_add_overflow(last, reach, &last))
      return impossible(*this, "its size overflows");
  }
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(static_cast<std::uint64_t>(last) + 1, dtype_bytes(dtype), &bytes) || bytes > kMaxTensorBytes)
    return impossible(*this, "it is larger than any arena");
  if (!is_contiguous() && overlaps(*this)) return impossible(*this, "its strides let elements overlap; make it contiguous first");
  return bytes;
}

std::string to_string(const TensorSpec& spec) {
  std::string text(dtype_name(spec.dtype));
  text += '[';
  for (std::size_t d = 0; d < spec.dims && d < limits::kMaxDims; ++d) {
    if (d > 0) text += ", ";
    text += std::to_string(spec.shape[d]);
  }
  return text + ']';
}

}  // namespace tv::shm
