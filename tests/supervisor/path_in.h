// Paths in a test's own directory: `temp / "run"`.
#pragma once

#include <string>

#include "tests/support/temp_dir.h"

namespace tv::test {

inline std::string operator/(const TempDir& dir, const std::string& name) { return dir.path() + "/" + name; }

}  // namespace tv::test
