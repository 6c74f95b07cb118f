#include "shm/files/safetensors.h"

#include <cstring>

#include "tests/support/catch.h"
#include "tests/tools/temp_dir.h"

namespace {

using namespace tv;
using shm::DType;
using shm::TensorSpec;

std::string with_length(const std::string& json, const std::string& data) {
  std::uint64_t length = json.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + json + data;
}

std::string error_of(const std::string& bytes) {
  test::TempDir dir;
  test::write_bytes(dir.file("x.safetensors"), bytes);
  auto file = files::SafetensorsFile::open(dir.file("x.safetensors"));
  REQUIRE_FALSE(file.ok());
  CHECK(file.error().message.find("x.safetensors") != std::string::npos);
  return file.error().message;
}
std::string error_of_json(const std::string& json, std::size_t data_bytes = 0) {
  return error_of(with_length(json, std::string(data_bytes, 'x')));
}
bool mentions(const std::string& text, const std::string& part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}
std::string tensor(const std::string& name, const std::string& offsets, const std::string& shape = "[2]", const std::string& dtype = "U8") {
  return "\"" + name + "\": {\"dtype\": \"" + dtype + "\", \"shape\": " + shape + ", \"data_offsets\": " + offsets + "}";
}

std::string read_all(const files::SafetensorsFile& file, const std::string& name) {
  auto entry = file.find(name);
  REQUIRE(entry.ok());
  std::string bytes((*entry)->end - (*entry)->begin, '\0');
  REQUIRE(file.read(**entry, std::as_writable_bytes(std::span(bytes))).ok());
  return bytes;
}

}  // namespace

TEST_CASE("a file as the safetensors library writes it is read", "[safetensors]") {
  test::TempDir dir;
  std::string json = R"({"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},)"
                     R"("b":{"dtype":"BF16","shape":[],"data_offsets":[8,10]}}      )";
  test::write_bytes(dir.file("x.safetensors"), with_length(json, "12345678ab"));
  auto file = files::SafetensorsFile::open(dir.file("x.safetensors"));
  REQUIRE(file.ok());
  REQUIRE(file->entries().size() == 2);
  CHECK(to_string(file->entries()[0].spec) == "float32[1, 2]");
  CHECK(to_string(file->entries()[1].spec) == "bfloat16[]");
  CHECK(file->metadata().at("format") == "pt");
  CHECK(read_all(*file, "w") == "12345678");
  CHECK(read_all(*file, "b") == "ab");
}

TEST_CASE("tensors of every type survive a round trip in any order", "[safetensors]") {
  test::TempDir dir;
  std::vector<TensorSpec> specs;
  std::vector<files::NamedTensor> tensors;
  const std::string data(64, '\1');
  for (auto dtype : {DType::kBool, DType::kFloat64, DType::kFloat32, DType::kFloat16, DType::kBFloat16, DType::kInt64, DType::kInt32,
                     DType::kInt16, DType::kInt8, DType::kUInt8, DType::kFloat8E5M2, DType::kFloat8E4M3FN, DType::kUInt16, DType::kUInt32,
                     DType::kUInt64, DType::kComplex64})
    specs.push_back(*TensorSpec::contiguous(dtype, {3, 1}));
  for (const auto& spec : specs) tensors.push_back({std::string(shm::dtype_name(spec.dtype)), {&spec, data.data()}});
  REQUIRE(files::write_safetensors(dir.file("x.safetensors"), tensors, {{"from", "a test"}}).ok());

  auto file = files::SafetensorsFile::open(dir.file("x.safetensors"));
  REQUIRE(file.ok());
  CHECK(file->entries().size() == specs.size());
  CHECK(file->metadata().at("from") == "a test");
  for (const auto& entry : file->entries()) {
    INFO(entry.name);
    CHECK(entry.name == shm::dtype_name(entry.spec.dtype));
    CHECK(entry.begin % shm::dtype_bytes(entry.spec.dtype) == 0);
    CHECK(read_all(*file, entry.name) == std::string(3 * shm::dtype_bytes(entry.spec.dtype), '\1'));
  }
  CHECK(dir.entries() == 1);
}

TEST_CASE("a file without tensors and tensors without elements are fine", "[safetensors]") {
  test::TempDir dir;
  REQUIRE(files::write_safetensors(dir.file("none.safetensors"), {}).ok());
  auto none = files::SafetensorsFile::open(dir.file("none.safetensors"));
  REQUIRE(none.ok());
  CHECK(none->entries().empty());

  auto empty = *TensorSpec::contiguous(DType::kFloat32, {0, 5});
  auto one = *TensorSpec::contiguous(DType::kUInt8, {1});
  REQUIRE(files::write_safetensors(dir.file("x.safetensors"), {{"e1", {&empty, nullptr}}, {"one", {&one, "1"}}, {"e2", {&empty, nullptr}}})
              .ok());
  auto file = files::SafetensorsFile::open(dir.file("x.safetensors"));
  REQUIRE(file.ok());
  CHECK(file->entries().size() == 3);
  CHECK(read_all(*file, "one") == "1");
}

TEST_CASE("strided tensors are packed", "[safetensors]") {
  test::TempDir dir;
  auto spec = files::fortran_ordered(*TensorSpec::contiguous(DType::kUInt8, {2, 3}));
  REQUIRE(files::write_safetensors(dir.file("x.safetensors"), {{"t", {&spec, "adbecf"}}}).ok());
  auto file = files::SafetensorsFile::open(dir.file("x.safetensors"));
  REQUIRE(file.ok());
  CHECK(read_all(*file, "t") == "abcdef");
}

TEST_CASE("names that a file cannot hold are refused and no file appears", "[safetensors]") {
  test::TempDir dir;
  auto spec = *TensorSpec::contiguous(DType::kUInt8, {1});
  auto quantised = *TensorSpec::contiguous(DType::kQInt8, {1});
  files::TensorView view{&spec, "1"};
  CHECK_FALSE(files::write_safetensors(dir.file("x.safetensors"), {{"a", view}, {"a", view}}).ok());
  CHECK_FALSE(files::write_safetensors(dir.file("x.safetensors"), {{"__metadata__", view}}).ok());
  CHECK_FALSE(files::write_safetensors(dir.file("x.safetensors"), {{"\xff\xfe", view}}).ok());
  CHECK_FALSE(files::write_safetensors(dir.file("x.safetensors"), {{"q", {&quantised, "1"}}}).ok());
  CHECK(dir.entries() == 0);
}

TEST_CASE("a name that is not there is answered with the nearest", "[safetensors]") {
  test::TempDir dir;
  auto spec = *TensorSpec::contiguous(DType::kUInt8, {1});
  REQUIRE(files::write_safetensors(dir.file("x.safetensors"), {{"weight", {&spec, "1"}}}).ok());
  auto file = files::SafetensorsFile::open(dir.file("x.safetensors"));
  REQUIRE(file.ok());
  auto found = file->find("wieght");
  REQUIRE_FALSE(found.ok());
  CHECK(mentions(found.error().message, "did you mean \"weight\"?"));
}

TEST_CASE("files that are no safetensors files are refused", "[safetensors]") {
  CHECK(mentions(error_of(""), "shorter than 8 bytes"));
  CHECK(mentions(error_of(std::string(8, '\0')), "does not begin with {"));
  CHECK(mentions(error_of(std::string(8, '\xff')), "the format allows 100000000"));
  CHECK(mentions(error_of(std::string("\x10\0\0\0\0\0\0\0{}", 10)), "truncated"));
  CHECK(mentions(error_of_json("{"), "no valid JSON"));
  CHECK(mentions(error_of_json("[]"), "does not begin with {"));
  CHECK(mentions(error_of_json("{} x"), "no valid JSON"));
  CHECK(mentions(error_of_json("{\"a\xff\": 1}"), "no valid JSON"));
}

TEST_CASE("headers that say other things than tensors are refused by name", "[safetensors]") {
  CHECK(mentions(error_of_json("{\"a\": 1}"), "under \"a\""));
  CHECK(mentions(error_of_json("{\"a\": [[[[[[[[]]]]]]]]}"), "an array"));
  CHECK(mentions(error_of_json("{\"a\": {}}"), "lacks one of"));
  CHECK(mentions(error_of_json("{\"a\": {\"b\": {}}}"), "unknown key \"b\""));
  CHECK(mentions(error_of_json("{\"__metadata__\": {\"a\": 1}}"), "a number"));
  CHECK(mentions(error_of_json("{\"__metadata__\": {\"a\": {}}}"), "an object"));
  CHECK(mentions(error_of_json("{\"__metadata__\": {}, \"__metadata__\": {}}"), "stands twice"));
  CHECK(mentions(error_of_json("{" + tensor("a", "[0, 2]", "[2]", "X9") + "}", 2), "\"X9\""));
  CHECK(mentions(error_of_json("{" + tensor("a", "[0, 2]", "[-2]") + "}", 2), "negative"));
  CHECK(mentions(error_of_json("{" + tensor("a", "[0, 2]", "[2.0]") + "}", 2), "fraction"));
  CHECK(mentions(error_of_json("{" + tensor("a", "[0, 2, 4]") + "}", 2), "more than 2"));
  CHECK(mentions(error_of_json("{" + tensor("a", "[2]") + "}", 2), "lacks one of"));
  CHECK(mentions(error_of_json("{" + tensor("a", "[0, 1]", "[1,1,1,1,1,1,1,1,1]") + "}", 1), "more than 8 dimensions"));
  CHECK(mentions(error_of_json("{" + tensor("a", "[0, 2]", "[18446744073709551615]") + "}", 2), "does not fit 64 bits"));
  CHECK(mentions(error_of_json("{" + tensor("a", "[0, 2]", "[4611686018427387904, 4611686018427387904]") + "}", 2), "cannot be"));
}

TEST_CASE("offsets must cover the data without holes or overlap", "[safetensors]") {
  auto two = [](const std::string& first, const std::string& second) { return "{" + tensor("a", first) + "," + tensor("b", second) + "}"; };
  CHECK(mentions(error_of_json(two("[0, 2]", "[1, 3]"), 4), "overlaps"));
  CHECK(mentions(error_of_json(two("[0, 2]", "[0, 2]"), 4), "overlaps"));
  CHECK(mentions(error_of_json(two("[0, 2]", "[3, 5]"), 5), "hole"));
  CHECK(mentions(error_of_json(two("[1, 3]", "[3, 5]"), 5), "hole"));
  CHECK(mentions(error_of_json(two("[0, 2]", "[2, 4]"), 5), "belong to no tensor"));
  CHECK(mentions(error_of_json(two("[0, 2]", "[2, 4]"), 3), "truncated?"));
  CHECK(mentions(error_of_json(two("[0, 2]", "[2, 5]"), 5), "2 bytes"));
  CHECK(mentions(error_of_json(two("[0, 2]", "[4, 2]"), 5), "data_offsets"));
  CHECK(mentions(error_of_json(two("[0, 2]", "[18446744073709551614, 18446744073709551615]"), 5), "data_offsets"));
}

TEST_CASE("a tensor that stands twice is refused", "[safetensors]") {
  CHECK(mentions(error_of_json("{" + tensor("a", "[0, 2]") + "," + tensor("a", "[2, 4]") + "}", 4), "stands twice"));
  CHECK(mentions(error_of_json(R"({"a": {"dtype": "U8", "dtype": "U8", "shape": [1], "data_offsets": [0, 1]}})", 1), "stands twice"));
}

TEST_CASE("a header of a hundred thousand brackets costs nothing", "[safetensors]") {
  CHECK(mentions(error_of_json("{\"a\": " + std::string(100'000, '[') + std::string(100'000, ']') + "}"), "an array"));
  CHECK(mentions(error_of_json(std::string(100'000, '{')), "no valid JSON"));
}
