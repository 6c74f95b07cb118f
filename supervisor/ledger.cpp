#include "supervisor/ledger.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <new>
#include <utility>

namespace tv::supervisor {
namespace {

constexpr std::uint64_t kMagic = 0x5245'4744'454c'5654;  // "TVLEDGER"
constexpr std::uint64_t kHeaderBytes = 4096;
constexpr std::uint64_t kPlaceBytes = Ledger::kMostBytes + 8;
constexpr std::uint64_t kFileBytes = kHeaderBytes + 2 * kPlaceBytes;  // sparse

off_t place_of(std::uint64_t number) { return static_cast<off_t>(kHeaderBytes + number % 2 * kPlaceBytes); }

Result<void> write_at(int fd, const void* data, std::size_t bytes, off_t at) {
  const auto* next = static_cast<const std::byte*>(data);
  while (bytes > 0) {
    ssize_t n = ::pwrite(fd, next, bytes, at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Error{Errc::kOutOfMemory, system_error("cannot write the ledger", n < 0 ? errno : ENOSPC).message};
    next += n;
    at += n;
    bytes -= static_cast<std::size_t>(n);
  }
  return {};
}

Result<void> read_at(int fd, void* data, std::size_t bytes, off_t at) {
  auto* next = static_cast<std::byte*>(data);
  while (bytes > 0) {
    ssize_t n = ::pread(fd, next, bytes, at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("cannot read the ledger", errno);
    if (n == 0) return Error{Errc::kCorrupt, "the ledger ends too early"};
    next += n;
    at += n;
    bytes -= static_cast<std::size_t>(n);
  }
  return {};
}

}  // namespace

struct Ledger::Header {
  std::uint64_t magic;
  std::atomic<std::uint64_t> current;
};

Result<Ledger::Header*> Ledger::map(const Fd& file) {
  void* memory = ::mmap(nullptr, kHeaderBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) return system_error("cannot map the ledger", errno);
  return static_cast<Header*>(memory);
}

Result<Ledger> Ledger::create() {
  Fd file(::memfd_create("tensorvisor-ledger", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) return system_error("cannot make the ledger", errno);
  if (::ftruncate(file.get(), static_cast<off_t>(kFileBytes)) != 0) return system_error("cannot size the ledger", errno);
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return system_error("cannot seal the ledger", errno);
  // The header's page comes before it is mapped: a full machine is an error then, and not a SIGBUS.
  if (::fallocate(file.get(), 0, 0, kHeaderBytes) != 0) return system_error("no memory for the ledger", errno);
  auto* header = TV_TRY(map(file));
  new (header) Header{kMagic, 0};
  return Ledger(std::move(file), header);
}

Result<Ledger> Ledger::adopt(Fd file) {
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return system_error("cannot look at the ledger", errno);
  int seals = ::fcntl(file.get(), F_GET_SEALS);
  if (static_cast<std::uint64_t>(info.st_size) != kFileBytes || seals < 0 || (seals & F_SEAL_SHRINK) == 0)
    return Error{Errc::kCorrupt, "what was passed as the ledger is none"};
  auto* header = TV_TRY(map(file));
  Ledger ledger(std::move(file), header);
  if (header->magic != kMagic) return Error{Errc::kCorrupt, "what was passed as the ledger is none"};
  return ledger;
}

Ledger::Ledger(Ledger&& other) noexcept : file_(std::move(other.file_)), header_(std::exchange(other.header_, nullptr)) {}

Ledger::~Ledger() {
  if (header_ != nullptr) ::munmap(header_, kHeaderBytes);
}

Result<void> Ledger::write(std::span<const std::byte> state) {
  if (state.size() > kMostBytes)
    return Error{Errc::kLimit, "the supervisor's state has " + std::to_string(state.size()) + " bytes, the ledger takes " + std::to_string(kMostBytes)};
  std::uint64_t next = header_->current.load(std::memory_order_relaxed) + 1;
  std::uint64_t bytes = state.size();
  TV_TRY(write_at(file_.get(), state.data(), state.size(), place_of(next) + 8));
  TV_TRY(write_at(file_.get(), &bytes, sizeof bytes, place_of(next)));
  header_->current.store(next, std::memory_order_release);
  return {};
}

Result<std::vector<std::byte>> Ledger::read() const {
  std::uint64_t current = header_->current.load(std::memory_order_acquire);
  if (current == 0) return Error{Errc::kNotFound, "nothing stands in the ledger"};
  std::uint64_t bytes = 0;
  TV_TRY(read_at(file_.get(), &bytes, sizeof bytes, place_of(current)));
  if (bytes > kMostBytes) return Error{Errc::kCorrupt, "the ledger has a state of " + std::to_string(bytes) + " bytes"};
  std::vector<std::byte> state(bytes);
  TV_TRY(read_at(file_.get(), state.data(), state.size(), place_of(current) + 8));
  return state;
}

}  // namespace tv::supervisor
