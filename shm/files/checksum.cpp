#include "shm/files/checksum.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <new>
#include <vector>

#include "config/fd.h"

namespace tv::files {
namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 20;

std::string hex_of(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  ::XXH128_canonicalFromHash(&canonical, hash);
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (unsigned char byte : canonical.digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace

struct Checksum::State {
  XXH3_state_t* xxh = ::XXH3_createState();
  ~State() { ::XXH3_freeState(xxh); }
};

Checksum::Checksum() : state_(std::make_unique<State>()) {
  if (!state_->xxh) throw std::bad_alloc();
  ::XXH3_128bits_reset(state_->xxh);
}

Checksum::~Checksum() = default;

void Checksum::add(std::span<const std::byte> bytes) {
  ::XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size());
  bytes_ += bytes.size();
}

std::string Checksum::hex() const { return hex_of(::XXH3_128bits_digest(state_->xxh)); }

std::string checksum_of(std::string_view text) { return hex_of(::XXH3_128bits(text.data(), text.size())); }

Result<FileSum> sum_of_file(const std::string& directory, const std::string& name) {
  std::string path = directory + "/" + name;
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd && (errno == ENOENT || errno == ELOOP)) return Error{Errc::kCorrupt, path + ": missing"};
  if (!fd) return system_error(path, errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return system_error(path, errno);
  if (!S_ISREG(info.st_mode)) return Error{Errc::kCorrupt, path + ": not a regular file"};
  Checksum sum;
  std::vector<std::byte> buffer(kReadBytes);
  for (;;) {
    ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error{Errc::kCorrupt, system_error(path + ": unreadable", errno).message};
    if (n == 0) break;
    sum.add({buffer.data(), static_cast<std::size_t>(n)});
  }
  return FileSum{name, sum.bytes(), sum.hex()};
}

}  // namespace tv::files
