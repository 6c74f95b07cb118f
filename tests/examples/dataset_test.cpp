#include "examples/fashion/dataset.h"

#include <unistd.h>
#include <zlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "examples/fashion/fashion.h"
#include "tests/support/catch.h"

namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<unsigned char>;

class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "tv-dataset-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;

  std::string path() const { return path_.string(); }
  std::string write(const std::string& name, const Bytes& bytes) const {
    std::ofstream((path_ / name), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return (path_ / name).string();
  }
  std::string write_gz(const std::string& name, const Bytes& bytes) const {
    auto file = (path_ / name).string();
    gzFile out = gzopen(file.c_str(), "wb");
    REQUIRE(out != nullptr);
    REQUIRE(gzwrite(out, bytes.data(), static_cast<unsigned>(bytes.size())) == static_cast<int>(bytes.size()));
    REQUIRE(gzclose(out) == Z_OK);
    return file;
  }

 private:
  fs::path path_;
};

Bytes idx(std::initializer_list<unsigned char> dims, std::size_t payload, unsigned char value = 0) {
  Bytes bytes{0, 0, 8, static_cast<unsigned char>(dims.size())};
  for (auto size : dims) bytes.insert(bytes.end(), {0, 0, 0, size});
  bytes.insert(bytes.end(), payload, value);
  return bytes;
}

}  // namespace

TEST_CASE("an idx file is read with its shape, gzipped or not", "[dataset]") {
  Folder folder;
  for (const auto& path : {folder.write("plain", idx({2, 3}, 6, 7)), folder.write_gz("packed.gz", idx({2, 3}, 6, 7))}) {
    auto read = fashion::read_idx(path);
    REQUIRE(read);
    CHECK(read->shape == std::vector<std::int64_t>{2, 3});
    CHECK(read->bytes == std::vector<std::uint8_t>(6, 7));
  }
}

TEST_CASE("a broken idx file is refused with its name and what is wrong", "[dataset]") {
  Folder folder;
  Bytes cut_gz = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x63};
  std::vector<std::pair<Bytes, std::string>> cases = {
      {{}, "ends too early"},
      {{1, 2, 3, 4, 5, 6, 7, 8}, "is no idx file"},
      {idx({2, 3}, 5), "ends too early"},
      {idx({2, 3}, 7), "goes on after its last element"},
      {idx({2, 0}, 0), "impossible size"},
      {{0, 0, 8, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, "impossible size"},
      {cut_gz, ""},
  };
  for (const auto& [bytes, why] : cases) {
    auto path = folder.write("file", bytes);
    auto read = fashion::read_idx(path);
    REQUIRE_FALSE(read);
    INFO(read.error().message);
    CHECK(read.error().message.find(path) != std::string::npos);
    CHECK(read.error().message.find(why) != std::string::npos);
  }
}

TEST_CASE("a missing file is refused with the package that has it", "[dataset]") {
  Folder folder;
  auto read = fashion::load_dataset(folder.path(), fashion::Part::kTest);
  REQUIRE_FALSE(read);
  CHECK(read.error().message.find("dataset-fashion-mnist") != std::string::npos);
}

TEST_CASE("labels that do not match the images or the classes are refused", "[dataset]") {
  Folder folder;
  folder.write_gz("t10k-images-idx3-ubyte.gz", idx({2, 28, 28}, 2 * 28 * 28));
  folder.write_gz("t10k-labels-idx1-ubyte.gz", idx({3}, 3));
  CHECK_FALSE(fashion::load_dataset(folder.path(), fashion::Part::kTest));
  folder.write_gz("t10k-labels-idx1-ubyte.gz", idx({2}, 2, 10));
  CHECK_FALSE(fashion::load_dataset(folder.path(), fashion::Part::kTest));
  folder.write_gz("t10k-labels-idx1-ubyte.gz", idx({2}, 2, 9));
  CHECK(fashion::load_dataset(folder.path(), fashion::Part::kTest));
}

TEST_CASE("the test images of the Debian package are ten thousand, a thousand of each class", "[dataset]") {
  auto test = fashion::load_dataset(fashion::kDefaultData, fashion::Part::kTest);
  REQUIRE(test);
  CHECK(test->count == 10000);
  std::vector<int> of_class(10);
  for (auto label : test->labels) ++of_class[label];
  CHECK(of_class == std::vector<int>(10, 1000));
}
