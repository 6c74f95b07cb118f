// safetensors files: named tensors, a JSON header in front, the bytes behind.
// Format: https://github.com/huggingface/safetensors#format
//
//     8 bytes   length N of the header, little-endian
//     N bytes   JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, "__metadata__": {"key": "text"}}
//     the rest  tensors in C order, little-endian; offsets count from here, and cover it without holes or overlap
//
// Reading trusts nothing: the header is at most 100 MB (as the format says), parsed without building what it need not, and every offset
// is checked against the file before anybody allocates.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "shm/files/tensor_bytes.h"

namespace tv::files {

inline constexpr std::uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;

struct SafetensorsEntry {
  std::string name;
  shm::TensorSpec spec;
  std::uint64_t begin = 0;  // from the beginning of the data
  std::uint64_t end = 0;
};
struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // in the order of their bytes
  std::map<std::string, std::string> metadata;
};
// Checks everything that can be checked without the data, of which there are `data_bytes`.
Result<SafetensorsHeader> parse_safetensors_header(std::string_view json, std::uint64_t data_bytes);

class SafetensorsFile {
 public:
  static Result<SafetensorsFile> open(const std::string& path);
  const std::vector<SafetensorsEntry>& entries() const { return header_.entries; }
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }
  // kInvalidArgument offers the nearest name.
  Result<const SafetensorsEntry*> find(const std::string& name) const;
  // REQUIRES out.size() == entry.end - entry.begin, and an entry of this file.
  Result<void> read(const SafetensorsEntry& entry, std::span<std::byte> out) const;

 private:
  SafetensorsFile(InputFile file, SafetensorsHeader header, std::uint64_t data_at)
      : file_(std::move(file)), header_(std::move(header)), data_at_(data_at) {}
  InputFile file_;
  SafetensorsHeader header_;
  std::uint64_t data_at_;
};

struct NamedTensor {
  std::string name;
  TensorView tensor;
};
// Names must be unique, valid UTF-8 and not "__metadata__". Packed to C order; wide elements first, so that each tensor is aligned.
// Replaces the file in one step.
Result<void> write_safetensors(const std::string& path, std::vector<NamedTensor> tensors,
                               const std::map<std::string, std::string>& metadata = {});

// The same into a sink; `name` stands for it in errors.
Result<void> write_safetensors(ByteSink& sink, const std::string& name, std::vector<NamedTensor> tensors,
                               const std::map<std::string, std::string>& metadata = {});

// "F32" and so on; empty for what the format has no name for.
std::string_view safetensors_dtype(shm::DType dtype);

}  // namespace tv::files
