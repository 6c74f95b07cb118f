// Files of tensors on disk: bounded reads at an offset, and writes that appear whole or not at all.
//
// One owner, one thread. Errors name the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "config/fd.h"
#include "config/result.h"

namespace tv::files {

// `error` with the file's name before it.
Error in_file(const std::string& path, const Error& error);

class InputFile {
 public:
  // Refuses anything but a regular file.
  static Result<InputFile> open(const std::string& path);

  const std::string& path() const { return path_; }
  std::uint64_t size() const { return size_; }  // when it was opened
  // Fills `out` or fails; the file may have shrunk since it was opened.
  Result<void> read_at(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  InputFile(std::string path, Fd fd, std::uint64_t size) : path_(std::move(path)), fd_(std::move(fd)), size_(size) {}
  std::string path_;
  Fd fd_;
  std::uint64_t size_;
};

// Where bytes go, in order.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual Result<void> write(std::span<const std::byte> bytes) = 0;
};

// Written beside its final name, synced and renamed by commit(); without commit() it vanishes.
class OutputFile final : public ByteSink {
 public:
  // Refuses to replace anything but a regular file.
  static Result<OutputFile> create(const std::string& path);
  OutputFile(OutputFile&&) noexcept = default;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile() override;

  Result<void> write(std::span<const std::byte> bytes) override;
  Result<void> commit();

 private:
  OutputFile(std::string path, std::string fresh, Fd fd) : path_(std::move(path)), fresh_(std::move(fresh)), fd_(std::move(fd)) {}
  Result<void> flush();

  std::string path_;
  std::string fresh_;
  Fd fd_;  // closed once committed
  std::vector<std::byte> buffer_;
};

}  // namespace tv::files
