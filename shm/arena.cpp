#include "shm/arena.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <new>

#include "config/clock.h"

namespace tv::shm {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

// What boost::interprocess asks of something that can be mapped.
class Memfd {
 public:
  explicit Memfd(int fd) : fd_(fd) {}
  boost::interprocess::mapping_handle_t get_mapping_handle() const { return {fd_, false}; }
  boost::interprocess::mode_t get_mode() const { return boost::interprocess::read_write; }

 private:
  int fd_;
};

Error corrupt(const char* why) {
  return Error{Errc::kCorrupt, std::string("this is no arena that this version can use: ") + why};
}

Result<Geometry> checked_geometry(const ArenaHeader& header, std::uint64_t file_bytes) {
  if (header.magic != kArenaMagic) return corrupt("it does not begin with an arena's magic number");
  if (header.version != kArenaVersion)
    return Error{Errc::kProtocol, "the arena has layout version " + std::to_string(header.version) + ", this program knows version " +
                                      std::to_string(kArenaVersion) + "; use programs of one release"};
  const Geometry& claimed = header.geometry;
  std::uint64_t arena_bytes = std::uint64_t{claimed.blocks} * limits::kBlockBytes;
  if (claimed.chunks > limits::kMaxObjects / limits::kSlotsPerChunk) return corrupt("its object table is larger than possible");
  auto expected = make_geometry(arena_bytes, claimed.ring_bytes, claimed.slots());
  if (!expected || !(*expected == claimed)) return corrupt("its header contradicts itself");
  if (claimed.total_bytes != file_bytes) return corrupt("its header contradicts the file's size");
  return claimed;
}

}  // namespace

Arena::Arena(Fd fd, boost::interprocess::mapped_region region, const Geometry& geometry)
    : fd_(std::move(fd)), region_(std::move(region)), base_(static_cast<std::byte*>(region_.get_address())), geometry_(geometry) {}

Result<std::shared_ptr<Arena>> Arena::map(Fd fd, const Geometry& geometry) {
  namespace bi = boost::interprocess;
  try {
    bi::mapped_region region(Memfd(fd.get()), bi::read_only, 0, geometry.total_bytes);
    std::shared_ptr<Arena> arena(new Arena(std::move(fd), std::move(region), geometry));
    if (auto writable = arena->allow_writing(0, geometry.tables_end, true); !writable) return writable.error();
    return arena;
  } catch (const bi::interprocess_exception& e) {
    return Error{Errc::kOutOfMemory, "cannot map the arena's " + std::to_string(geometry.total_bytes) +
                                         " bytes: " + e.what() + "; lower [arena] size or raise the limit on address space"};
  }
}

Result<std::shared_ptr<Arena>> Arena::create(std::uint64_t arena_bytes, std::uint64_t ring_bytes, std::uint32_t objects) {
  Geometry geometry = TV_TRY(make_geometry(arena_bytes, ring_bytes, objects));
  Fd fd(::memfd_create("tensorvisor-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return system_error("cannot create the arena's memory", errno);
  if (::ftruncate(fd.get(), static_cast<off_t>(geometry.total_bytes)) != 0) return system_error("cannot size the arena", errno);
  if (::fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) return system_error("cannot seal the arena's size", errno);
  auto arena = TV_TRY(map(std::move(fd), geometry));
  // The tables that everybody writes; object slots are reserved by the chunk.
  if (auto reserved = arena->reserve(0, geometry.slots_at); !reserved) return reserved.error();
  std::uint64_t words = geometry.tables_end - geometry.block_words_at;
  if (auto reserved = arena->reserve(geometry.block_words_at, words); !reserved) return reserved.error();
  auto* header = new (arena->base()) ArenaHeader{};
  header->version = kArenaVersion;
  header->header_bytes = sizeof(ArenaHeader);
  header->geometry = geometry;
  header->created_realtime_ns = realtime_ns();
  header->magic = kArenaMagic;
  return arena;
}

Result<std::shared_ptr<Arena>> Arena::attach(Fd fd) {
  int seals = ::fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals) return corrupt("its size is not sealed");
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return system_error("cannot stat the arena", errno);
  auto file_bytes = static_cast<std::uint64_t>(info.st_size);
  if (file_bytes < sizeof(ArenaHeader)) return corrupt("it is too small");
  // Read, not mapped: until the header is checked nothing in it is believed.
  alignas(ArenaHeader) std::byte raw[sizeof(ArenaHeader)];
  if (::pread(fd.get(), raw, sizeof raw, 0) != static_cast<ssize_t>(sizeof raw)) return system_error("cannot read the arena", errno);
  Geometry geometry = TV_TRY(checked_geometry(*reinterpret_cast<const ArenaHeader*>(raw), file_bytes));
  return map(std::move(fd), geometry);
}

Result<void> Arena::reserve(std::uint64_t offset, std::uint64_t bytes) const {
  int result;
  do {
    result = ::fallocate(fd_.get(), FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(bytes));
  } while (result != 0 && errno == EINTR);
  if (result == 0) return {};
  Error error = system_error("the machine has no memory for " + std::to_string(bytes) + " more bytes of the arena", errno);
  if (errno == ENOSPC || errno == ENOMEM) error.code = Errc::kOutOfMemory;
  return error;
}

void Arena::punch(std::uint64_t offset, std::uint64_t bytes) const {
  // Best effort: memory that cannot be given back is merely kept.
  (void)::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(bytes));
}

Result<void> Arena::allow_writing(std::uint64_t offset, std::uint64_t bytes, bool allow) const {
  int protection = allow ? PROT_READ | PROT_WRITE : PROT_READ;
  if (::mprotect(base_ + offset, bytes, protection) != 0)
    return system_error("cannot change the protection of a part of the arena (vm.max_map_count may be too low)", errno);
  return {};
}

std::uint64_t Arena::backed_bytes() const {
  struct stat info {};
  return ::fstat(fd_.get(), &info) == 0 ? static_cast<std::uint64_t>(info.st_blocks) * 512 : 0;
}

}  // namespace tv::shm
