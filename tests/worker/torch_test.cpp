#include "worker/torch/torch.h"

#include "tests/support/arena_fixture.h"
#include "worker/torch/compat.h"

namespace tv::test {
namespace {

torch::Tensor must_view(const shm::Tensor& tensor) {
  auto viewed = view(tensor);
  if (!viewed) FAIL(viewed.error().message);
  return *viewed;
}

shm::Tensor must_put(shm::Store& store, const torch::Tensor& tensor) {
  auto stored = put(store, tensor);
  if (!stored) FAIL(stored.error().message);
  return *stored;
}

// The bytes of a tensor's own storage, whatever its dtype can do.
std::vector<std::uint8_t> bytes(const torch::Tensor& tensor) {
  const auto* first = static_cast<const std::uint8_t*>(tensor.data_ptr());
  return {first, first + tensor.nbytes()};
}

// A contiguous tensor of 24 elements with bytes that differ.
torch::Tensor patterned(at::ScalarType type) {
  auto tensor = torch::empty({2, 3, 4}, type);
  auto* byte = static_cast<std::uint8_t*>(tensor.data_ptr());
  // 0 and 1 are what a bool may hold.
  for (std::size_t i = 0; i < tensor.nbytes(); ++i) byte[i] = type == at::kBool ? i % 2 : static_cast<std::uint8_t>(i * 7 + 1);
  return tensor;
}

bool same(const torch::Tensor& a, const torch::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() && torch::equal(a, b);
}

}  // namespace

TEST_CASE("every dtype of this LibTorch goes into the arena and comes back", "[torch]") {
  ArenaFixture f;
  auto store = f.attach(1);
  for (int number = 0; number < compat::kScalarTypes; ++number) {
    auto type = static_cast<at::ScalarType>(number);
    if (c10::isQIntType(type)) continue;
    INFO(c10::toString(type));
    auto tensor = patterned(type);
    auto back = must_view(must_put(*store, tensor));
    CHECK(back.scalar_type() == type);
    CHECK(back.sizes() == tensor.sizes());
    CHECK(back.strides() == tensor.strides());
    CHECK(bytes(back) == bytes(tensor));
  }
}

TEST_CASE("a dtype that this LibTorch lacks is refused by name", "[torch]") {
  ArenaFixture f;
  auto store = f.attach(1);
  for (auto number = static_cast<std::size_t>(compat::kScalarTypes); number < shm::kDTypeCount; ++number) {
    auto type = static_cast<shm::DType>(number);
    auto spec = shm::TensorSpec::contiguous(type, {4});
    REQUIRE(spec);
    auto draft = store->create(*spec);
    REQUIRE(draft);
    auto refused = view(std::move(*draft).seal());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::kUnsupported);
    CHECK(refused.error().message.find(std::string(shm::dtype_name(type))) != std::string::npos);
  }
}

TEST_CASE("tensors quantised per tensor keep scale and zero point", "[torch]") {
  ArenaFixture f;
  auto store = f.attach(1);
  auto values = torch::arange(-5, 6, torch::kFloat32);
  for (auto type : {torch::kQInt8, torch::kQUInt8, torch::kQInt32, torch::kQUInt4x2, torch::kQUInt2x4}) {
    INFO(c10::toString(type));
    auto quantised = torch::quantize_per_tensor(values, 0.1, type == torch::kQInt8 ? 0 : 1, type);
    auto back = must_view(must_put(*store, quantised));
    CHECK(back.scalar_type() == type);
    CHECK(back.q_scale() == quantised.q_scale());
    CHECK(back.q_zero_point() == quantised.q_zero_point());
    CHECK(torch::equal(back.dequantize(), quantised.dequantize()));
  }
}

TEST_CASE("a view reads the arena where the tensor lies and holds it", "[torch]") {
  ArenaFixture f;
  auto store = f.attach(1);
  auto stored = must_put(*store, torch::arange(10));
  auto handle = stored.handle();
  auto viewed = must_view(stored);
  CHECK(viewed.data_ptr() == stored.data());
  auto slice = viewed.slice(0, 5);
  stored = {};
  viewed.reset();
  CHECK(store->get(handle));
  CHECK(slice.sum().item<std::int64_t>() == 35);
  slice.reset();
  CHECK_FALSE(store->get(handle));
}

TEST_CASE("dense strides are kept and others made contiguous", "[torch]") {
  ArenaFixture f;
  auto store = f.attach(1);
  auto whole = torch::arange(24).view({2, 3, 4});

  auto transposed = whole.permute({2, 0, 1});
  auto kept = must_view(must_put(*store, transposed));
  CHECK(same(kept, transposed));
  CHECK(kept.strides() == transposed.strides());

  auto images = torch::rand({2, 3, 4, 5}).contiguous(at::MemoryFormat::ChannelsLast);
  CHECK(must_view(must_put(*store, images)).strides() == images.strides());

  auto sliced = whole.slice(2, 1, 3);
  auto packed = must_view(must_put(*store, sliced));
  CHECK(same(packed, sliced));
  CHECK(packed.is_contiguous());

  auto expanded = torch::arange(3).view({3, 1}).expand({3, 1000});
  auto stored = must_put(*store, expanded);
  CHECK(same(must_view(stored), expanded));
  CHECK(stored.bytes() == 3 * 1000 * 8);
}

TEST_CASE("an offset into a larger storage is not taken for its beginning", "[torch]") {
  ArenaFixture f;
  auto store = f.attach(1);
  auto row = torch::arange(24).view({4, 6}).select(0, 2);
  CHECK(same(must_view(must_put(*store, row)), row));
}

TEST_CASE("scalars, empty tensors and eight dimensions are tensors", "[torch]") {
  ArenaFixture f;
  auto store = f.attach(1);
  for (const auto& tensor : {torch::tensor(3.5), torch::empty({0}), torch::empty({3, 0, 2}), torch::ones({1, 2, 1, 2, 1, 2, 1, 2})}) {
    auto back = must_view(must_put(*store, tensor));
    CHECK(same(back, tensor));
    CHECK(back.dim() == tensor.dim());
  }
}

TEST_CASE("gradients are left behind, and lazy conjugation is done", "[torch]") {
  ArenaFixture f;
  auto store = f.attach(1);
  auto leaf = torch::ones({3}, torch::requires_grad());
  CHECK_FALSE(must_view(must_put(*store, leaf)).requires_grad());
  auto conjugated = torch::complex(torch::rand({4}), torch::rand({4})).conj();
  CHECK(torch::equal(must_view(must_put(*store, conjugated)), conjugated.resolve_conj()));
}

TEST_CASE("what cannot lie in the arena is refused with what to do", "[torch]") {
  ArenaFixture f;
  auto store = f.attach(1);
  auto refusal = [&](const torch::Tensor& tensor) {
    auto stored = put(*store, tensor);
    return stored ? std::string() : stored.error().message;
  };
  CHECK(refusal(torch::Tensor()).find("undefined") != std::string::npos);
  CHECK(refusal(torch::eye(3).to_sparse()).find("to_dense()") != std::string::npos);
  CHECK(refusal(torch::ones({2, 2}, torch::device(torch::kMeta))).find(".cpu()") != std::string::npos);
  auto per_channel = torch::quantize_per_channel(torch::rand({2, 2}), torch::ones({2}), torch::zeros({2}, torch::kLong), 0, torch::kQInt8);
  CHECK(refusal(per_channel).find("per channel") != std::string::npos);
  CHECK(refusal(torch::ones({1, 1, 1, 1, 1, 1, 1, 1, 1})).find("9 dimensions") != std::string::npos);
  CHECK(refusal(torch::empty({1 << 30}, torch::kUInt8)).find("[arena] size") != std::string::npos);
}

TEST_CASE("a draft is written through its tensor and then sealed", "[torch]") {
  ArenaFixture f;
  auto store = f.attach(1);
  auto drafted = draft(*store, {4, 4}, torch::kFloat32);
  REQUIRE(drafted);
  drafted->tensor.fill_(2.5);
  auto sealed = std::move(*drafted).seal();
  CHECK(must_view(sealed).sum().item<float>() == 40.0F);
}

}  // namespace tv::test
