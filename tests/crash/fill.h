// Tensors that are filled with one byte: whether their content is whole can be seen by everybody who knows the byte.
#pragma once

#include <cstdint>
#include <optional>

#include "shm/store.h"

namespace tv::test {

shm::TensorSpec bytes_of(std::uint64_t bytes);
std::optional<shm::Tensor> filled_tensor(shm::Store& store, std::uint64_t bytes, std::uint8_t fill);
bool has_fill(const shm::Tensor& tensor, std::uint8_t fill);

}  // namespace tv::test
