#include "shm/files/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>

#include "config/units.h"

namespace tv::files {
namespace {

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kMaxCandidates = 10'000;  // names among which the nearest is looked for

Error not_safetensors(const std::string& path, const std::string& why) {
  return {Errc::kCorrupt, path + ": not a readable .safetensors file: " + why};
}

Result<std::uint64_t> read_header_length(const InputFile& file) {
  if (file.size() < kLengthBytes) return not_safetensors(file.path(), "it is shorter than 8 bytes");
  std::array<std::byte, kLengthBytes> raw{};
  if (auto read = file.read_at(0, raw); !read) return read.error();
  std::uint64_t length = 0;
  std::memcpy(&length, raw.data(), sizeof length);
  if (length > kMaxSafetensorsHeaderBytes)
    return not_safetensors(file.path(), "its header would be " + std::to_string(length) + " bytes; the format allows " +
                                            std::to_string(kMaxSafetensorsHeaderBytes));
  if (length > file.size() - kLengthBytes)
    return not_safetensors(file.path(), "truncated: the header needs " + std::to_string(length) + " bytes, " +
                                            std::to_string(file.size() - kLengthBytes) + " are there");
  return length;
}

bool valid_utf8(const std::string& text) {
  try {
    nlohmann::json(text).dump();
    return true;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

Result<void> check(const std::string& path, const std::vector<NamedTensor>& tensors) {
  for (const auto& [name, tensor] : tensors) {
    if (safetensors_dtype(tensor.spec->dtype).empty())
      return Error{Errc::kUnsupported,
                   path + ": .safetensors has no " + std::string(dtype_name(tensor.spec->dtype)) + "; convert \"" + name + "\" first"};
    if (name == "__metadata__" || !valid_utf8(name))
      return Error{Errc::kInvalidArgument, path + ": \"" + name + "\" cannot be the name of a tensor in a .safetensors file"};
  }
  return {};
}

std::uint64_t packed_bytes(const shm::TensorSpec& spec) {
  return static_cast<std::uint64_t>(spec.elements()) * shm::dtype_bytes(spec.dtype);
}

// REQUIRES that check() has passed. Padded with blanks so that the data begins at a multiple of 8.
std::string header_of(const std::vector<NamedTensor>& tensors, const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t at = 0;
  for (const auto& [name, tensor] : tensors) {
    auto shape = tensor.spec->shape_span();
    auto end = at + packed_bytes(*tensor.spec);
    header[name] = {{"dtype", safetensors_dtype(tensor.spec->dtype)},
                    {"shape", std::vector<std::int64_t>(shape.begin(), shape.end())},
                    {"data_offsets", {at, end}}};
    at = end;
  }
  // Not valid UTF-8 in metadata is replaced: it is a remark for people.
  auto text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

}  // namespace

Result<SafetensorsFile> SafetensorsFile::open(const std::string& path) {
  auto file = TV_TRY(InputFile::open(path));
  auto length = TV_TRY(read_header_length(file));
  std::string json(length, '\0');
  if (auto read = file.read_at(kLengthBytes, std::as_writable_bytes(std::span(json))); !read) return read.error();
  if (json.empty() || json.front() != '{') return not_safetensors(path, "its header does not begin with {");
  auto data_at = kLengthBytes + length;
  auto header = parse_safetensors_header(json, file.size() - data_at);
  if (!header) return Error{header.error().code, not_safetensors(path, header.error().message).message};
  return SafetensorsFile(std::move(file), std::move(*header), data_at);
}

Result<const SafetensorsEntry*> SafetensorsFile::find(const std::string& name) const {
  for (const auto& entry : entries())
    if (entry.name == name) return &entry;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < entries().size() && i < kMaxCandidates; ++i) names.push_back(entries()[i].name);
  auto near = config::nearest(name, names);
  std::string hint = !near.empty()   ? "; did you mean \"" + near + "\"?"
                     : names.empty() ? "; it holds none"
                                     : "; it holds " + std::to_string(entries().size()) + ", the first is \"" + names.front() + "\"";
  return Error{Errc::kInvalidArgument, file_.path() + ": there is no tensor \"" + name + "\"" + hint};
}

Result<void> SafetensorsFile::read(const SafetensorsEntry& entry, std::span<std::byte> out) const {
  TV_ASSERT(out.size() == entry.end - entry.begin);
  if (auto read = file_.read_at(data_at_ + entry.begin, out); !read) return read;
  make_bools_valid(entry.spec.dtype, out);
  return {};
}

Result<void> write_safetensors(const std::string& path, std::vector<NamedTensor> tensors,
                               const std::map<std::string, std::string>& metadata) {
  TV_TRY(check(path, tensors));
  auto file = TV_TRY(OutputFile::create(path));
  TV_TRY(write_safetensors(file, path, std::move(tensors), metadata));
  return file.commit();
}

Result<void> write_safetensors(ByteSink& file, const std::string& path, std::vector<NamedTensor> tensors,
                               const std::map<std::string, std::string>& metadata) {
  TV_TRY(check(path, tensors));
  std::sort(tensors.begin(), tensors.end(), [](const NamedTensor& a, const NamedTensor& b) {
    auto wide_a = shm::dtype_bytes(a.tensor.spec->dtype), wide_b = shm::dtype_bytes(b.tensor.spec->dtype);
    return wide_a != wide_b ? wide_a > wide_b : a.name < b.name;
  });
  std::vector<std::string_view> names;
  for (const auto& tensor : tensors) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  if (auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end())
    return Error{Errc::kInvalidArgument, path + ": two tensors would have the name \"" + std::string(*twice) + "\""};

  auto json = header_of(tensors, metadata);
  if (json.size() > kMaxSafetensorsHeaderBytes) return Error{Errc::kLimit, path + ": the names are too long for a .safetensors header"};
  std::uint64_t length = json.size();
  if (auto written = file.write(std::as_bytes(std::span(&length, 1))); !written) return written;
  if (auto written = file.write(std::as_bytes(std::span(json))); !written) return written;
  for (const auto& [name, tensor] : tensors)
    if (auto written = write_packed(file, tensor); !written) return written;
  return {};
}

}  // namespace tv::files
