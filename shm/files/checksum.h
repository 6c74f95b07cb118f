// XXH3, 128 bits, as 32 lower-case hexadecimal digits: what tells whether bytes on disk are those that were written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "config/result.h"

namespace tv::files {

class Checksum {
 public:
  Checksum();
  ~Checksum();
  Checksum(const Checksum&) = delete;
  Checksum& operator=(const Checksum&) = delete;

  void add(std::span<const std::byte> bytes);
  std::uint64_t bytes() const { return bytes_; }
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::uint64_t bytes_ = 0;
};

inline constexpr std::size_t kChecksumDigits = 32;
std::string checksum_of(std::string_view text);

// What a file holds.
struct FileSum {
  std::string name;  // in its generation's directory
  std::uint64_t bytes = 0;
  std::string xxh3_128;

  bool operator==(const FileSum&) const = default;
};
// Reads all of it. kCorrupt when it is missing, is no regular file or cannot be read; other errors are those of opening it.
Result<FileSum> sum_of_file(const std::string& directory, const std::string& name);

}  // namespace tv::files
