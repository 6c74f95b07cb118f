// From files into the arena: one copy, from the file to where the tensor stays.
#pragma once

#include <map>
#include <string>

#include "shm/store.h"

namespace tv::files {

Result<shm::Tensor> load_npy(const std::string& path, shm::Store& store);
// All tensors of a file by name, or the one called `name`.
Result<std::map<std::string, shm::Tensor>> load_safetensors(const std::string& path, shm::Store& store);
Result<shm::Tensor> load_safetensors_tensor(const std::string& path, const std::string& name, shm::Store& store);

}  // namespace tv::files
