#include "shm/spill_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>

namespace tv::shm {
namespace {

std::uint64_t hash_of(const SpillHeader& header) { return ::XXH64(&header, offsetof(SpillHeader, header_hash), 0); }

Error damaged(const std::string& path, const std::string& how) {
  return Error{Errc::kCorrupt, path + ": a spilled tensor's file is damaged (" + how + "); put the tensor again"};
}

SpillHeader header_of(const std::string& name, std::uint64_t version, const Tensor& tensor) {
  const TensorSpec& spec = tensor.spec();
  SpillHeader header{};
  header.magic = kSpillMagic;
  header.format = kSpillFormat;
  header.dtype = static_cast<std::uint8_t>(spec.dtype);
  header.dims = spec.dims;
  header.name_bytes = static_cast<std::uint16_t>(name.size());
  header.version = version;
  header.payload_bytes = tensor.bytes();
  std::copy(spec.shape.begin(), spec.shape.end(), header.shape);
  std::copy(spec.strides.begin(), spec.strides.end(), header.strides);
  header.scale = spec.scale;
  header.zero_point = spec.zero_point;
  std::memcpy(header.name, name.data(), std::min(name.size(), sizeof header.name - 1));
  header.payload_hash = ::XXH64(tensor.data(), tensor.bytes(), 0);
  header.header_hash = hash_of(header);
  return header;
}

// False at the file's end.
Result<bool> read_exactly(int fd, void* to, std::uint64_t bytes, const std::string& path) {
  auto* at = static_cast<char*>(to);
  while (bytes > 0) {
    ssize_t n = ::read(fd, at, std::min<std::uint64_t>(bytes, std::uint64_t{1} << 30));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error(path, errno);
    if (n == 0) return false;
    at += n;
    bytes -= static_cast<std::uint64_t>(n);
  }
  return true;
}

Result<TensorSpec> spec_of(const SpillHeader& header, const std::string& path) {
  auto dtype = dtype_from_number(header.dtype);
  if (!dtype || header.dims > limits::kMaxDims) return damaged(path, "no such tensor");
  TensorSpec spec;
  spec.dtype = *dtype;
  spec.dims = header.dims;
  std::copy(std::begin(header.shape), std::end(header.shape), spec.shape.begin());
  std::copy(std::begin(header.strides), std::end(header.strides), spec.strides.begin());
  spec.scale = header.scale;
  spec.zero_point = header.zero_point;
  auto bytes = spec.storage_bytes();
  if (!bytes || *bytes != header.payload_bytes) return damaged(path, "its size contradicts its shape");
  return spec;
}

}  // namespace

std::string spill_path(const std::string& directory, SpillKey key) {
  return directory + "/" + std::to_string(key.entry) + "." + std::to_string(key.version) + ".tensor";
}

Result<void> set_spill_directory(const Arena& arena, const std::string& directory) {
  auto& field = arena.header().spill_directory;
  if (directory.size() >= sizeof field)
    return Error{Errc::kInvalidArgument, "[arena] spill: the path has " + std::to_string(directory.size()) + " bytes, at most " +
                                             std::to_string(sizeof field - 1) + " are possible"};
  std::memcpy(field, directory.c_str(), directory.size() + 1);
  return {};
}

std::string spill_directory(const Arena& arena) {
  const auto& field = arena.header().spill_directory;
  return {field, ::strnlen(field, sizeof field)};
}

Result<void> write_spill(const std::string& path, const std::string& name, std::uint64_t version, const Tensor& tensor) {
  std::string temporary = path + ".part";
  Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return system_error(temporary, errno);
  SpillHeader header = header_of(name, version, tensor);
  auto written = write_all(fd.get(), std::as_bytes(std::span(&header, 1)));
  if (written) written = write_all(fd.get(), {static_cast<const std::byte*>(tensor.data()), tensor.bytes()});
  if (written && ::rename(temporary.c_str(), path.c_str()) != 0) written = system_error(path, errno);
  if (!written) ::unlink(temporary.c_str());
  return written;
}

Result<Tensor> read_spill(const std::string& path, const std::string& name, std::uint64_t version, Store& store) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) return errno == ENOENT ? Error{Errc::kNotFound, path + ": no such file"} : system_error(path, errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return system_error(path, errno);
  if (!S_ISREG(info.st_mode)) return damaged(path, "not a file");
  // The directory's name stands where every participant can write: whatever it says, only the supervisor's own files are read.
  unsigned owner = TV_TRY(store.arena()->owner());
  if (info.st_uid != owner || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return Error{Errc::kPermission, path + ": a spilled tensor's file belongs to the daemon's user alone; this is none of its files"};
  SpillHeader header;
  bool whole = TV_TRY(read_exactly(fd.get(), &header, sizeof header, path));
  if (!whole) return damaged(path, "too short");
  if (header.magic != kSpillMagic || header.header_hash != hash_of(header) || header.format != kSpillFormat ||
      header.name_bytes > limits::kMaxObjectName)
    return damaged(path, "its header's checksum does not fit");
  if (std::string_view(header.name, header.name_bytes) != name || header.version != version)
    return Error{Errc::kStaleHandle, path + " is of another tensor by now"};
  auto spec = TV_TRY(spec_of(header, path));
  // Before memory of that size is asked for.
  if (static_cast<std::uint64_t>(info.st_size) != spill_file_bytes(header.payload_bytes)) return damaged(path, "its length is wrong");
  auto draft = TV_TRY(store.create(spec));
  whole = TV_TRY(read_exactly(fd.get(), draft.data(), draft.bytes(), path));
  if (!whole || ::XXH64(draft.data(), draft.bytes(), 0) != header.payload_hash) return damaged(path, "its payload's checksum does not fit");
  return std::move(draft).seal();
}

}  // namespace tv::shm
