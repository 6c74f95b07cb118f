// What the tests of the loader share: a machine that is the same everywhere, temporary folders, and a look at one problem.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "config/load.h"
#include "tests/support/catch.h"

namespace tv::config {

inline constexpr Machine kMachine{std::uint64_t{8} << 30};

// A worker, for texts whose subject is something else. Two lines and an empty one.
inline const std::string kWorker = "[[worker]]\nname = \"cpu\"\n\n";

inline Loaded load(const std::string& text, const std::string& directory = "/nowhere") {
  return load_text(text, "test.toml", directory, kMachine);
}

inline std::string listed(const Loaded& loaded) {
  std::string text;
  for (const auto& problem : loaded.problems) text += to_string(problem) + "\n";
  return text;
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

inline Config good(const std::string& text, const std::string& directory = "/nowhere") {
  auto loaded = load(text, directory);
  INFO(text);
  INFO(listed(loaded));
  REQUIRE(loaded.ok());
  return loaded.config;
}

// The text has this problem, and it is the only one.
inline void check_only(const std::string& text, std::uint32_t line, std::uint32_t column, const std::string& key,
                       const std::string& message, const std::string& directory = "/nowhere") {
  auto loaded = load(text, directory);
  INFO(text);
  INFO(listed(loaded));
  REQUIRE(loaded.problems.size() == 1);
  const auto& problem = loaded.problems.front();
  CHECK(problem.file == "test.toml");
  CHECK(problem.line == line);
  CHECK(problem.column == column);
  CHECK(problem.key == key);
  INFO("expected in the message: " << message);
  CHECK(contains(problem.message, message));
}

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tv-config-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  std::string path(const std::string& name = "") const { return name.empty() ? path_ : path_ + "/" + name; }
  std::string write(const std::string& name, const std::string& content) const {
    std::ofstream(path(name), std::ios::binary) << content;
    return path(name);
  }

 private:
  std::string path_;
};

}  // namespace tv::config
