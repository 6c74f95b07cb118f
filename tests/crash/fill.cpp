#include "tests/crash/fill.h"

#include <cstring>

namespace tv::test {

using namespace tv::shm;

TensorSpec bytes_of(std::uint64_t bytes) { return *TensorSpec::contiguous(DType::kUInt8, {static_cast<std::int64_t>(bytes)}); }

std::optional<Tensor> filled_tensor(Store& store, std::uint64_t bytes, std::uint8_t fill) {
  auto draft = store.create(bytes_of(bytes));
  if (!draft) return std::nullopt;
  std::memset(draft->data(), fill, draft->bytes());
  return std::move(*draft).seal();
}

bool has_fill(const Tensor& tensor, std::uint8_t fill) {
  const auto* bytes = static_cast<const std::uint8_t*>(tensor.data());
  // Every byte equals the one before it, and the first is right.
  return tensor.bytes() == 0 || (bytes[0] == fill && std::memcmp(bytes, bytes + 1, tensor.bytes() - 1) == 0);
}

}  // namespace tv::test
