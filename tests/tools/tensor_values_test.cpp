#include "tools/tensorctl/tensor_values.h"

#include <limits>

#include "tests/support/catch.h"

namespace {

using namespace tv;
using shm::DType;
using shm::TensorSpec;

template <class T>
std::string values(DType dtype, std::initializer_list<std::int64_t> shape, const std::vector<T>& data) {
  auto spec = TensorSpec::contiguous(dtype, shape);
  REQUIRE(spec.ok());
  return ctl::tensor_values({&*spec, data.data()}).dump();
}

}  // namespace

TEST_CASE("elements are nested in the tensor's shape", "[values]") {
  CHECK(values<std::int32_t>(DType::kInt32, {2, 3}, {1, 2, 3, 4, 5, -6}) == "[[1,2,3],[4,5,-6]]");
  CHECK(values<std::int64_t>(DType::kInt64, {}, {7}) == "7");
  CHECK(values<float>(DType::kFloat32, {0, 3}, {}) == "[]");
  CHECK(values<std::uint8_t>(DType::kBool, {2}, {0, 1}) == "[false,true]");
}

TEST_CASE("strides are followed", "[values]") {
  auto spec = files::fortran_ordered(*TensorSpec::contiguous(DType::kUInt8, {2, 3}));
  const std::uint8_t data[] = {1, 4, 2, 5, 3, 6};
  CHECK(ctl::tensor_values({&spec, data}).dump() == "[[1,2,3],[4,5,6]]");
}

TEST_CASE("floats are as short as their type allows", "[values]") {
  CHECK(values<float>(DType::kFloat32, {3}, {0.1F, 1.0F, 1e-30F}) == "[0.1,1.0,1e-30]");
  CHECK(values<double>(DType::kFloat64, {1}, {0.1}) == "[0.1]");
  CHECK(values<float>(DType::kFloat32, {2}, {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) ==
        "[\"NaN\",\"-Infinity\"]");
}

TEST_CASE("small floats of every format are decoded", "[values]") {
  // 1, -2, largest, smallest above zero, infinity, not a number
  CHECK(values<std::uint16_t>(DType::kFloat16, {6}, {0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00, 0x7e00}) ==
        "[1.0,-2.0,65504.0,5.9604645e-08,\"Infinity\",\"NaN\"]");
  CHECK(values<std::uint16_t>(DType::kBFloat16, {3}, {0x3f80, 0xc000, 0x7fc0}) == "[1.0,-2.0,\"NaN\"]");
  CHECK(values<std::uint8_t>(DType::kFloat8E5M2, {5}, {0x3c, 0xc0, 0x7b, 0x7c, 0x7f}) == "[1.0,-2.0,57344.0,\"Infinity\",\"NaN\"]");
  CHECK(values<std::uint8_t>(DType::kFloat8E4M3FN, {5}, {0x38, 0xc0, 0x7e, 0x01, 0x7f}) == "[1.0,-2.0,448.0,0.001953125,\"NaN\"]");
  CHECK(values<std::uint8_t>(DType::kFloat8E4M3FNUZ, {3}, {0x40, 0x7f, 0x80}) == "[1.0,240.0,\"NaN\"]");
  CHECK(values<std::uint8_t>(DType::kFloat8E5M2FNUZ, {3}, {0x40, 0x7f, 0x80}) == "[1.0,57344.0,\"NaN\"]");
}

TEST_CASE("complex elements are pairs and quantised ones what they stand for", "[values]") {
  CHECK(values<float>(DType::kComplex64, {1}, {1.5F, -2.0F}) == "[[1.5,-2.0]]");
  auto spec = *TensorSpec::contiguous(DType::kQUInt8, {2});
  spec.scale = 0.5;
  spec.zero_point = 128;
  const std::uint8_t data[] = {128, 131};
  CHECK(ctl::tensor_values({&spec, data}).dump() == "[0.0,1.5]");
}
