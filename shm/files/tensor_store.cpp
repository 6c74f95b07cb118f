#include "shm/files/tensor_store.h"

#include "shm/files/npy.h"
#include "shm/files/safetensors.h"

namespace tv::files {
namespace {

template <class Read>
Result<shm::Tensor> load(shm::Store& store, const std::string& what, const shm::TensorSpec& spec, Read read) {
  auto draft = store.create(spec);
  if (!draft) return in_file(what, draft.error());
  if (Result<void> done = read(draft->span()); !done) return done.error();
  return std::move(*draft).seal();
}

Result<shm::Tensor> load_entry(const std::string& path, const SafetensorsFile& file, const SafetensorsEntry& entry, shm::Store& store) {
  return load(store, path + ":" + entry.name, entry.spec, [&](std::span<std::byte> out) { return file.read(entry, out); });
}

}  // namespace

Result<shm::Tensor> load_npy(const std::string& path, shm::Store& store) {
  auto file = TV_TRY(NpyFile::open(path));
  return load(store, path, file.spec(), [&](std::span<std::byte> out) { return file.read(out); });
}

Result<std::map<std::string, shm::Tensor>> load_safetensors(const std::string& path, shm::Store& store) {
  auto file = TV_TRY(SafetensorsFile::open(path));
  std::map<std::string, shm::Tensor> tensors;
  for (const auto& entry : file.entries()) tensors.emplace(entry.name, TV_TRY(load_entry(path, file, entry, store)));
  return tensors;
}

Result<shm::Tensor> load_safetensors_tensor(const std::string& path, const std::string& name, shm::Store& store) {
  auto file = TV_TRY(SafetensorsFile::open(path));
  const auto* entry = TV_TRY(file.find(name));
  return load_entry(path, file, *entry, store);
}

}  // namespace tv::files
