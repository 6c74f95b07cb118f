// The ARGs of `tensorctl call`: JSON, bare words and files of tensors.
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "ipc/call.h"
#include "shm/store.h"
#include "tools/tensorctl/json_value.h"

namespace tv::ctl {

struct FileArgument {
  std::string path;
  std::string tensor;  // of a .safetensors file; empty: all of them
};
using Argument = std::variant<Json, FileArgument>;

// "3", "[1,2]", "word", "@x.npy", "@x.safetensors", "@x.safetensors:name". A word that begins like a list, map or string and is none is
// kInvalidArgument: a missing bracket should not become a string.
Result<Argument> parse_argument(const std::string& word);
Result<std::vector<Argument>> parse_arguments(const std::vector<std::string>& words);  // errors name the argument's number

// What is sent: tensors lie in the arena and are held until the call is over.
using Tensors = std::map<std::string, shm::Tensor>;
using Loaded = std::variant<Json, shm::Tensor, Tensors>;
Result<std::vector<Loaded>> load_arguments(const std::vector<Argument>& arguments, shm::Store& store);

// One list, an item an argument. The same for as often as it is asked.
ipc::WriteArguments writer_of(std::vector<Loaded> arguments);

}  // namespace tv::ctl
