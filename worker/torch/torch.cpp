#include "worker/torch/torch.h"

#include <ATen/quantized/QTensorImpl.h>
#include <ATen/quantized/Quantizer.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "worker/torch/compat.h"

namespace tv {
namespace {

std::string name_of(at::ScalarType type) { return c10::toString(type); }

Result<at::ScalarType> scalar_type(shm::DType type) {
  int number = static_cast<int>(type);
  if (number >= compat::kScalarTypes)
    return Error{Errc::kUnsupported, "LibTorch " + std::string(compat::version()) + " has no dtype " + std::string(shm::dtype_name(type))};
  return static_cast<at::ScalarType>(number);
}

torch::Tensor wrap(const shm::TensorSpec& spec, at::ScalarType type, void* data, std::function<void(void*)> release) {
  at::IntArrayRef shape(spec.shape.data(), spec.dims);
  at::IntArrayRef strides(spec.strides.data(), spec.dims);
  auto options = torch::TensorOptions().dtype(type);
  if (shm::dtype_is_quantized(spec.dtype)) {
    auto tensor = at::from_blob_quantized_per_tensor_affine(data, shape, strides, std::move(release), static_cast<float>(spec.scale),
                                                            spec.zero_point, options);
    // That function takes the scale as a float; tensors have it as a double.
    at::get_qtensorimpl(tensor)->set_quantizer_(at::make_per_tensor_affine_quantizer(spec.scale, spec.zero_point, type));
    return tensor;
  }
  return at::from_blob(data, shape, strides, std::move(release), options);
}

Error from_torch(const std::exception& e) {
  std::string_view text = e.what();
  return Error{Errc::kUnsupported, std::string(text.substr(0, text.find("\nException raised from")))};
}

Result<void> check_storable(const torch::Tensor& tensor) {
  if (!tensor.defined()) return Error{Errc::kInvalidArgument, "an undefined tensor cannot be put into the arena"};
  if (tensor.layout() != at::kStrided)
    return Error{Errc::kUnsupported, "a sparse tensor cannot be put into the arena; make it dense with .to_dense() first"};
  if (!tensor.device().is_cpu())
    return Error{Errc::kUnsupported, "a tensor on " + tensor.device().str() + " cannot be put into the arena; move it with .cpu() first"};
  if (tensor.is_quantized() && tensor.qscheme() != at::kPerTensorAffine)
    return Error{Errc::kUnsupported,
                 "a tensor that is quantised per channel cannot be put into the arena; quantise it per tensor or dequantize() it"};
  if (tensor.dim() > static_cast<std::int64_t>(limits::kMaxDims))
    return Error{Errc::kInvalidArgument, "a tensor of " + std::to_string(tensor.dim()) + " dimensions; the arena takes " +
                                             std::to_string(limits::kMaxDims) + " at most"};
  return {};
}

Result<shm::TensorSpec> spec_of(const torch::Tensor& tensor) {
  auto dtype = TV_TRY(dtype_of(tensor.scalar_type()));
  auto sizes = tensor.sizes();
  auto spec = TV_TRY(shm::TensorSpec::contiguous(dtype, std::span(sizes.data(), sizes.size())));
  // Empty tensors may have any strides; the contiguous ones serve.
  if (tensor.numel() > 0) std::copy(tensor.strides().begin(), tensor.strides().end(), spec.strides.begin());
  if (tensor.is_quantized()) {
    spec.scale = tensor.q_scale();
    spec.zero_point = tensor.q_zero_point();
  }
  return spec;
}

// What will be copied: the tensor itself where its bytes are one dense run, else a contiguous copy; conjugation and negation, which
// LibTorch does lazily, done.
torch::Tensor settled(const torch::Tensor& tensor) {
  auto plain = tensor.detach().resolve_conj().resolve_neg();
  return plain.is_non_overlapping_and_dense() ? plain : plain.contiguous();
}

// Of a dense tensor. Types that pack several values into a byte (quint4x2, quint2x4) count a byte an element and own fewer.
std::size_t bytes_of(const torch::Tensor& tensor) {
  auto offset = static_cast<std::size_t>(tensor.storage_offset()) * tensor.itemsize();
  return std::min(tensor.nbytes(), tensor.storage().nbytes() - offset);
}

}  // namespace

Result<shm::DType> dtype_of(at::ScalarType type) {
  auto known = shm::dtype_from_number(static_cast<int>(type));
  if (!known) return Error{Errc::kUnsupported, "dtype " + name_of(type) + " cannot be put into the arena"};
  return *known;
}

Result<torch::Tensor> view(const shm::Tensor& tensor) {
  if (!tensor) return Error{Errc::kInvalidArgument, "no tensor: the handle is empty"};
  const auto& spec = tensor.spec();
  auto type = TV_TRY(scalar_type(spec.dtype));
  try {
    // The view's storage owns a reference to the object; LibTorch wants non-const bytes, the page table knows better.
    return wrap(spec, type, const_cast<void*>(tensor.data()), [held = tensor](void*) mutable { held = {}; });
  } catch (const std::exception& e) {
    return from_torch(e);
  }
}

torch::Tensor to_torch(const shm::Tensor& tensor) {
  auto viewed = view(tensor);
  if (!viewed) throw std::runtime_error(viewed.error().message);
  return *std::move(viewed);
}

Result<shm::Tensor> put(shm::Store& store, const torch::Tensor& tensor, ActorId creator) {
  TV_TRY(check_storable(tensor));
  try {
    auto source = settled(tensor);
    auto spec = TV_TRY(spec_of(source));
    auto draft = TV_TRY(store.create(spec, creator));
    if (source.numel() > 0) std::memcpy(draft.data(), source.data_ptr(), bytes_of(source));
    return std::move(draft).seal();
  } catch (const std::exception& e) {
    return from_torch(e);
  }
}

Result<TorchDraft> draft(shm::Store& store, at::IntArrayRef shape, at::ScalarType dtype, ActorId creator) {
  auto type = TV_TRY(dtype_of(dtype));
  if (shm::dtype_is_quantized(type)) return Error{Errc::kUnsupported, "a quantised tensor cannot be drafted; put() a finished one"};
  auto spec = TV_TRY(shm::TensorSpec::contiguous(type, std::span(shape.data(), shape.size())));
  auto empty = TV_TRY(store.create(spec, creator));
  try {
    auto tensor = wrap(spec, dtype, empty.data(), [](void*) {});
    return TorchDraft{std::move(empty), std::move(tensor)};
  } catch (const std::exception& e) {
    return from_torch(e);
  }
}

}  // namespace tv
