#include "shm/files/manifest.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>

namespace tv::files {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kBeforeSum = "\"xxh3_128\": \"";
constexpr std::string_view kEnd = "\"\n}\n";

Error damaged(const std::string& how) { return {Errc::kCorrupt, "manifest.json is damaged: " + how}; }

std::optional<std::int64_t> parse_time(const std::string& text) {
  std::tm tm{};
  long ns = 0;
  int used = 0;
  if (std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d.%9ldZ%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec,
                  &ns, &used) != 7 ||
      static_cast<std::size_t>(used) != text.size())
    return std::nullopt;
  tm.tm_year -= 1900;
  tm.tm_mon -= 1;
  return std::int64_t{::timegm(&tm)} * 1'000'000'000 + ns;
}

Json json_of(const StoredTensor& tensor) {
  auto shape = tensor.spec.shape_span();
  auto strides = tensor.spec.strides_span();
  Json json = {{"name", tensor.name},
               {"dtype", dtype_name(tensor.spec.dtype)},
               {"shape", std::vector<std::int64_t>(shape.begin(), shape.end())},
               {"strides", std::vector<std::int64_t>(strides.begin(), strides.end())}};
  if (shm::dtype_is_quantized(tensor.spec.dtype)) {
    json["scale"] = tensor.spec.scale;
    json["zero_point"] = tensor.spec.zero_point;
  }
  return json;
}

// Throws an exception for what is not there or of another kind.
StoredTensor tensor_of(const Json& json) {
  StoredTensor tensor;
  tensor.name = json.at("name").get<std::string>();
  auto dtype = shm::parse_dtype(json.at("dtype").get<std::string>());
  auto shape = json.at("shape").get<std::vector<std::int64_t>>();
  auto strides = json.at("strides").get<std::vector<std::int64_t>>();
  if (!dtype || shape.size() > limits::kMaxDims || shape.size() != strides.size())
    throw std::invalid_argument("there is no such tensor as \"" + tensor.name + "\"");
  tensor.spec.dtype = *dtype;
  tensor.spec.dims = static_cast<std::uint8_t>(shape.size());
  std::copy(shape.begin(), shape.end(), tensor.spec.shape.begin());
  std::copy(strides.begin(), strides.end(), tensor.spec.strides.begin());
  tensor.spec.scale = json.value("scale", 1.0);
  tensor.spec.zero_point = json.value("zero_point", std::int64_t{0});
  return tensor;
}

// The part that the checksum covers; kCorrupt when it does not fit.
Result<std::string_view> covered(std::string_view text) {
  std::size_t tail = kChecksumDigits + kEnd.size();
  if (text.size() < tail + kBeforeSum.size() || !text.ends_with(kEnd)) return damaged("it does not end as a manifest does (truncated?)");
  auto before = text.substr(0, text.size() - tail);
  if (!before.ends_with(kBeforeSum)) return damaged("it has no checksum");
  if (checksum_of(before) != text.substr(before.size(), kChecksumDigits)) return damaged("its checksum does not fit");
  return before;
}

Result<Manifest> read(const Json& json) {
  Manifest manifest;
  if (auto format = json.at("format").get<std::uint32_t>(); format != kGenerationFormat)
    return Error{Errc::kUnsupported, "generations of format " + std::to_string(format) + " are of another release; this one reads format " +
                                         std::to_string(kGenerationFormat)};
  manifest.schema = json.at("schema").get<std::uint32_t>();
  if (manifest.schema != kStateSchema)
    return Error{Errc::kUnsupported, "states of schema " + std::to_string(manifest.schema) + " are of another release; this one reads schema " +
                                         std::to_string(kStateSchema)};
  manifest.actor = json.at("actor").get<std::string>();
  manifest.type = json.at("type").get<std::string>();
  manifest.generation = json.at("generation").get<std::uint64_t>();
  manifest.incarnation = json.at("incarnation").get<Incarnation>();
  manifest.commit = json.at("commit").get<std::uint64_t>();
  auto time = parse_time(json.at("time").get<std::string>());
  if (!time) return damaged("its time is none");
  manifest.time_ns = *time;
  for (const auto& file : json.at("files"))
    manifest.files.push_back({file.at("name").get<std::string>(), file.at("bytes").get<std::uint64_t>(), file.at("xxh3_128").get<std::string>()});
  for (const auto& tensor : json.at("tensors")) manifest.tensors.push_back(tensor_of(tensor));
  return manifest;
}

}  // namespace

std::uint64_t Manifest::bytes() const {
  std::uint64_t sum = 0;
  for (const auto& file : files) sum += file.bytes;
  return sum;
}

std::string iso8601_ns(std::int64_t realtime_ns) {
  std::time_t seconds = static_cast<std::time_t>(realtime_ns / 1'000'000'000);
  std::tm tm{};
  ::gmtime_r(&seconds, &tm);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%09dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                tm.tm_sec, static_cast<int>(realtime_ns % 1'000'000'000));
  return text;
}

std::string to_text(const Manifest& manifest) {
  Json files = Json::array(), tensors = Json::array();
  for (const auto& file : manifest.files) files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"xxh3_128", file.xxh3_128}});
  for (const auto& tensor : manifest.tensors) tensors.push_back(json_of(tensor));
  Json json = {{"format", kGenerationFormat},
               {"actor", manifest.actor},
               {"type", manifest.type},
               {"schema", manifest.schema},
               {"generation", manifest.generation},
               {"incarnation", manifest.incarnation},
               {"commit", manifest.commit},
               {"time", iso8601_ns(manifest.time_ns)},
               {"files", std::move(files)},
               {"tensors", std::move(tensors)}};
  auto text = json.dump(2);
  text.resize(text.size() - 2);  // "\n}"
  text += ",\n  ";
  text += kBeforeSum;
  return text + checksum_of(text) + std::string(kEnd);
}

Result<Manifest> parse_manifest(std::string_view text) {
  TV_TRY(covered(text));
  try {
    return read(Json::parse(text));
  } catch (const std::exception& e) {
    return damaged(e.what());
  }
}

}  // namespace tv::files
