// The JSON in front of a safetensors file, read event by event: nothing is built but the entries, so that a hostile header costs no more
// memory than its own length a few times over.
#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "shm/files/safetensors.h"

namespace tv::files {
namespace {

using shm::DType;

constexpr std::string_view kMetadata = "__metadata__";
constexpr std::size_t kMaxEcho = 60;  // bytes of a name that an error repeats

struct Code {
  std::string_view name;
  DType dtype;
};
constexpr std::array<Code, 16> kCodes = {{{"F64", DType::kFloat64},
                                          {"F32", DType::kFloat32},
                                          {"F16", DType::kFloat16},
                                          {"BF16", DType::kBFloat16},
                                          {"I64", DType::kInt64},
                                          {"I32", DType::kInt32},
                                          {"I16", DType::kInt16},
                                          {"I8", DType::kInt8},
                                          {"U8", DType::kUInt8},
                                          {"BOOL", DType::kBool},
                                          {"F8_E5M2", DType::kFloat8E5M2},
                                          {"F8_E4M3", DType::kFloat8E4M3FN},
                                          {"U16", DType::kUInt16},
                                          {"U32", DType::kUInt32},
                                          {"U64", DType::kUInt64},
                                          {"C64", DType::kComplex64}}};

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (unsigned char c : text.substr(0, kMaxEcho)) out += c < ' ' || c == 0x7f || c == '"' ? '?' : static_cast<char>(c);
  return out + (text.size() > kMaxEcho ? "...\"" : "\"");
}

// What the JSON says of one tensor, unchecked.
struct Draft {
  std::string name;
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::vector<std::uint64_t> offsets;
  bool have_dtype = false, have_shape = false, have_offsets = false;
};

// Receives the events of nlohmann::json::sax_parse; false ends the parsing, with `error` set.
class Handler : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::vector<Draft> drafts;
  std::map<std::string, std::string> metadata;
  std::string error;

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a bool"); }
  bool number_float(number_float_t, const string_t&) override { return unexpected("a number with a fraction, or too large"); }
  bool number_integer(number_integer_t) override { return unexpected("a negative number"); }
  bool binary(binary_t&) override { return unexpected("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (at_ == At::kShape) return append(drafts.back().shape, value, limits::kMaxDims, "dimensions");
    if (at_ == At::kOffsets) return append(drafts.back().offsets, value, 2, "data_offsets");
    return unexpected("a number");
  }
  bool string(string_t& value) override {
    if (at_ == At::kMetadata) {
      if (!metadata.emplace(key_, value).second) return fail("the metadata " + in_quotes(key_) + " stands twice");
      return true;
    }
    if (at_ != At::kEntry || key_ != "dtype") return unexpected("a string");
    drafts.back().dtype = value;
    return once(drafts.back().have_dtype);
  }
  bool start_object(std::size_t) override {
    if (at_ == At::kOutside) return enter(At::kTop);
    if (at_ != At::kTop) return unexpected("an object");
    if (key_ != kMetadata) {
      drafts.push_back({.name = key_});
      return enter(At::kEntry);
    }
    if (std::exchange(have_metadata_, true)) return fail("__metadata__ stands twice");
    return enter(At::kMetadata);
  }
  bool end_object() override { return enter(at_ == At::kTop ? At::kDone : At::kTop); }
  bool start_array(std::size_t) override {
    if (at_ != At::kEntry) return unexpected("an array");
    if (key_ == "shape") return once(drafts.back().have_shape) && enter(At::kShape);
    if (key_ == "data_offsets") return once(drafts.back().have_offsets) && enter(At::kOffsets);
    return unexpected("an array");
  }
  bool end_array() override { return enter(At::kEntry); }
  bool key(string_t& value) override {
    key_ = value;
    if (at_ == At::kEntry && value != "dtype" && value != "shape" && value != "data_offsets")
      return fail("tensor " + in_quotes(drafts.back().name) + " has the unknown key " + in_quotes(value));
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
    return fail("no valid JSON at byte " + std::to_string(position));
  }

 private:
  enum class At { kOutside, kTop, kMetadata, kEntry, kShape, kOffsets, kDone };

  bool fail(std::string message) {
    error = std::move(message);
    return false;
  }
  bool unexpected(const std::string& what) {
    std::string where = at_ == At::kOutside ? "where the header should be an object"
                        : at_ == At::kTop || at_ == At::kMetadata
                            ? "under " + in_quotes(key_)
                            : "under " + in_quotes(key_) + " of tensor " + in_quotes(drafts.back().name);
    return fail("unexpected: " + what + " " + where);
  }
  bool enter(At at) {
    at_ = at;
    return true;
  }
  bool once(bool& have) {
    if (std::exchange(have, true)) return fail(in_quotes(key_) + " of tensor " + in_quotes(drafts.back().name) + " stands twice");
    return true;
  }
  bool append(std::vector<std::uint64_t>& list, std::uint64_t value, std::size_t most, const char* what) {
    if (list.size() >= most) return fail("tensor " + in_quotes(drafts.back().name) + " has more than " + std::to_string(most) + " " + what);
    list.push_back(value);
    return true;
  }

  At at_ = At::kOutside;
  std::string key_;
  bool have_metadata_ = false;
};

Error of_tensor(const Draft& draft, Errc code, const std::string& what) { return {code, "tensor " + in_quotes(draft.name) + " " + what}; }

Result<SafetensorsEntry> checked(Draft& draft) {
  if (!draft.have_dtype || !draft.have_shape || draft.offsets.size() != 2)
    return of_tensor(draft, Errc::kCorrupt, "lacks one of dtype, shape and two data_offsets");
  auto code = std::find_if(kCodes.begin(), kCodes.end(), [&](const Code& c) { return c.name == draft.dtype; });
  if (code == kCodes.end())
    return of_tensor(draft, Errc::kUnsupported, "has the dtype " + in_quotes(draft.dtype) + ", which is unknown here");
  std::vector<std::int64_t> shape;
  for (auto size : draft.shape) {
    if (size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return of_tensor(draft, Errc::kCorrupt, "has a size that does not fit 64 bits");
    shape.push_back(static_cast<std::int64_t>(size));
  }
  auto spec = shm::TensorSpec::contiguous(code->dtype, shape);
  if (!spec) return of_tensor(draft, Errc::kCorrupt, "cannot be: " + spec.error().message);
  auto bytes = TV_TRY(spec->storage_bytes());
  auto begin = draft.offsets[0], end = draft.offsets[1];
  if (begin > end || end - begin != bytes)
    return of_tensor(draft, Errc::kCorrupt,
                     "is " + to_string(*spec) + " of " + std::to_string(bytes) + " bytes, but its data_offsets are " +
                         std::to_string(begin) + " to " + std::to_string(end));
  return SafetensorsEntry{std::move(draft.name), *spec, begin, end};
}

Result<void> check_names(const std::vector<SafetensorsEntry>& entries) {
  std::vector<std::string_view> names;
  for (const auto& entry : entries) names.push_back(entry.name);
  std::sort(names.begin(), names.end());
  auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) return Error{Errc::kCorrupt, "tensor " + in_quotes(*twice) + " stands twice"};
  return {};
}

// REQUIRES entries sorted by their offsets.
Result<void> check_offsets(const std::vector<SafetensorsEntry>& entries, std::uint64_t data_bytes) {
  std::uint64_t at = 0;
  for (const auto& entry : entries) {
    if (entry.end > data_bytes)
      return Error{Errc::kCorrupt, "tensor " + in_quotes(entry.name) + " ends at byte " + std::to_string(entry.end) + " of " +
                                       std::to_string(data_bytes) + " (truncated?)"};
    if (entry.begin != at)
      return Error{Errc::kCorrupt, "tensor " + in_quotes(entry.name) + " begins at byte " + std::to_string(entry.begin) + ", expected " +
                                       std::to_string(at) + (entry.begin < at ? ": it overlaps another" : ": there is a hole before it")};
    at = entry.end;
  }
  if (at != data_bytes) return Error{Errc::kCorrupt, std::to_string(data_bytes - at) + " bytes at the end belong to no tensor"};
  return {};
}

}  // namespace

std::string_view safetensors_dtype(DType dtype) {
  auto code = std::find_if(kCodes.begin(), kCodes.end(), [&](const Code& c) { return c.dtype == dtype; });
  return code == kCodes.end() ? std::string_view{} : code->name;
}

Result<SafetensorsHeader> parse_safetensors_header(std::string_view json, std::uint64_t data_bytes) {
  Handler handler;
  if (!nlohmann::json::sax_parse(json, &handler))
    return Error{Errc::kCorrupt, handler.error.empty() ? "the header is no JSON object" : handler.error};
  SafetensorsHeader header;
  header.metadata = std::move(handler.metadata);
  header.entries.reserve(handler.drafts.size());
  for (auto& draft : handler.drafts) header.entries.push_back(TV_TRY(checked(draft)));
  TV_TRY(check_names(header.entries));
  std::stable_sort(header.entries.begin(), header.entries.end(),
                   [](const auto& a, const auto& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  TV_TRY(check_offsets(header.entries, data_bytes));
  return header;
}

}  // namespace tv::files
