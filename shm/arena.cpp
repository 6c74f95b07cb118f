#include "shm/arena.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <string>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // since Linux 5.14
#endif

namespace tv::shm {
namespace {

namespace bi = boost::interprocess;

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

// What boost::interprocess asks of something that can be mapped.
class Memfd {
 public:
  explicit Memfd(int fd) : fd_(fd) {}
  bi::mapping_handle_t get_mapping_handle() const { return {fd_, false}; }
  bi::mode_t get_mode() const { return bi::read_write; }

 private:
  int fd_;
};

Error corrupt(const char* why) { return Error{Errc::kCorrupt, std::string("this is no arena that this version can use: ") + why}; }

Result<Geometry> checked_geometry(const ArenaHeader& header) {
  if (header.magic != kArenaMagic) return corrupt("it does not begin with an arena's magic number");
  if (header.version != kArenaVersion)
    return Error{Errc::kProtocol, "the arena has layout version " + std::to_string(header.version) + ", this program knows version " +
                                      std::to_string(kArenaVersion) + "; use programs of one release"};
  const Geometry& claimed = header.geometry;
  std::uint64_t arena_bytes = std::uint64_t{claimed.blocks} * limits::kBlockBytes;
  if (claimed.chunks > limits::kMaxObjects / limits::kSlotsPerChunk) return corrupt("its object table is larger than possible");
  auto expected =
      make_geometry(arena_bytes, claimed.ring_bytes, claimed.slots(), std::uint64_t{claimed.client_blocks} * limits::kBlockBytes);
  if (!expected || !(*expected == claimed)) return corrupt("its header contradicts itself");
  return claimed;
}

Result<Fd> make_memfd(const char* name, std::uint64_t bytes) {
  Fd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return system_error("cannot create the arena's memory", errno);
  if (::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) return system_error("cannot size the arena", errno);
  if (::fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) return system_error("cannot seal the arena's size", errno);
  // Whoever has a read-only descriptor must not be able to open the file again for writing.
  if (::fchmod(fd.get(), S_IRUSR) != 0) return system_error("cannot restrict the arena's mode", errno);
  return fd;
}

Result<void> check_file(const Fd& fd, std::uint64_t bytes) {
  int seals = ::fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals) return corrupt("its size is not sealed");
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return system_error("cannot stat the arena", errno);
  if (static_cast<std::uint64_t>(info.st_size) != bytes) return corrupt("its header contradicts the file's size");
  return {};
}

// Address space for the whole arena, aligned so that a block begins where a huge page may. What maps there unmaps it.
Result<std::byte*> reserve_addresses(std::uint64_t bytes) {
  std::uint64_t with_slack = bytes + limits::kBlockBytes;
  void* memory = ::mmap(nullptr, with_slack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return Error{Errc::kOutOfMemory,
                 "cannot map the arena's " + std::to_string(bytes) + " bytes; lower [arena] size or raise the limit on address space"};
  auto first = reinterpret_cast<std::uintptr_t>(memory);
  std::uintptr_t base = (first + limits::kBlockBytes - 1) / limits::kBlockBytes * limits::kBlockBytes;
  if (base > first) ::munmap(memory, base - first);
  std::uintptr_t end = base + bytes;
  if (first + with_slack > end) ::munmap(reinterpret_cast<void*>(end), first + with_slack - end);
  return reinterpret_cast<std::byte*>(base);
}

bi::mapped_region map_at(std::byte* address, const Fd& fd, std::uint64_t bytes) {
  return bi::mapped_region(Memfd(fd.get()), bi::read_only, 0, bytes, address, MAP_FIXED);
}

Result<Fd> reopen_read_only(const Fd& fd) {
  std::string path = "/proc/self/fd/" + std::to_string(fd.get());
  Fd copy(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!copy) return system_error("cannot open the arena read-only through " + path + " (is /proc mounted?)", errno);
  return copy;
}

constexpr std::uint64_t kPopulateStep = 256 << 10;

// The errno, 0 when it is done.
int populate_pages(void* address, std::uint64_t bytes) {
  int result;
  do {
    result = ::madvise(address, bytes, MADV_POPULATE_WRITE);
  } while (result != 0 && (errno == EINTR || errno == EAGAIN));
  return result == 0 ? 0 : errno;
}

Error no_memory(std::uint64_t bytes, int reason) {
  return Error{Errc::kOutOfMemory, "the machine has no memory for " + std::to_string(bytes) +
                                       " more bytes of the arena: " + system_error("madvise", reason).message};
}

}  // namespace

std::vector<int> ArenaFds::numbers() const {
  std::vector<int> numbers{control.get(), blocks.get()};
  if (client_blocks) numbers.push_back(client_blocks.get());
  return numbers;
}

Result<ArenaFds> ArenaFds::from(std::vector<Fd> fds) {
  if (fds.size() < 2 || fds.size() > 3)
    return Error{Errc::kProtocol, "an arena has two or three descriptors, not " + std::to_string(fds.size())};
  return ArenaFds{std::move(fds[0]), std::move(fds[1]), fds.size() == 3 ? std::move(fds[2]) : Fd()};
}

Result<std::shared_ptr<Arena>> Arena::map(ArenaFds fds, const Geometry& geometry, bool huge_pages) {
  std::byte* base = TV_TRY(reserve_addresses(geometry.total_bytes));
  std::shared_ptr<Arena> arena(new Arena(std::move(fds), geometry));
  arena->base_ = base;
  std::uint64_t mapped = 0;
  try {
    arena->control_ = map_at(base, arena->fds_.control, geometry.blocks_at);
    mapped = geometry.blocks_at;
    arena->blocks_ = map_at(base + geometry.blocks_at, arena->fds_.blocks, geometry.client_blocks_at - geometry.blocks_at);
    mapped = geometry.client_blocks_at;
    if (geometry.client_blocks > 0)
      arena->client_blocks_ =
          map_at(base + geometry.client_blocks_at, arena->fds_.client_blocks, geometry.total_bytes - geometry.client_blocks_at);
  } catch (const bi::interprocess_exception& e) {
    ::munmap(base + mapped, geometry.total_bytes - mapped);
    return Error{Errc::kOutOfMemory, "cannot map the arena's " + std::to_string(geometry.total_bytes) + " bytes: " + e.what() +
                                         "; lower [arena] size or raise the limit on address space"};
  }
  // A wish: where the kernel has none, populate() gives small ones.
  if (huge_pages) (void)::madvise(base + geometry.blocks_at, geometry.total_bytes - geometry.blocks_at, MADV_HUGEPAGE);
  if (auto writable = arena->allow_writing(0, geometry.tables_end, true); !writable) return writable.error();
  return arena;
}

Result<std::shared_ptr<Arena>> Arena::create(const ArenaOptions& options) {
  Geometry geometry = TV_TRY(make_geometry(options.bytes, options.ring_bytes, options.objects, options.client_bytes));
  ArenaFds fds;
  fds.control = TV_TRY(make_memfd("tensorvisor-arena", geometry.blocks_at));
  fds.blocks = TV_TRY(make_memfd("tensorvisor-blocks", geometry.client_blocks_at - geometry.blocks_at));
  if (geometry.client_blocks > 0)
    fds.client_blocks = TV_TRY(make_memfd("tensorvisor-client-blocks", geometry.total_bytes - geometry.client_blocks_at));
  auto arena = TV_TRY(map(std::move(fds), geometry, options.huge_pages));
  // The tables that everybody writes; object slots and their headers are reserved by the chunk.
  if (auto reserved = arena->reserve(0, geometry.slots_at); !reserved) return reserved.error();
  std::uint64_t words = geometry.tables_end - geometry.block_words_at;
  if (auto reserved = arena->reserve(geometry.block_words_at, words); !reserved) return reserved.error();
  auto* header = new (arena->base()) ArenaHeader{};
  header->version = kArenaVersion;
  header->header_bytes = sizeof(ArenaHeader);
  header->geometry = geometry;
  header->created_realtime_ns = realtime_ns();
  header->patience_ns = options.patience.count();
  header->huge_pages = options.huge_pages ? 1 : 0;
  header->magic = kArenaMagic;
  return arena;
}

Result<std::shared_ptr<Arena>> Arena::attach(ArenaFds fds) {
  // Read, not mapped: until the header is checked nothing in it is believed.
  alignas(ArenaHeader) std::byte raw[sizeof(ArenaHeader)];
  ssize_t n = ::pread(fds.control.get(), raw, sizeof raw, 0);
  if (n < 0) return system_error("cannot read the arena", errno);
  if (n != static_cast<ssize_t>(sizeof raw)) return corrupt("it is too small");
  const auto& header = *reinterpret_cast<const ArenaHeader*>(raw);
  Geometry geometry = TV_TRY(checked_geometry(header));
  TV_TRY(check_file(fds.control, geometry.blocks_at));
  TV_TRY(check_file(fds.blocks, geometry.client_blocks_at - geometry.blocks_at));
  if (geometry.client_blocks > 0) TV_TRY(check_file(fds.client_blocks, geometry.total_bytes - geometry.client_blocks_at));
  return map(std::move(fds), geometry, header.huge_pages == 1);
}

Result<ArenaFds> Arena::share(Access access) const {
  ArenaFds fds;
  fds.control = TV_TRY(fds_.control.duplicate());
  fds.blocks = access == Access::kClient ? TV_TRY(reopen_read_only(fds_.blocks)) : TV_TRY(fds_.blocks.duplicate());
  if (fds_.client_blocks) fds.client_blocks = TV_TRY(fds_.client_blocks.duplicate());
  return fds;
}

std::pair<int, std::uint64_t> Arena::file_of(std::uint64_t offset) const {
  if (offset < geometry_.blocks_at) return {fds_.control.get(), 0};
  if (offset < geometry_.client_blocks_at) return {fds_.blocks.get(), geometry_.blocks_at};
  return {fds_.client_blocks.get(), geometry_.client_blocks_at};
}

Result<void> Arena::reserve(std::uint64_t offset, std::uint64_t bytes) const {
  auto [fd, begins] = file_of(offset);
  int result;
  do {
    result = ::fallocate(fd, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset - begins), static_cast<off_t>(bytes));
  } while (result != 0 && errno == EINTR);
  if (result == 0) return {};
  Error error = system_error("the machine has no memory for " + std::to_string(bytes) + " more bytes of the arena", errno);
  if (errno == ENOSPC || errno == ENOMEM) error.code = Errc::kOutOfMemory;
  return error;
}

Result<void> Arena::populate(std::uint64_t offset, std::uint64_t bytes) const {
  int reason = populate_pages(base_ + offset, bytes);
  if (reason == 0) return {};
  if (reason == EINVAL) return reserve(offset, bytes);  // an older kernel
  return no_memory(bytes, reason);
}

Result<void> Arena::populate_aside(std::uint64_t offset, std::uint64_t bytes) const {
  auto [fd, begins] = file_of(offset);
  std::byte* window = TV_TRY(reserve_addresses(bytes));
  int reason = 0;
  auto flags = MAP_SHARED | MAP_FIXED;
  if (::mmap(window, bytes, PROT_READ | PROT_WRITE, flags, fd, static_cast<off_t>(offset - begins)) == MAP_FAILED) reason = errno;
  if (reason == 0 && header().huge_pages == 1) (void)::madvise(window, bytes, MADV_HUGEPAGE);
  // In steps: the kernel's lock of the whole address space is held during each.
  std::uint64_t step = header().huge_pages == 1 ? bytes : kPopulateStep;
  for (std::uint64_t done = 0; reason == 0 && done < bytes; done += step) reason = populate_pages(window + done, std::min(step, bytes - done));
  ::munmap(window, bytes);
  if (reason == 0) return {};
  if (reason == EINVAL) return reserve(offset, bytes);
  return no_memory(bytes, reason);
}

void Arena::punch(std::uint64_t offset, std::uint64_t bytes) const {
  auto [fd, begins] = file_of(offset);
  // Best effort: memory that cannot be given back is merely kept.
  (void)::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset - begins), static_cast<off_t>(bytes));
}

Result<void> Arena::allow_writing(std::uint64_t offset, std::uint64_t bytes, bool allow) const {
  int protection = allow ? PROT_READ | PROT_WRITE : PROT_READ;
  if (::mprotect(base_ + offset, bytes, protection) != 0)
    return system_error("cannot change the protection of a part of the arena (vm.max_map_count may be too low)", errno);
  return {};
}

Result<unsigned> Arena::owner() const {
  struct stat info {};
  if (::fstat(fds_.control.get(), &info) != 0) return system_error("cannot look at the arena", errno);
  return info.st_uid;
}

std::uint64_t Arena::backed_bytes() const {
  std::uint64_t bytes = 0;
  for (const Fd* fd : {&fds_.control, &fds_.blocks, &fds_.client_blocks}) {
    struct stat info {};
    if (*fd && ::fstat(fd->get(), &info) == 0) bytes += static_cast<std::uint64_t>(info.st_blocks) * 512;
  }
  return bytes;
}

}  // namespace tv::shm
