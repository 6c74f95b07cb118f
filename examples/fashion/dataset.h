// Reads Fashion-MNIST: idx files (magic, big-endian dimensions, bytes), gzipped or not. Everything in a file is checked before it is used.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/result.h"

namespace fashion {

struct Dataset {
  std::int64_t count = 0;
  std::vector<std::uint8_t> images;  // count * 28 * 28, row by row
  std::vector<std::uint8_t> labels;  // count, each below 10
};

enum class Part { kTrain, kTest };

// From the four files in `directory`, named as their authors named them ("train-images-idx3-ubyte.gz").
tv::Result<Dataset> load_dataset(const std::string& directory, Part part);

// One idx file of bytes: its dimensions and content.
struct Idx {
  std::vector<std::int64_t> shape;
  std::vector<std::uint8_t> bytes;
};
tv::Result<Idx> read_idx(const std::string& path);

// "T-shirt/top", "Trouser", ...; "?" beyond the ten.
const char* class_name(std::int64_t label);

}  // namespace fashion
