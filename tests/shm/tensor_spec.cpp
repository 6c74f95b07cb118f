#include "shm/tensor_spec.h"

#include <limits>

#include "tests/support/catch.h"

using namespace tv;
using namespace tv::shm;

TEST_CASE("a contiguous spec has row-major strides and the size of its elements", "[shm]") {
  auto spec = TensorSpec::contiguous(DType::kFloat32, {2, 3, 4});
  REQUIRE(spec.ok());
  CHECK(spec->strides[0] == 12);
  CHECK(spec->strides[1] == 4);
  CHECK(spec->strides[2] == 1);
  CHECK(*spec->storage_bytes() == 96);
  CHECK(spec->is_contiguous());
  CHECK(to_string(*spec) == "float32[2, 3, 4]");
}

TEST_CASE("a scalar has one element and an empty tensor none", "[shm]") {
  CHECK(*TensorSpec::contiguous(DType::kInt64, std::initializer_list<std::int64_t>{})->storage_bytes() == 8);
  CHECK(*TensorSpec::contiguous(DType::kInt64, {3, 0, 5})->storage_bytes() == 0);
}

TEST_CASE("every dtype has a name that parses back and a size", "[shm]") {
  for (int i = 0; i < static_cast<int>(kDTypeCount); ++i) {
    DType type = *dtype_from_number(i);
    CHECK(parse_dtype(dtype_name(type)) == type);
    CHECK(dtype_bytes(type) > 0);
  }
  CHECK_FALSE(dtype_from_number(-1));
  CHECK_FALSE(dtype_from_number(static_cast<int>(kDTypeCount)));
  CHECK_FALSE(parse_dtype("float31"));
}

TEST_CASE("a transposed tensor keeps its strides", "[shm]") {
  TensorSpec spec = *TensorSpec::contiguous(DType::kFloat32, {3, 5});
  std::swap(spec.shape[0], spec.shape[1]);
  std::swap(spec.strides[0], spec.strides[1]);
  CHECK(*spec.storage_bytes() == 60);
  CHECK_FALSE(spec.is_contiguous());
}

TEST_CASE("impossible shapes and strides are refused with the reason", "[shm]") {
  auto refusal = [](const TensorSpec& spec) {
    auto bytes = spec.storage_bytes();
    REQUIRE_FALSE(bytes.ok());
    CHECK(bytes.error().code == Errc::kInvalidArgument);
    return bytes.error().message;
  };
  TensorSpec spec = *TensorSpec::contiguous(DType::kFloat32, {4, 4});
  SECTION("negative size") {
    spec.shape[0] = -1;
    CHECK(refusal(spec).find("negative") != std::string::npos);
  }
  SECTION("negative stride") {
    spec.strides[1] = -1;
    CHECK(refusal(spec).find("stride is negative") != std::string::npos);
  }
  SECTION("expanded, so that elements overlap") {
    spec.strides[0] = 0;
    CHECK(refusal(spec).find("overlap") != std::string::npos);
  }
  SECTION("overflow") {
    spec.shape[0] = std::numeric_limits<std::int64_t>::max() / 2;
    CHECK(refusal(spec).find("overflows") != std::string::npos);
  }
  SECTION("overflow beside a size of zero, which is nothing after all") {
    spec.shape = {0, std::numeric_limits<std::int64_t>::max() / 2, 3};
    spec.strides = {1, 1, 1};
    spec.dims = 3;
    CHECK(spec.storage_bytes().value_or(1) == 0);
    CHECK(spec.elements() == 0);
    CHECK(spec.is_contiguous());
  }
  SECTION("nine dimensions") {
    std::int64_t nine[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    auto made = TensorSpec::contiguous(DType::kUInt8, std::span<const std::int64_t>(nine));
    REQUIRE_FALSE(made.ok());
    CHECK(made.error().message.find("at most 8") != std::string::npos);
  }
}
