// One owner for every file descriptor, and the few system calls that everyone needs, with EINTR retried.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "config/clock.h"
#include "config/result.h"

namespace tv {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept;
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset();
  Result<Fd> duplicate() const;  // close-on-exec

 private:
  int fd_ = -1;
};

// Whole file, refused beyond `max_bytes` and for anything but a regular file.
Result<std::string> read_file(const std::string& path, std::size_t max_bytes);

// Writes all or fails.
Result<void> write_all(int fd, std::span<const std::byte> bytes);

// New file beside the old one, fsync, rename: readers see the old content or the new.
Result<void> write_file_atomically(const std::string& path, std::string_view content, unsigned mode);

// True once `fd` is readable (or at its end), false at the deadline.
Result<bool> wait_readable(int fd, Deadline deadline);

// Process descriptor: names one process even after its number is used again.
Result<Fd> open_pidfd(int pid);

}  // namespace tv
