#include "config/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace tv {

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void Fd::reset() {
  // close() is not retried: on Linux the descriptor is gone whatever it returns.
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

Result<Fd> Fd::duplicate() const {
  int copy = ::fcntl(fd_, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return system_error("cannot duplicate a file descriptor", errno);
  return Fd(copy);
}

Result<std::string> read_file(const std::string& path, std::size_t max_bytes) {
  // O_NONBLOCK: opening a FIFO must not hang before the check below can refuse it.
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return system_error("cannot open " + path, errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return system_error("cannot stat " + path, errno);
  if (!S_ISREG(info.st_mode)) return Error{Errc::kInvalidArgument, path + ": not a regular file"};
  std::string content;
  char buffer[16384];
  for (;;) {
    ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("cannot read " + path, errno);
    if (n == 0) return content;
    if (content.size() + static_cast<std::size_t>(n) > max_bytes)
      return Error{Errc::kLimit, path + ": larger than " + std::to_string(max_bytes) + " bytes"};
    content.append(buffer, static_cast<std::size_t>(n));
  }
}

Result<void> write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("cannot write", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<void> write_file_atomically(const std::string& path, std::string_view content, unsigned mode) {
  std::string fresh = path + ".new";
  Fd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!fd) return system_error("cannot create " + fresh, errno);
  auto written = write_all(fd.get(), std::as_bytes(std::span(content)));
  if (written && ::fsync(fd.get()) != 0) written = system_error("cannot sync " + fresh, errno);
  if (written && ::rename(fresh.c_str(), path.c_str()) != 0) written = system_error("cannot rename to " + path, errno);
  if (!written) ::unlink(fresh.c_str());
  return written;
}

Result<bool> wait_readable(int fd, Deadline deadline) {
  for (;;) {
    pollfd entry{fd, POLLIN, 0};
    int n = ::poll(&entry, 1, deadline.left_ms());
    if (n > 0) return true;
    if (n < 0 && errno != EINTR) return system_error("cannot wait for a descriptor", errno);
    if (n == 0 && deadline.passed()) return false;
  }
}

Result<Fd> open_pidfd(int pid) {
  int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return system_error("cannot open a pidfd for process " + std::to_string(pid), errno);
  return Fd(fd);
}

}  // namespace tv
