#include "shm/files/file_io.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace tv::files {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;  // strided tensors arrive element by element

}  // namespace

Error in_file(const std::string& path, const Error& error) { return {error.code, path + ": " + error.message}; }

Result<InputFile> InputFile::open(const std::string& path) {
  // O_NONBLOCK: opening a FIFO must not hang before the check below can refuse it.
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return system_error("cannot open " + path, errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return system_error("cannot stat " + path, errno);
  if (!S_ISREG(info.st_mode)) return Error{Errc::kInvalidArgument, path + ": not a regular file"};
  return InputFile(path, std::move(fd), static_cast<std::uint64_t>(info.st_size));
}

Result<void> InputFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    ssize_t n = ::pread(fd_.get(), out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("cannot read " + path_, errno);
    if (n == 0) return Error{Errc::kCorrupt, path_ + ": the file ended while it was being read; is somebody writing to it?"};
    offset += static_cast<std::uint64_t>(n);
    out = out.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<OutputFile> OutputFile::create(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode))
    return Error{Errc::kInvalidArgument, path + ": not a regular file; name a file that may be replaced"};
  std::string fresh = path + ".new." + std::to_string(::getpid());
  Fd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!fd) return system_error("cannot create " + fresh, errno);
  return OutputFile(path, std::move(fresh), std::move(fd));
}

OutputFile::~OutputFile() {
  if (fd_) ::unlink(fresh_.c_str());
}

Result<void> OutputFile::flush() {
  auto written = write_all(fd_.get(), buffer_);
  buffer_.clear();
  if (!written) return in_file(fresh_, written.error());
  return {};
}

Result<void> OutputFile::write(std::span<const std::byte> bytes) {
  if (buffer_.size() + bytes.size() > kBufferBytes) {
    if (auto flushed = flush(); !flushed) return flushed;
  }
  if (bytes.size() <= kBufferBytes) {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    return {};
  }
  auto written = write_all(fd_.get(), bytes);
  if (!written) return in_file(fresh_, written.error());
  return {};
}

Result<void> OutputFile::commit() {
  if (auto flushed = flush(); !flushed) return flushed;
  if (::fsync(fd_.get()) != 0) return system_error("cannot sync " + fresh_, errno);
  if (::rename(fresh_.c_str(), path_.c_str()) != 0) return system_error("cannot rename " + fresh_ + " to " + path_, errno);
  fd_.reset();
  return {};
}

}  // namespace tv::files
