#include "dataset.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "fashion.h"

namespace fashion {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{256} << 20;  // the largest file of the set has 47 MB
constexpr std::size_t kMaxDims = 3;

struct Close {
  void operator()(gzFile file) const { gzclose_r(file); }
};
using File = std::unique_ptr<gzFile_s, Close>;

tv::Error broken(const std::string& path, const std::string& why) {
  return {tv::Errc::kCorrupt, path + ": " + why + "; reinstall the package dataset-fashion-mnist"};
}

tv::Result<void> read_exactly(gzFile file, const std::string& path, void* out, std::size_t bytes) {
  auto* next = static_cast<std::uint8_t*>(out);
  while (bytes > 0) {
    auto piece = static_cast<unsigned>(std::min(bytes, std::size_t{1} << 20));
    int got = gzread(file, next, piece);
    if (got < 0) {
      int code = 0;
      return broken(path, std::string("cannot be unpacked: ") + gzerror(file, &code));
    }
    if (got == 0) return broken(path, "ends too early");
    next += got;
    bytes -= static_cast<std::size_t>(got);
  }
  return {};
}

std::uint32_t big_endian(const std::uint8_t* b) {
  return (std::uint32_t{b[0]} << 24) | (std::uint32_t{b[1]} << 16) | (std::uint32_t{b[2]} << 8) | b[3];
}

// Magic: two zero bytes, 8 for unsigned bytes, the number of dimensions; then a big-endian word a dimension.
tv::Result<std::vector<std::int64_t>> read_shape(gzFile file, const std::string& path) {
  std::array<std::uint8_t, 4> word{};
  if (auto read = read_exactly(file, path, word.data(), word.size()); !read) return read.error();
  if (word[0] != 0 || word[1] != 0 || word[2] != 8 || word[3] == 0 || word[3] > kMaxDims)
    return broken(path, "is no idx file of bytes with 1 to 3 dimensions");
  std::vector<std::int64_t> shape(word[3]);
  std::size_t bytes = 1;
  for (auto& size : shape) {
    if (auto read = read_exactly(file, path, word.data(), word.size()); !read) return read.error();
    size = big_endian(word.data());
    if (size == 0 || static_cast<std::size_t>(size) > kMaxBytes / bytes) return broken(path, "has an impossible size");
    bytes *= static_cast<std::size_t>(size);
  }
  return shape;
}

}  // namespace

tv::Result<Idx> read_idx(const std::string& path) {
  File file(gzopen(path.c_str(), "rbe"));
  if (!file) return tv::system_error("cannot open " + path + " (Debian package dataset-fashion-mnist)", errno ? errno : ENOMEM);
  Idx idx;
  idx.shape = TV_TRY(read_shape(file.get(), path));
  std::size_t bytes = 1;
  for (auto size : idx.shape) bytes *= static_cast<std::size_t>(size);
  idx.bytes.resize(bytes);
  if (auto read = read_exactly(file.get(), path, idx.bytes.data(), bytes); !read) return read.error();
  std::uint8_t more = 0;
  if (gzread(file.get(), &more, 1) != 0) return broken(path, "goes on after its last element");
  return idx;
}

tv::Result<Dataset> load_dataset(const std::string& directory, Part part) {
  const std::string stem = directory + (part == Part::kTrain ? "/train" : "/t10k");
  const std::string images_path = stem + "-images-idx3-ubyte.gz";
  const std::string labels_path = stem + "-labels-idx1-ubyte.gz";
  auto images = TV_TRY(read_idx(images_path));
  auto labels = TV_TRY(read_idx(labels_path));
  if (images.shape.size() != 3 || images.shape[1] != kImageSide || images.shape[2] != kImageSide)
    return broken(images_path, "does not hold images of 28 by 28");
  if (labels.shape.size() != 1 || labels.shape[0] != images.shape[0]) return broken(labels_path, "does not hold one label an image");
  if (std::any_of(labels.bytes.begin(), labels.bytes.end(), [](auto label) { return label >= kClasses; }))
    return broken(labels_path, "has a label above 9");
  return Dataset{images.shape[0], std::move(images.bytes), std::move(labels.bytes)};
}

const char* class_name(std::int64_t label) {
  static constexpr std::array<const char*, kClasses> kNames = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                                               "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
  return label >= 0 && label < kClasses ? kNames[static_cast<std::size_t>(label)] : "?";
}

}  // namespace fashion
