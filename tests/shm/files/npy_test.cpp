#include "shm/files/npy.h"

#include <cstring>

#include "tests/support/catch.h"
#include "tests/tools/temp_dir.h"

namespace {

using namespace tv;
using shm::DType;
using shm::TensorSpec;

// A version 1 file with this dictionary in its header.
std::string npy(const std::string& dictionary, const std::string& data) {
  std::string file = "\x93NUMPY";
  file += '\x01';
  file += '\x00';
  file += static_cast<char>(dictionary.size() & 0xff);
  file += static_cast<char>(dictionary.size() >> 8);
  return file + dictionary + data;
}
std::string header(const std::string& descr, const std::string& shape, const std::string& order = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }\n";
}

std::string error_of(const std::string& bytes) {
  test::TempDir dir;
  test::write_bytes(dir.file("x.npy"), bytes);
  auto file = files::NpyFile::open(dir.file("x.npy"));
  REQUIRE_FALSE(file.ok());
  CHECK(file.error().message.find("x.npy") != std::string::npos);
  return file.error().message;
}
bool mentions(const std::string& text, const std::string& part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

template <class T>
std::vector<T> read_all(const files::NpyFile& file) {
  std::vector<T> values(file.bytes() / sizeof(T));
  REQUIRE(file.read(std::as_writable_bytes(std::span(values))).ok());
  return values;
}

}  // namespace

TEST_CASE("a file as NumPy writes it is read", "[npy]") {
  test::TempDir dir;
  // numpy.save of numpy.arange(6, dtype="<i2").reshape(2, 3), version 1.0, padded to 128 bytes.
  std::string dictionary = "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }";
  dictionary += std::string(128 - 10 - dictionary.size() - 1, ' ') + "\n";
  const std::int16_t data[] = {0, 1, 2, 3, 4, 5};
  test::write_bytes(dir.file("x.npy"), npy(dictionary, std::string(reinterpret_cast<const char*>(data), sizeof data)));
  auto file = files::NpyFile::open(dir.file("x.npy"));
  REQUIRE(file.ok());
  CHECK(to_string(file->spec()) == "int16[2, 3]");
  CHECK(read_all<std::int16_t>(*file) == std::vector<std::int16_t>{0, 1, 2, 3, 4, 5});
}

TEST_CASE("versions 2 and 3 have a longer length", "[npy]") {
  test::TempDir dir;
  for (char version : {2, 3}) {
    std::string dictionary = header("|u1", "(2,)");
    std::string bytes = "\x93NUMPY";
    bytes += version;
    bytes += std::string("\0", 1);
    bytes += static_cast<char>(dictionary.size());
    bytes += std::string(3, '\0') + dictionary + "ab";
    test::write_bytes(dir.file("x.npy"), bytes);
    auto file = files::NpyFile::open(dir.file("x.npy"));
    REQUIRE(file.ok());
    CHECK(read_all<char>(*file) == std::vector<char>{'a', 'b'});
  }
}

TEST_CASE("scalars and empty arrays are arrays, too", "[npy]") {
  test::TempDir dir;
  test::write_bytes(dir.file("scalar.npy"), npy(header("|i1", "()"), "\x2a"));
  auto scalar = files::NpyFile::open(dir.file("scalar.npy"));
  REQUIRE(scalar.ok());
  CHECK(scalar->spec().dims == 0);
  CHECK(read_all<char>(*scalar) == std::vector<char>{42});
  test::write_bytes(dir.file("empty.npy"), npy(header("<f4", "(3, 0, 2)"), ""));
  auto empty = files::NpyFile::open(dir.file("empty.npy"));
  REQUIRE(empty.ok());
  CHECK(empty->bytes() == 0);
  CHECK(empty->read({}).ok());
}

TEST_CASE("Fortran order becomes strides", "[npy]") {
  test::TempDir dir;
  test::write_bytes(dir.file("x.npy"), npy(header("|u1", "(2, 3)", "True"), "adbecf"));
  auto file = files::NpyFile::open(dir.file("x.npy"));
  REQUIRE(file.ok());
  CHECK(file->spec().strides[0] == 1);
  CHECK(file->spec().strides[1] == 2);
  CHECK_FALSE(file->spec().is_contiguous());
}

TEST_CASE("big-endian numbers are swapped, complex ones part by part", "[npy]") {
  test::TempDir dir;
  test::write_bytes(dir.file("x.npy"), npy(header(">i4", "(1,)"), std::string("\0\0\1\2", 4)));
  auto file = files::NpyFile::open(dir.file("x.npy"));
  REQUIRE(file.ok());
  CHECK(read_all<std::int32_t>(*file) == std::vector<std::int32_t>{258});
  test::write_bytes(dir.file("c.npy"), npy(header(">c8", "(1,)"), std::string("\x3f\x80\0\0\x40\0\0\0", 8)));
  auto complex = files::NpyFile::open(dir.file("c.npy"));
  REQUIRE(complex.ok());
  CHECK(read_all<float>(*complex) == std::vector<float>{1.0F, 2.0F});
}

TEST_CASE("bools of other values than 0 and 1 become 1", "[npy]") {
  test::TempDir dir;
  test::write_bytes(dir.file("x.npy"), npy(header("|b1", "(3,)"), std::string("\0\1\7", 3)));
  auto file = files::NpyFile::open(dir.file("x.npy"));
  REQUIRE(file.ok());
  CHECK(read_all<char>(*file) == std::vector<char>{0, 1, 1});
}

TEST_CASE("every type that NumPy can name survives a round trip", "[npy]") {
  test::TempDir dir;
  for (auto dtype : {DType::kBool, DType::kUInt8, DType::kInt8, DType::kInt16, DType::kInt32, DType::kInt64, DType::kUInt16, DType::kUInt32,
                     DType::kUInt64, DType::kFloat16, DType::kFloat32, DType::kFloat64, DType::kComplex64, DType::kComplex128}) {
    INFO(shm::dtype_name(dtype));
    auto spec = TensorSpec::contiguous(dtype, {2, 1, 2});
    REQUIRE(spec.ok());
    std::vector<char> data(4 * shm::dtype_bytes(dtype));
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(dtype == DType::kBool ? i % 2 : i * 7);
    REQUIRE(files::write_npy(dir.file("x.npy"), {&*spec, data.data()}).ok());
    auto file = files::NpyFile::open(dir.file("x.npy"));
    REQUIRE(file.ok());
    CHECK(to_string(file->spec()) == to_string(*spec));
    CHECK(read_all<char>(*file) == data);
  }
}

TEST_CASE("what is written begins its data at a multiple of 64 and leaves no other file", "[npy]") {
  test::TempDir dir;
  auto spec = TensorSpec::contiguous(DType::kUInt8, {5});
  REQUIRE(files::write_npy(dir.file("x.npy"), {&*spec, "hello"}).ok());
  auto bytes = test::read_bytes(dir.file("x.npy"));
  CHECK(bytes.size() % 64 == 5);
  CHECK(bytes.substr(bytes.size() - 6) == "\nhello");
  CHECK(dir.entries() == 1);
}

TEST_CASE("Fortran order survives a round trip and other strides are packed", "[npy]") {
  test::TempDir dir;
  auto spec = files::fortran_ordered(*TensorSpec::contiguous(DType::kUInt8, {2, 3}));
  REQUIRE(files::write_npy(dir.file("f.npy"), {&spec, "adbecf"}).ok());
  auto fortran = files::NpyFile::open(dir.file("f.npy"));
  REQUIRE(fortran.ok());
  CHECK(fortran->spec().strides[1] == 2);
  CHECK(read_all<char>(*fortran) == std::vector<char>{'a', 'd', 'b', 'e', 'c', 'f'});

  auto every_second = *TensorSpec::contiguous(DType::kUInt8, {2, 2});
  every_second.strides[0] = 4;
  every_second.strides[1] = 2;
  REQUIRE(files::write_npy(dir.file("s.npy"), {&every_second, "a.b.c.d"}).ok());
  auto packed = files::NpyFile::open(dir.file("s.npy"));
  REQUIRE(packed.ok());
  CHECK(packed->spec().is_contiguous());
  CHECK(read_all<char>(*packed) == std::vector<char>{'a', 'b', 'c', 'd'});
}

TEST_CASE("types that NumPy cannot name are refused and no file appears", "[npy]") {
  test::TempDir dir;
  for (auto dtype : {DType::kBFloat16, DType::kFloat8E5M2, DType::kQInt8, DType::kComplex32}) {
    auto spec = TensorSpec::contiguous(dtype, {1});
    const std::uint32_t data = 0;
    auto written = files::write_npy(dir.file("x.npy"), {&*spec, &data});
    REQUIRE_FALSE(written.ok());
    CHECK(mentions(written.error().message, ".safetensors"));
  }
  CHECK(dir.entries() == 0);
}

TEST_CASE("what cannot be written says why and leaves no file", "[npy]") {
  test::TempDir dir;
  auto spec = TensorSpec::contiguous(DType::kUInt8, {1});
  CHECK_FALSE(files::write_npy(dir.file("missing/x.npy"), {&*spec, "a"}).ok());
  auto to_directory = files::write_npy(dir.path(), {&*spec, "a"});
  REQUIRE_FALSE(to_directory.ok());
  CHECK(mentions(to_directory.error().message, "not a regular file"));
  CHECK(dir.entries() == 0);
}

TEST_CASE("files that are no .npy files are refused", "[npy]") {
  CHECK(mentions(error_of(""), "does not begin with"));
  CHECK(mentions(error_of("PK\x03\x04 a zip file"), "does not begin with"));
  CHECK(mentions(error_of("\x93NUMPY"), "ends within"));
  CHECK(mentions(error_of(std::string("\x93NUMPY\x09\x00\x10\x00", 10)), "version 9"));
  CHECK(mentions(error_of(std::string("\x93NUMPY\x02\x00\x10\x00", 10)), "ends within"));
  CHECK(mentions(error_of(std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12)), "longer than"));
  CHECK(mentions(error_of(std::string("\x93NUMPY\x01\x00\x10\x00{", 11)), "truncated"));
  test::TempDir dir;
  CHECK_FALSE(files::NpyFile::open(dir.path()).ok());
  CHECK_FALSE(files::NpyFile::open(dir.file("missing.npy")).ok());
}

TEST_CASE("truncated data and data that is too long are refused with both sizes", "[npy]") {
  CHECK(mentions(error_of(npy(header("<f4", "(2, 3)"), std::string(23, 'x'))), "needs 24 bytes of data, 23 are there (truncated?)"));
  CHECK(mentions(error_of(npy(header("<f4", "(2, 3)"), std::string(25, 'x'))), "25 are there"));
}

TEST_CASE("types that are no numbers are refused by name", "[npy]") {
  CHECK(mentions(error_of(npy(header("|O", "(1,)"), "12345678")), "pickled Python objects"));
  CHECK(mentions(error_of(npy(header("<U3", "(1,)"), "123456789012")), "text"));
  CHECK(mentions(error_of(npy(header("|V2", "(1,)"), "12")), "bfloat16"));
  CHECK(mentions(error_of(npy(header("<M8[ns]", "(1,)"), "12345678")), "date"));
  CHECK(mentions(error_of(npy(header("<f16", "(1,)"), std::string(16, 'x'))), "is not an element type"));
  CHECK(mentions(error_of(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", "1234")), "structured"));
}

TEST_CASE("shapes that cannot be are refused before anything is allocated", "[npy]") {
  CHECK(mentions(error_of(npy(header("<f8", "(4611686018427387904, 4)"), "")), "overflow"));
  CHECK(mentions(error_of(npy(header("<f8", "(99999999999999999999,)"), "")), "does not fit 64 bits"));
  CHECK(mentions(error_of(npy(header("|u1", "(1000000000000,)"), "x")), "1 are there"));
  CHECK(mentions(error_of(npy(header("<f8", "(-1,)"), "")), "not negative"));
  CHECK(mentions(error_of(npy(header("<f8", "(1.5,)"), "")), "header"));
  CHECK(mentions(error_of(npy(header("|u1", "(1,1,1,1,1,1,1,1,1)"), "x")), "at most 8"));
  std::string many = "(";
  for (int i = 0; i < 1000; ++i) many += "1,";
  CHECK(mentions(error_of(npy(header("|u1", many + ")"), "x")), "too many"));
}

TEST_CASE("headers that are no such dictionary are refused", "[npy]") {
  for (const char* dictionary :
       {"", " ", "{", "{}", "[]", "{'descr': '<f4'}", "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': ()}",
        "{'descr': '<f4', 'fortran_order': Maybe, 'shape': ()}", "{'descr': '<f4', 'fortran_order': False, 'shape': 3}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (), 'more': 1}", "{'descr': '<f4 'fortran_order': False, 'shape': ()}",
        "{'descr': 'f4', 'fortran_order': False, 'shape': ()}", "{'descr': '', 'fortran_order': False, 'shape': ()}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': ()} import os", "{'descr': '<f4', 'fortran_order': False, 'shape': (1 2)}",
        "{'descr", "{'descr':", "{'descr': '<f4', 'fortran_order': False, 'shape': (", "__import__('os').abort()"}) {
    INFO(dictionary);
    CHECK_FALSE(files::parse_npy_header(dictionary).ok());
  }
}
