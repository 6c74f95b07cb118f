// Files of a test, in its own directory.
#pragma once

#include <fstream>
#include <string>

#include "tests/support/temp_dir.h"

namespace tv::test {

inline std::string make_file(const TempDir& dir, const std::string& name, const std::string& content) {
  std::string path = dir.path() + "/" + name;
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

}  // namespace tv::test
