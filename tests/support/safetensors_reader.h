// What somebody else's reader finds in a safetensors file: tests/support/read_safetensors.py, run by Python.
#pragma once

#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "tests/support/catch.h"

namespace tv::test {

// By name: dtype, shape, hex (the bytes), values (null for types that Python's struct does not know). Nothing, with a word about it, where
// there is no python3; fails the test where the file is not as the format wants it.
inline std::optional<nlohmann::json> read_by_python(const std::string& file) {
  auto run = [](const std::string& command) {
    std::string out;
    FILE* pipe = ::popen(command.c_str(), "r");
    REQUIRE(pipe != nullptr);
    char buffer[4096];
    for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) out.append(buffer, n);
    return std::pair(::pclose(pipe), out);
  };
  if (run("python3 -c 'import json, struct' 2>&1").first != 0) {
    WARN("skipped: there is no python3, and nobody else's reader has seen " << file);
    return std::nullopt;
  }
  auto [status, out] = run("python3 '" TV_SOURCE_DIR "/tests/support/read_safetensors.py' '" + file + "' 2>&1");
  INFO(out);
  REQUIRE(status == 0);
  return nlohmann::json::parse(out);
}

}  // namespace tv::test
